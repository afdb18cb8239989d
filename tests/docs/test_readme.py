"""README.md: its Python runs as written, and what it points at exists."""

import asyncio
import re
from pathlib import Path

import pytest

from connectionchain.cli.main import main
from devnet.accounts import demo_account

README = (Path(__file__).parents[2] / "README.md").read_text()


async def test_readme__client_code(stack, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = re.findall(r"^```python\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
    monkeypatch.setenv("CONNECTIONCHAIN_NETWORK", str(stack.devnet.network_file))
    await asyncio.to_thread(exec, code, {})  # it has an event loop of its own
    told = capsys.readouterr().out
    assert "Locked confirmation by eip155:31338:" in told
    assert "Settled" in told
    record = re.findall(r"^(eip155:\d+) (\w+) (0x\w{64}) \d{4}-", told, re.MULTILINE)
    assert sorted(kind for _, kind, _ in record) == ["locked", "locked", "released", "released"]
    assert len({transaction for _, _, transaction in record}) == 4


COMMANDS = re.findall(r"^    connectionchain ([a-z]+(?: [a-z]+)*)", README, re.MULTILINE)


@pytest.mark.parametrize("command", COMMANDS)
def test_readme__command_exists(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*command.split(), "--help"]) == 0
    assert "Usage" in capsys.readouterr().out


def test_readme__pays_the_bookstore() -> None:
    assert demo_account("bookstore").address.lower() in README
    assert len(COMMANDS) == 11


@pytest.mark.parametrize("page", ["README.md", *(f"docs/{each}.md" for each in ("architecture", "configuration"))])
def test_docs__links_lead_somewhere(page: str) -> None:
    path = Path(__file__).parents[2] / page
    links = re.findall(r"\]\((?!https?:)([^)#]+)", path.read_text())
    assert links
    assert [link for link in links if not (path.parent / link).exists()] == []
