"""docs/configuration.md: its examples are files that the programs take, and its tables leave no setting out."""

import re
from pathlib import Path

import pytest

from connectionchain.network import Chain, EvidenceLog, Network
from roles.settings import AttestorRole, LiquidityRole, LogRole, NodeRole, Settings, WitnessRole

PAGE = (Path(__file__).parents[2] / "docs/configuration.md").read_text()
NETWORK, *SETTINGS = re.findall(r"^```json\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


def test_configuration__network_file() -> None:
    assert Network.model_validate_json(NETWORK).attestors.threshold == 2


@pytest.mark.parametrize("example", SETTINGS, ids=["node", "attestor"])
def test_configuration__settings_file(example: str) -> None:
    settings = Settings.model_validate_json(example)
    assert settings.nodes or settings.attestors


@pytest.mark.parametrize(
    "model", [Settings, NodeRole, LogRole, WitnessRole, AttestorRole, LiquidityRole, Chain, EvidenceLog]
)
def test_configuration__every_field_is_explained(model: type) -> None:
    explained = " ".join(re.findall(r"^\| (.*?) \|", PAGE, re.MULTILINE))
    assert [name for name in model.model_fields if name not in explained] == []
