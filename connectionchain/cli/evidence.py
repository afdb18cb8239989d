"""`evidence show` and `reclaim`: what works with every server of ours dead, asking nobody but the chains."""

from collections.abc import Sequence

import typer

from connectionchain import onchain, transactions
from connectionchain.cli import options, output
from connectionchain.cli.deals import show_sent
from connectionchain.client.amounts import shown
from connectionchain.errors import Unavailable, UnknownName
from connectionchain.evidence import Kind
from connectionchain.ids import TokenId
from connectionchain.network import Network
from connectionchain.onchain import Entry, Record

app = typer.Typer(no_args_is_help=True, help="What the chains and the log prove about a deal.")


@app.command()
def show(deal: options.AgreementRef, network: options.NetworkFile = None, as_json: options.Json = False) -> None:
    """Show the transaction record of a deal: id and chain time of every step on every chain. Needs only the chains."""
    found = options.network(network)
    record = options.run(onchain.record(found, options.agreement(deal)))
    if not record.entries and not record.silent:
        raise _unknown(record)
    output.document(record) if as_json else _show(found, record)
    _check_silent(found, record)


def _show(network: Network, record: Record) -> None:
    rows = [row for entry in record.entries for row in _rows(network, entry)]
    output.table(
        ("chain", "step", "amount", "to", "chain time", "block", "final", "transaction"), rows, f"deal {record.deal}"
    )


def _rows(network: Network, entry: Entry) -> Sequence[tuple[str, ...]]:
    token = TokenId(f"{entry.chain}/erc20:{entry.terms.token}")
    return [
        (
            network.chain_name(entry.chain),
            event.kind,
            shown(network, token, event.paid or event.returned or entry.terms.amount),
            _receiver(entry, event.kind),
            output.when(event.block.time),
            str(event.block.number),
            "yes" if event.final else "not yet",
            event.transaction,
        )
        for event in entry.events
    ]


def _receiver(entry: Entry, kind: Kind) -> str:
    if kind in (Kind.REFUNDED, Kind.RECLAIMED):
        return entry.terms.payer
    return "escrow" if kind is Kind.LOCKED else entry.terms.payee


def reclaim(
    deal: options.AgreementRef,
    key_file: options.KeyFile = None,
    network: options.NetworkFile = None,
    as_json: options.Json = False,
) -> None:
    """Give what an expired deal still holds back to its payers. Needs only the chains, and a key that pays the fees."""
    found, key = options.network(network), options.key(key_file)

    async def work() -> None:
        record = await onchain.record(found, options.agreement(deal))
        if not record.entries and not record.silent:
            raise _unknown(record)
        sent = [await transactions.reclaim(found, entry, key) for entry in record.entries if entry.open]
        show_sent(found, sent, as_json)
        _check_silent(found, record)

    options.run(work())


def _unknown(record: Record) -> UnknownName:
    return UnknownName(
        f"no chain of the network knows {record.deal}", field="deal", remedy="check the id and the network file"
    )


def _check_silent(network: Network, record: Record) -> None:
    if record.silent:
        names = ", ".join(network.chain_name(chain) for chain in record.silent)
        raise Unavailable(f"no node of {names} answers: what is above lacks it", field="rpc", remedy="try again later")
