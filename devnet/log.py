"""The devnet's evidence log as its network file names it."""

from collections.abc import Sequence

from connectionchain.network import EvidenceLog, LogWitness
from connectionchain.tlog.cosignature import Cosigner
from connectionchain.tlog.note import Signer
from devnet.accounts import ATTESTORS, THRESHOLD, demo_seed

ORIGIN = "connectionchain.devnet"
"""Not the URL, which depends on the ports of the day."""


def evidence_log(url: str, witnesses: Sequence[str]) -> EvidenceLog:
    """The log at `url`, with the attestors as witnesses at these URLs."""
    return EvidenceLog(
        url=url,
        key=str(Signer(f"{ORIGIN}/evidence", demo_seed("log")).key),
        witnesses={name: _witness(name, at) for name, at in zip(ATTESTORS, witnesses, strict=True)},
        quorum=THRESHOLD,
    )


def _witness(name: str, url: str) -> LogWitness:
    return LogWitness(url=url, key=str(Cosigner(f"{ORIGIN}/{name}", demo_seed(f"witness.{name}")).key))
