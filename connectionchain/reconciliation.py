"""What comparing chains, evidence and workflows can find, and what was done about it."""

from enum import StrEnum

from connectionchain.ids import ChainId, Hex32
from connectionchain.model import Model

WORKFLOW = "Reconciliation"
SCHEDULE = "reconciliation"


class Problem(StrEnum):
    """Where chain, evidence and workflow engine disagree."""

    ABANDONED = "open escrow entry whose workflow does not run"
    UNRECORDED = "final step without evidence"
    UNFOUNDED = "evidence without its transaction on the chain"


class Finding(Model):
    """One disagreement about one escrow entry. `done` says what was put right; empty if somebody must look at it."""

    problem: Problem
    chain: ChainId
    deal: Hex32
    entry: Hex32
    detail: str
    done: str = ""


class ReconciliationReport(Model):
    """All findings, and how many entries were compared."""

    compared: int
    findings: tuple[Finding, ...]
