"""`reconcile`: compare chains, evidence and workflows now, instead of waiting for the schedule."""

from connectionchain.cli import options, output
from connectionchain.client import Client
from connectionchain.reconciliation import ReconciliationReport


def reconcile(network: options.NetworkFile = None, as_json: options.Json = False) -> int:
    """Compare chains, evidence and workflows; put right what is safe. Exit 1 if anything is left to look at."""

    async def work() -> ReconciliationReport:
        return await (await Client.connect(options.network(network))).reconcile()

    report = options.run(work())
    output.document(report) if as_json else _tell(report)
    return int(any(not each.done for each in report.findings))


def _tell(report: ReconciliationReport) -> None:
    output.line(f"{report.compared} escrow entries compared, {len(report.findings)} findings")
    rows = [
        (each.problem, each.chain, each.detail, each.done or "look at it", each.entry, each.deal)
        for each in report.findings
    ]
    if rows:
        output.table(("problem", "chain", "detail", "done", "entry", "deal"), rows)
