"""What a verifier found: which check failed, where, what was seen, and what it would mean."""

from collections.abc import Callable
from enum import StrEnum
from typing import ParamSpec

from connectionchain.model import Model
from connectionchain.tlog.errors import BadProof

P = ParamSpec("P")


class Check(StrEnum):
    """The checks, in the order in which they are made."""

    FILE = "file"
    DEAL = "deal"
    CERTIFICATE = "certificate"
    LOG = "log"
    TRANSACTION = "transaction"
    EVENT = "event"
    ORDER = "order"
    COMPLETE = "complete"
    ANCHOR = "anchor"
    CHAIN = "chain"

    @property
    def meaning(self) -> str:
        """What it would mean if this check failed."""
        return _MEANING[self]


_MEANING = {
    Check.FILE: "the file was cut short, damaged or edited: nothing in it can be relied on",
    Check.DEAL: "this is evidence of another deal, or of other terms than those the parties signed",
    Check.CERTIFICATE: "the attestors you trust did not take this decision",
    Check.LOG: "the record may be made up, or the log rewritten: log and witnesses do not stand by it",
    Check.TRANSACTION: "nothing shows that the chain holds this transaction",
    Check.EVENT: "the chain tells another story than the record",
    Check.ORDER: "a step came before the one it depends on: assets moved without what entitled them to",
    Check.COMPLETE: "the deal is not over, a record was left out, or one side was paid and the other was not",
    Check.ANCHOR: "the log that is shown now is not the one that was anchored on the chain: it was rewritten",
    Check.CHAIN: "the block is not, or not for good, on the chain that your node follows",
}


class Finding(Model):
    """One failed check. `where` is a path in the file, such as `records.2`."""

    check: Check
    where: str
    what: str

    @property
    def meaning(self) -> str:
        return self.check.meaning

    def __str__(self) -> str:
        return f"{self.check} failed at {self.where}: {self.what}. It would mean: {self.meaning}."


class Report(Model):
    """The outcome of a verification; `checked` are the checks that were made."""

    deal: str = ""
    checked: tuple[Check, ...] = ()
    findings: tuple[Finding, ...] = ()

    @property
    def ok(self) -> bool:
        return not self.findings


def attempt(check: Check, where: str, proof: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> list[Finding]:
    """No finding if `proof` passes, one if it raises BadProof."""
    try:
        proof(*args, **kwargs)
    except BadProof as error:
        return [Finding(check=check, where=where, what=str(error))]
    return []
