"""A deal's or mandate's transaction record for people (the paper's Figure 4): one HTML file to read, keep and print.
No scripts.
"""

from collections.abc import Iterable
from html import escape
from importlib.resources import files

from connectionchain.audit.report import Report
from connectionchain.client.amounts import shown
from connectionchain.deal import Deal, Leg
from connectionchain.evidence import EvidenceRecord, Kind
from connectionchain.export import Export
from connectionchain.mandate import Mandate
from connectionchain.model import rfc3339
from connectionchain.network import Network
from connectionchain.tlog.checkpoint import Checkpoint
from connectionchain.tlog.proof import LogProof

DID = {
    Kind.LOCKED: "locked in escrow",
    Kind.RELEASED: "released to the payee",
    Kind.REFUNDED: "refunded to the payer",
    Kind.METERED: "paid for use so far, in all",
    Kind.CLOSED: "paid for use in the end, in all; the rest went back",
    Kind.RECLAIMED: "reclaimed for the payer",
    Kind.CANCELLED: "cancelled before it was locked",
    Kind.DISPLACED: "displaced: the chain replaced the block",
}


def page(export: Export, report: Report, network: Network) -> str:
    """`report` is what verifying the export found; both are shown. Raises BadProof if an anchor proves nothing."""
    style = files("connectionchain").joinpath("page.css").read_text()
    deal = export.deal
    return _document(
        style,
        f"Transaction record {deal.id}",
        _tag("header", _tag("p", "ConnectionChain", kind="brand"), _tag("h1", "Transaction record"), _code(deal.id)),
        _verdict(report),
        _tag("h2", "Agreed"),
        _agreed(export, network),
        _tag("h2", "Done"),
        _tag("ol", *(_step(each.record, export, network) for each in export.records), kind="timeline"),
        _tag("h2", "Vouched for by"),
        _vouchers(export, network),
        _tag("footer", _tag("p", "Anybody can check this: ", _code("connectionchain evidence verify FILE"), ".")),
    )


def _verdict(report: Report) -> str:
    if report.ok:
        told = f"All {len(report.checked)} checks passed: {', '.join(report.checked)}."
        return _tag("p", escape(told), kind="verdict good")
    found = [_tag("li", escape(f"{each.where}: {each.what} — {each.meaning}")) for each in report.findings]
    return _tag("div", _tag("p", f"{len(found)} findings"), _tag("ul", *found), kind="verdict bad")


def _agreed(export: Export, network: Network) -> str:
    deal = export.deal
    facts = _mandate(deal, network) if isinstance(deal, Mandate) else _deal(deal, network)
    facts += [("Expiry", rfc3339(deal.expiry))]
    facts += [("Reference", escape(deal.reference))] if deal.reference else []
    return _table(facts)


def _deal(deal: Deal, network: Network) -> list[tuple[str, str]]:
    legs = [(f"Leg {n}", _leg(leg, network)) for n, leg in enumerate(deal.legs)]
    return [*legs, ("Decide by", rfc3339(deal.decide_by))]


def _mandate(mandate: Mandate, network: Network) -> list[tuple[str, str]]:
    cap = Leg(token=mandate.token, payer=mandate.consumer, payee=mandate.provider, amount=mandate.cap)
    usage, name = mandate.usage, mandate.usage.event.partition("(")[0]
    counted = f"{escape(name)} on {escape(network.chain_name(usage.chain))}<br>{_code(usage.contract)}"
    return [("At most", _leg(cap, network)), ("For each", counted), ("End", rfc3339(mandate.end))]


def _leg(leg: Leg, network: Network) -> str:
    amount, chain = escape(shown(network, leg.token, leg.amount)), escape(network.chain_name(leg.chain))
    return f"{_tag('b', amount)} on {chain}<br>{_code(leg.payer.address)} to {_code(leg.payee.address)}"


def _step(record: EvidenceRecord, export: Export, network: Network) -> str:
    step = record.step
    part = "lock" if isinstance(export.deal, Mandate) else "leg"
    place = f"{part} {step.leg} on {network.chain_name(step.chain)}, block {step.block.number}"
    return _tag(
        "li",
        f'<time datetime="{rfc3339(step.block.time)}">{rfc3339(step.block.time)}</time>',
        _tag("p", _tag("b", escape(shown(network, record.token, record.amount))), " ", DID.get(step.kind, step.kind)),
        _tag("p", escape(place), kind="place"),
        _code(step.transaction),
        kind=step.kind.value,
    )


def _vouchers(export: Export, network: Network) -> str:
    rows = []
    if decided := export.certificate:
        rows.append(("Decision", f"{decided.outcome}, signed by attestors {_names(decided.attestors, network)}"))
    elif payers := {attestor for each in export.records for attestor in each.record.attestors}:
        rows.append(("Payments", f"signed by attestors {_names(sorted(payers), network)}"))
    if export.records:
        rows += _log(export)
    for anchor in export.anchors:
        chain, proven = network.chain_name(anchor.transaction.chain), anchor.transaction.verify()
        where = escape(f"{chain}, block {proven.block.number}, {rfc3339(proven.block.time)}")
        rows.append(("Anchor", f"{where} {_code(proven.transaction)}"))
    return _table(rows)


def _names(attestors: Iterable[str], network: Network) -> str:
    names = {address: name for name, address in network.attestors.members.items()}
    return ", ".join(escape(names.get(each, each)) for each in attestors)


def _log(export: Export) -> list[tuple[str, str]]:
    proof = LogProof.parse(export.records[0].proof)
    checkpoint = Checkpoint.parse(proof.checkpoint.text)
    signed = ", ".join(escape(each.name) for each in proof.checkpoint.signatures)
    return [
        ("Log", f"{escape(checkpoint.origin)}, {checkpoint.size} records, root {_code(checkpoint.root.hex())}"),
        ("Signed by", signed),
    ]


def _document(style: str, title: str, *body: str) -> str:
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        f"<title>{escape(title)}</title>\n<style>\n{style}</style>\n</head>\n<body>\n"
        + "\n".join(body)
        + "\n</body>\n</html>\n"
    )


def _tag(name: str, *content: str, kind: str = "") -> str:
    attribute = f' class="{kind}"' if kind else ""
    return f"<{name}{attribute}>{''.join(content)}</{name}>"


def _code(text: str) -> str:
    return _tag("code", escape(text))


def _table(rows: Iterable[tuple[str, ...]]) -> str:
    """Cells are HTML; the first of a row is its heading."""
    return _tag(
        "table", *(_tag("tr", _tag("th", first), *(_tag("td", each) for each in rest)) for first, *rest in rows)
    )
