"""Verifies the evidence file of a deal or mandate offline, believing only the keys and contracts in `Trust`.

With nodes of one's own it is also checked that the blocks are on their chains, for good. See docs/evidence.md.
"""

from collections.abc import Iterator, Mapping

from connectionchain.audit.chains import check_transactions
from connectionchain.audit.decision import check_certificate
from connectionchain.audit.logged import check_anchors, check_log
from connectionchain.audit.payments import check_over, check_payments
from connectionchain.audit.posted import Extending, check_posted
from connectionchain.audit.report import Check, Finding, Report
from connectionchain.audit.steps import check_complete, check_deal, check_order
from connectionchain.audit.trust import Trust
from connectionchain.errors import Rejected, Unavailable
from connectionchain.evidence import Block
from connectionchain.export import Export
from connectionchain.ids import ChainId
from connectionchain.mandate import Mandate
from connectionchain.rpc import Rpc
from connectionchain.tlog.errors import BadProof

CHECKS = {
    Check.DEAL: check_deal,
    Check.CERTIFICATE: check_certificate,
    Check.LOG: check_log,
    Check.TRANSACTION: check_transactions,
    Check.ORDER: check_order,
    Check.COMPLETE: check_complete,
    Check.ANCHOR: check_anchors,
}
FOR_MANDATES = CHECKS | {Check.CERTIFICATE: check_payments, Check.COMPLETE: check_over}


def verify(file: bytes, trust: Trust) -> Report:
    """Every check that needs no network. Never raises on what is in the file: each failure is a finding."""
    try:
        export = Export.read(file)
    except BadProof as error:
        return Report(checked=(Check.FILE,), findings=(Finding(check=Check.FILE, where="file", what=str(error)),))
    checks = FOR_MANDATES if isinstance(export.deal, Mandate) else CHECKS
    findings = tuple(finding for check in checks.values() for finding in check(export, trust))
    return Report(deal=export.deal.id, checked=(Check.FILE, *checks, Check.EVENT), findings=findings)


async def verify_with_nodes(
    file: bytes, trust: Trust, nodes: Mapping[ChainId, Rpc], log: Extending | None = None
) -> Report:
    """`verify`, then: each block is the canonical one of its number, and final; and with `log`, each chain's newest
    anchor is of the log shown. A node or log that does not answer is a finding too: the check was not made."""
    report = verify(file, trust)
    if Check.FILE in (finding.check for finding in report.findings):
        return report
    export = Export.read(file)
    found = [
        Finding(check=Check.CHAIN, where=where, what=what)
        for where, chain, block in _blocks(export)
        if (what := await _problem(chain, block, nodes))
    ]
    if log:
        found += await check_posted(export, trust, nodes, log)
    return report.model_copy(update={"checked": (*report.checked, Check.CHAIN), "findings": (*report.findings, *found)})


def _blocks(export: Export) -> Iterator[tuple[str, ChainId, Block]]:
    named = [(f"transactions.{n}", each) for n, each in enumerate(export.transactions)]
    named += [(f"anchors.{n}.transaction", each.transaction) for n, each in enumerate(export.anchors)]
    for where, proof in named:
        try:
            yield where, proof.chain, proof.verify().block
        except BadProof:
            continue  # found before


async def _problem(chain: ChainId, block: Block, nodes: Mapping[ChainId, Rpc]) -> str:
    if chain not in nodes:
        return f"no node of {chain} was given"
    try:
        canonical, final = await nodes[chain].block(block.number), await nodes[chain].final_block()
    except (Rejected, Unavailable) as error:
        return f"could not be checked: {error}"
    if canonical.hash != block.hash:
        return f"block {block.number} of {chain} is {canonical.hash}, not {block.hash}"
    return "" if block.number <= final.number else f"block {block.number} is not final, {final.number} is"
