"""Is every record in the log that is signed, witnessed and anchored?"""

from collections.abc import Iterator

from connectionchain import anchors
from connectionchain.audit.report import Check, Finding, attempt
from connectionchain.audit.trust import Trust
from connectionchain.export import Anchor, Export, LoggedRecord
from connectionchain.tlog import lines, merkle
from connectionchain.tlog.checkpoint import Checkpoint
from connectionchain.tlog.errors import BadProof
from connectionchain.tlog.proof import LogPolicy, LogProof


def check_log(export: Export, trust: Trust) -> Iterator[Finding]:
    """Each record's proof holds, and the records come in the log's order under one checkpoint."""
    policy = trust.policy
    for n, each in enumerate(export.records):
        yield from attempt(Check.LOG, f"records.{n}.proof", _verify, each, policy)
    try:
        proofs = [LogProof.parse(each.proof) for each in export.records]
    except BadProof:
        return
    for n in range(1, len(proofs)):
        if proofs[n - 1].index >= proofs[n].index:
            what = f"entry {proofs[n].index} of the log comes after entry {proofs[n - 1].index}"
            yield Finding(check=Check.LOG, where=f"records.{n}", what=what)
        if proofs[n].checkpoint != proofs[0].checkpoint:
            what = "is under another checkpoint than the first record"
            yield Finding(check=Check.LOG, where=f"records.{n}.proof", what=what)


def check_anchors(export: Export, trust: Trust) -> Iterator[Finding]:
    """Each anchored checkpoint is the log's, and it and the records' checkpoint are states of one append-only log."""
    for n, anchor in enumerate(export.anchors):
        yield from attempt(Check.ANCHOR, f"anchors.{n}", _consistent, anchor, export, trust)


def _verify(each: LoggedRecord, policy: LogPolicy) -> None:
    proof = LogProof.parse(each.proof)
    if proof.extra is not None or str(proof) != each.proof:
        raise BadProof("has extra data, or is not in its canonical form", field="tlog-proof")
    proof.verify(each.record.canonical(), policy)


def _consistent(anchor: Anchor, export: Export, trust: Trust) -> None:
    anchored, shown = anchors.opened(anchor.transaction.verify().call_data, trust.policy.log), shown_checkpoint(export)
    old, new = sorted((anchored, shown), key=lambda each: each.size)
    proof = [lines.decode_hash(row, "consistency") for row in anchor.consistency]
    merkle.verify_consistency(old.size, old.root, new.size, new.root, proof)


def shown_checkpoint(export: Export) -> Checkpoint:
    """What all records are under. Raises BadProof."""
    if not export.records:
        raise BadProof("there is no record to anchor", field="records")
    return Checkpoint.parse(LogProof.parse(export.records[0].proof).checkpoint.text)
