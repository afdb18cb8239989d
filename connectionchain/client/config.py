"""Where the network file is looked for."""

import os
from pathlib import Path

NETWORK_VARIABLE = "CONNECTIONCHAIN_NETWORK"
PLACES = (Path("connectionchain.json"), Path(".connectionchain/connectionchain.json"))


def find_network(given: Path | str | None = None) -> Path:
    """What is given, else the path in CONNECTIONCHAIN_NETWORK, else the first of PLACES that exists."""
    named = given or os.environ.get(NETWORK_VARIABLE)
    if named:
        return Path(named)
    return next((place for place in PLACES if place.exists()), PLACES[0])
