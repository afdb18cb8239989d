"""`deals list|show|confirm|cancel|settle`: where deals stand, and what parties do about them."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated

import typer
from eth_account.signers.local import LocalAccount

from connectionchain.certificate import Certificate
from connectionchain.cli import options, output
from connectionchain.client import Client, DealSummary
from connectionchain.client.amounts import account, shown, summary
from connectionchain.deal import Deal
from connectionchain.network import Network
from connectionchain.settlement import Explanation, State
from connectionchain.transactions import Sent
from connectionchain.transactions import settle as settle_on_chains

app = typer.Typer(no_args_is_help=True, help="List, show, confirm, cancel and settle deals.")

Operator = Annotated[
    bool, typer.Option("--operator", help="As a trusted operator, unsigned, where the deal allows it.")
]


@app.command("list")
def list_(
    state: Annotated[State | None, typer.Option(help="Only deals in this state.")] = None,
    party: Annotated[str | None, typer.Option(help="Only deals of this CAIP-10 account.")] = None,
    chain: Annotated[str | None, typer.Option(help="Only deals on this chain.")] = None,
    started_after: Annotated[str | None, typer.Option(help="RFC 3339 time.")] = None,
    started_before: Annotated[str | None, typer.Option(help="RFC 3339 time.")] = None,
    closed_after: Annotated[str | None, typer.Option(help="RFC 3339 time.")] = None,
    closed_before: Annotated[str | None, typer.Option(help="RFC 3339 time.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000)] = 100,
    network: options.NetworkFile = None,
    as_json: options.Json = False,
) -> None:
    """List deals, the newest first."""
    found, party_id = options.network(network), account(party, "party") if party else None
    started = options.time(started_after), options.time(started_before)
    closed = options.time(closed_after), options.time(closed_before)

    async def work() -> None:
        client = await Client.connect(found)
        deals = await client.deals(state, party_id, chain, started, closed, limit)
        if as_json:
            return output.document([{"deal_id": each.deal.id, **each.model_dump(mode="json")} for each in deals])
        rows = [_row(found, each) for each in deals]
        output.table(("deal", "state", "what", "decide by", "started"), rows)

    options.run(work())


def _row(network: Network, each: DealSummary) -> tuple[str, ...]:
    return each.deal.id, each.state, summary(network, each.deal), output.when(each.deadline), output.when(each.started)


@app.command()
def show(deal: options.DealRef, network: options.NetworkFile = None, as_json: options.Json = False) -> None:
    """Tell where a deal stands: what it waits for and until when. The JSON is enough for `deals settle`."""
    found, given = options.network(network), options.deal(deal)

    async def work() -> None:
        client = await Client.connect(found)
        full = await client.deal(given)
        _show(found, full, await client.explain(full), as_json)

    options.run(work())


def _show(network: Network, deal: Deal, now: Explanation, as_json: bool) -> None:
    if as_json:
        return output.document({"deal_id": deal.id, "deal": deal, "explanation": now})
    output.line(f"{deal.id}\n{summary(network, deal)}\n{now.state}" + (f": {now.reason}" if now.reason else ""))
    if now.waiting_for:
        until = f", until {output.when(now.deadline)}" if now.deadline else ""
        output.line(f"waits for {'; '.join(now.waiting_for)}{until}")
    if now.next_action:
        output.line(f"next: {now.next_action}")
    rows = [
        (
            str(step.leg),
            step.kind,
            shown(network, deal.legs[step.leg].token, deal.legs[step.leg].amount),
            network.chain_name(step.chain),
            output.when(step.block.time),
            str(step.block.number),
            step.transaction,
        )
        for step in now.steps
    ]
    if rows:
        output.table(("leg", "step", "amount", "chain", "chain time", "block", "transaction"), rows)


def _said(verb: Callable[[Client, Deal | str, LocalAccount | None], Awaitable[Explanation]]) -> Callable[..., None]:
    """The command by which a party, or a trusted operator, says it."""

    def say(
        deal: options.DealRef,
        operator: Operator = False,
        key_file: options.KeyFile = None,
        network: options.NetworkFile = None,
        as_json: options.Json = False,
    ) -> None:
        key = None if operator else options.key(key_file)
        found, given = options.network(network), options.deal(deal)

        async def work() -> None:
            client = await Client.connect(found)
            full = await client.deal(given)
            _show(found, full, await verb(client, full, key), as_json)

        options.run(work())

    return say


app.command("confirm", help="Confirm a deal with the key of a party that it asks for.")(_said(Client.confirm))
app.command("cancel", help="Cancel a deal with the key of a party that may: everything locked goes back.")(
    _said(Client.cancel)
)


@app.command()
def settle(
    deal: options.DealRef,
    certificate: Annotated[
        Path | None,
        typer.Option(
            help="File with the certificate (`deals show --json` writes one). With a DEAL file, no server is asked."
        ),
    ] = None,
    key_file: options.KeyFile = None,
    network: options.NetworkFile = None,
    as_json: options.Json = False,
) -> None:
    """Carry out a decided deal on its chains. Anybody may, with a key that pays the fees; twice does no harm."""
    found, given, key = options.network(network), options.deal(deal), options.key(key_file)
    decided = _certificate(certificate) if certificate else None

    async def work() -> None:
        if decided and isinstance(given, Deal):
            sent = await settle_on_chains(found, given, decided, key)
        else:
            sent = await (await Client.connect(found)).settle(given, key, decided)
        show_sent(found, sent, as_json)

    options.run(work())


def _certificate(file: Path) -> Certificate:
    return options.model_in(file, "certificate", Certificate)


def show_sent(network: Network, sent: list[Sent], as_json: bool) -> None:
    if as_json:
        return output.document(sent)
    if not sent:
        return output.line("nothing left to do: no entry is locked")
    rows = [(network.chain_name(s.chain), output.when(s.block.time), str(s.block.number), s.transaction) for s in sent]
    output.table(("chain", "chain time", "block", "transaction"), rows)
