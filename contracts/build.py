"""Compiles the contracts and writes `artifacts/<Contract>.json`, or with `--check` says whether they are current.

Needs `npm ci --ignore-scripts` in this folder and node on PATH. The same sources give the same bytes everywhere.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOM = Path(__file__).resolve().parent
CONTRACTS = ("Anchor", "DataAccess", "Escrow", "RegionalCurrency")
SETTINGS = ("evm_version", "via_ir", "optimizer", "optimizer_runs", "bytecode_hash", "cbor_metadata")


def compile_contracts(out: Path) -> dict[str, str]:
    """Compiles into `out` and returns the text of each artefact by contract name."""
    forge = ROOM / "node_modules" / ".bin" / "forge"
    # only these sources: what else is compiled along could change the order of things in the output
    sources = [f"src/{name}.sol" for name in CONTRACTS]
    folders = ["--out", str(out / "out"), "--cache-path", str(out / "cache")]
    subprocess.run([forge, "build", *sources, "--force", *folders], cwd=ROOM, check=True, stdout=sys.stderr)
    return {name: artefact(name, out / "out" / f"{name}.sol" / f"{name}.json") for name in CONTRACTS}


def artefact(name: str, compiled: Path) -> str:
    """The artefact's text: what a deployer needs and what a verifier compares, nothing of this machine."""
    output = json.loads(compiled.read_text())
    pins = json.loads((ROOM / "package.json").read_text())
    settings = tomllib.loads((ROOM / "foundry.toml").read_text())["profile"]["default"]
    content = {
        "contractName": name,
        "compiler": "solc " + pins["devDependencies"]["solc"],
        "settings": {key: settings[key] for key in SETTINGS},
        "abi": output["abi"],
        "bytecode": output["bytecode"]["object"],
    }
    return json.dumps(content, indent=1) + "\n"


def main() -> int:
    """Writes the artefacts, or checks those that are there; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="fail if an artefact differs from what the sources give")
    check = parser.parse_args().check
    stale = []
    with tempfile.TemporaryDirectory() as out:
        for name, text in compile_contracts(Path(out)).items():
            path = ROOM / "artifacts" / f"{name}.json"
            if not check:
                path.parent.mkdir(exist_ok=True)
                path.write_text(text)
            elif not path.exists() or path.read_text() != text:
                stale.append(path.name)
    if stale:
        print(f"stale artefacts: {', '.join(stale)}; run python contracts/build.py", file=sys.stderr)
        return 1
    print("artefacts are up to date" if check else "artefacts written")
    return 0


if __name__ == "__main__":
    sys.exit(main())
