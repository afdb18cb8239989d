"""`quote`, `pay` and `rates list`: buying in one currency with another."""

from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from connectionchain.cli import options, output
from connectionchain.client import Client
from connectionchain.client.amounts import shown
from connectionchain.deal import Deal
from connectionchain.errors import InvalidInput
from connectionchain.network import Network
from connectionchain.rates import Quote, Rate
from connectionchain.settlement import Explanation

rates_app = typer.Typer(no_args_is_help=True, help="Exchange rates of the liquidity desk.")

Pay = Annotated[str, typer.Option(help="What the payer gives: '12.50 A', or just 'A' to have it priced.")]
Receive = Annotated[str, typer.Option(help="What the payee gets: 'B' to have it priced, or '10 B'.")]
RateName = Annotated[str | None, typer.Option(help="Rate to use. Default: the first in force between the two.")]


def quote(
    pay: Pay,
    receive: Receive,
    rate: RateName = None,
    network: options.NetworkFile = None,
    as_json: options.Json = False,
) -> None:
    """Ask what it costs. Exactly one side has an amount."""
    options.run(_quote(options.network(network), pay, receive, rate, as_json))


async def _quote(network: Network, pay: str, receive: str, rate: str | None, as_json: bool) -> None:
    client = await Client.connect(network)
    offered = await client.quote(pay, receive, rate)
    output.document(offered) if as_json else output.line(_in_words(network, offered))


def _in_words(network: Network, quote: Quote) -> str:
    pay, receive = (shown(network, each.token, each.amount) for each in (quote.pay, quote.receive))
    commission = shown(network, quote.pay.token, quote.commission)
    return f"{pay} -> {receive} (commission {commission}, rate {quote.rate}) until {output.when(quote.expires)}"


def pay(
    to: Annotated[str, typer.Option(help="The payee: an address, or a CAIP-10 account.")],
    pay: Annotated[str, typer.Option(help="As in `quote`.")] = "",
    receive: Annotated[str, typer.Option(help="As in `quote`.")] = "",
    rate: RateName = None,
    quote: Annotated[
        Path | None, typer.Option(help="Take this quote (from `quote --json`) instead of a new one.")
    ] = None,
    decide_within: Annotated[int, typer.Option(min=1, help="Minutes the payee has to confirm.")] = 10,
    wait: Annotated[bool, typer.Option("--wait", help="Follow the deal to its end.")] = False,
    key_file: options.KeyFile = None,
    network: options.NetworkFile = None,
    as_json: options.Json = False,
) -> None:
    """Buy: lock the payer's currency until the payee confirms, cancels, or the time is up."""
    found = options.network(network)
    taken = options.model_in(quote, "quote", Quote) if quote else None
    if not taken and not (pay and receive):
        raise InvalidInput("nothing to pay", field="pay, receive", remedy="give both --pay and --receive, or --quote")
    key = options.key(key_file)

    async def work() -> None:
        client = await Client.connect(found)
        offered = taken or await client.quote(pay, receive, rate)
        deal = await client.pay(offered, key, to, decide_within=timedelta(minutes=decide_within))
        await (_document if as_json else _tell)(client, deal, offered, wait)

    options.run(work())


async def _tell(client: Client, deal: Deal, quote: Quote, wait: bool) -> None:
    output.line(f"{deal.id}\n{_in_words(client.network, quote)}")
    now = await client.result(deal) if wait else await client.explain(deal)
    output.line(f"{now.state} {now.reason}".strip())


async def _document(client: Client, deal: Deal, quote: Quote, wait: bool) -> None:
    now: Explanation | None = None
    try:
        now = await client.result(deal) if wait else await client.explain(deal)
    finally:  # the deal is started: its id must not be lost
        output.document({"deal_id": deal.id, "deal": deal, "quote": quote, "explanation": now})


@rates_app.command("list")
def rates_list(network: options.NetworkFile = None, as_json: options.Json = False) -> None:
    """List the rates in force."""
    options.run(_rates(options.network(network), as_json))


async def _rates(network: Network, as_json: bool) -> None:
    rates = await (await Client.connect(network)).rates()
    if as_json:
        return output.document(rates)
    columns = ("rate", "exchange", "commission", "at most", "until")
    output.table(columns, [_row(network, rate) for rate in rates])


def _row(network: Network, rate: Rate) -> tuple[str, ...]:
    source, target = network.token(rate.source), network.token(rate.target)
    price = float(rate.ratio) * 10 ** (source.decimals - target.decimals)
    commission = f"{float(rate.commission.percent):g} % + {shown(network, rate.source, rate.commission.fixed)}"
    most = shown(network, rate.target, rate.limits.per_deal)
    exchange = f"1 {source.symbol} -> {price:g} {target.symbol}"
    return rate.name, exchange, commission, most, output.when(rate.valid_until)
