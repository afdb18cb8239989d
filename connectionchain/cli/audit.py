"""`evidence export|verify|page`: all evidence of a deal or mandate in a file that anybody can check, or can read."""

from contextlib import AsyncExitStack
from pathlib import Path
from typing import Annotated

import typer

from connectionchain.audit.report import Check, Report
from connectionchain.audit.trust import Trust
from connectionchain.certificate import Certificate
from connectionchain.cli import options, output
from connectionchain.client import Client
from connectionchain.client.evidence import export as gather
from connectionchain.errors import InvalidInput
from connectionchain.export import LARGEST_FILE, Export
from connectionchain.mandate import Agreement, Mandate
from connectionchain.model import json_of
from connectionchain.network import Network
from connectionchain.page import page as html
from connectionchain.published import PublishedLog
from connectionchain.rpc import Rpc
from connectionchain.verify import verify as verify_offline
from connectionchain.verify import verify_with_nodes

Output = Annotated[Path, typer.Option("--output", "-o", help="The file to write.")]
CertificateFile = Annotated[
    Path | None,
    typer.Option(
        help="File with a deal's certificate (`deals show --json`). With a DEAL file, the engine is not asked."
    ),
]
EvidenceFile = Annotated[Path, typer.Argument(metavar="FILE", help="What `evidence export` wrote.")]


def export(
    deal: options.AgreementRef,
    out: Output,
    certificate: CertificateFile = None,
    network: options.NetworkFile = None,
    as_json: options.Json = False,
) -> None:
    """Write all evidence of a deal or mandate into one file that stands on its own: records, proofs, certificate."""
    found, given = options.network(network), options.agreement(deal)
    content = options.run(assemble(found, given, _given(certificate))).write()
    out.write_bytes(content)
    _say(as_json, f"{out}: {len(content)} bytes", file=str(out), bytes=len(content))


async def assemble(network: Network, deal: Agreement | str, certificate: Certificate | None) -> Export:
    if isinstance(deal, Mandate) or (certificate and not isinstance(deal, str)):
        return await gather(network, deal, certificate)
    return await (await Client.connect(network)).evidence(deal, certificate)


def verify(
    file: EvidenceFile,
    rpc: Annotated[bool, typer.Option("--rpc", help="Also ask the network file's nodes and log.")] = False,
    network: options.NetworkFile = None,
    as_json: options.Json = False,
) -> None:
    """Check an evidence file, believing only the keys and contracts in the network file. Exits 1 if a check fails.

    Offline unless --rpc: then also whether its blocks are on the chains for good, and whether the log is the anchored
    one."""
    found, content = options.network(network), read(file)
    trust = Trust.of(found)
    report = options.run(_with_nodes(content, trust, found)) if rpc else verify_offline(content, trust)
    _document(report) if as_json else _show(report)
    if not report.ok:
        raise typer.Exit(1)


def page(
    deal: options.AgreementRef,
    out: Output,
    certificate: CertificateFile = None,
    network: options.NetworkFile = None,
    as_json: options.Json = False,
) -> None:
    """Write the transaction record as one HTML page to read, keep and print. It is checked as by `verify`."""
    found = options.network(network)
    evidence = options.run(assemble(found, options.agreement(deal), _given(certificate)))
    report = verify_offline(evidence.write(), Trust.of(found))
    out.write_text(html(evidence, report, found))
    _say(
        as_json,
        f"{out}: {'all checks passed' if report.ok else 'CHECKS FAILED, see there'}",
        file=str(out),
        ok=report.ok,
    )
    if not report.ok:
        raise typer.Exit(1)


def _say(as_json: bool, line: str, **content: object) -> None:
    output.document(content) if as_json else output.line(line)


def _given(certificate: Path | None) -> Certificate | None:
    return options.model_in(certificate, "certificate", Certificate) if certificate else None


def read(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            return opened.read(LARGEST_FILE + 1)
    except OSError as error:
        raise InvalidInput(f"{file} cannot be read: {error.strerror}", field="file") from None


async def _with_nodes(content: bytes, trust: Trust, network: Network) -> Report:
    async with AsyncExitStack() as stack:
        log = stack.enter_context(PublishedLog(network.evidence.url))
        nodes = {chain.id: await stack.enter_async_context(Rpc(chain)) for chain in network.chains.values()}
        return await verify_with_nodes(content, trust, nodes, log)


def _document(report: Report) -> None:
    findings = [{**json_of(each), "meaning": each.meaning} for each in report.findings]
    output.document({"ok": report.ok, **json_of(report), "findings": findings})


def _show(report: Report) -> None:
    failed = {finding.check for finding in report.findings}
    checks = [check for check in Check if check in report.checked]
    output.table(("", "check"), [("FAIL" if check in failed else "ok", check) for check in checks], report.deal)
    for finding in report.findings:
        output.line(f"\n{finding.where}: {finding.what}\n  it would mean: {finding.meaning}")
