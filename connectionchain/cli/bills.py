"""`bills start|list|show|top-up|terminate|dispute`: paying for use by mandate."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated

import typer
from eth_account.signers.local import LocalAccount

from connectionchain.billing import Bill
from connectionchain.bills import MandateStatement
from connectionchain.cli import options, output
from connectionchain.client import Client
from connectionchain.client.amounts import amount as amount_of
from connectionchain.client.amounts import shown
from connectionchain.errors import UnknownName
from connectionchain.mandate import Mandate

app = typer.Typer(no_args_is_help=True, help="Mandates: use on one chain, paid on another.")

MandateRef = Annotated[
    str, typer.Argument(metavar="MANDATE", help="A mandate's id, or a file that holds it (as `bills show --json`).")
]


@app.command()
def start(
    mandate: Annotated[Path, typer.Argument(help="File with the mandate (see docs/billing.md).")],
    key_file: options.KeyFile = None,
    network: options.NetworkFile = None,
    as_json: options.Json = False,
) -> None:
    """Lock a mandate's cap with the consumer's key, and bill from now on."""
    given = options.model_in(mandate, "mandate", Mandate)
    _say(lambda client, full, key: client.mandates.start(full, key), given, key_file, network, as_json)


@app.command("list")
def list_(
    limit: Annotated[int, typer.Option(min=1, max=10_000)] = 100,
    network: options.NetworkFile = None,
    as_json: options.Json = False,
) -> None:
    """List mandates, the newest first."""
    found = options.network(network)

    async def work() -> None:
        mandates = await (await Client.connect(found)).mandates.list(limit)
        if as_json:
            return output.document([{"mandate_id": m.id, "mandate": m, "state": state} for m, state in mandates])
        rows = [
            (m.id, state, shown(found, m.token, m.cap), m.consumer, m.provider, output.when(m.end))
            for m, state in mandates
        ]
        output.table(("mandate", "state", "cap", "consumer", "provider", "end"), rows)

    options.run(work())


@app.command()
def show(mandate: MandateRef, network: options.NetworkFile = None, as_json: options.Json = False) -> None:
    """Show every use with its transaction, price and running total, and the transactions that paid."""
    found, given = options.network(network), _mandate(mandate)

    async def work() -> None:
        statement = await (await Client.connect(found)).mandates.statement(given)
        output.document(statement) if as_json else _show(statement, lambda n: shown(found, statement.mandate.token, n))

    options.run(work())


def _show(statement: MandateStatement, money: Callable[[int], str]) -> None:
    bill = statement.bill
    output.line(f"{statement.mandate_id}\n{bill.state}" + (f": {bill.progress.reason}" if bill.progress.reason else ""))
    output.line(f"{bill.progress.uses} uses cost {money(bill.progress.used)} of {money(bill.cap)}")
    output.line(f"{money(bill.progress.settled)} settled" + (", the cap is near" if bill.near_cap else ""))
    output.table(
        ("use", "chain time", "units", "price", "running total", "status", "used in", "paid in"),
        [
            (
                str(each.use.number),
                output.when(each.use.time),
                str(each.use.units),
                money(each.use.price),
                money(each.use.total),
                each.status,
                each.use.transaction,
                each.settled_in or "",
            )
            for each in statement.lines
        ],
    )
    rows = [
        (each.kind, output.when(each.block.time), money(each.paid), money(each.total), each.transaction)
        for each in statement.settlements
    ]
    output.table(("settlement", "chain time", "paid", "in all", "transaction"), rows)
    if statement.silent:
        output.warning("the token chain does not answer: what it paid is not known now")


@app.command("top-up")
def top_up(
    mandate: MandateRef,
    amount: Annotated[str, typer.Option(help="How much more to lock, in the mandate's currency: 12.50.")],
    key_file: options.KeyFile = None,
    network: options.NetworkFile = None,
    as_json: options.Json = False,
) -> None:
    """Lock more with the consumer's key, until it is final: use recorded as unpaid is paid from it, in order."""

    async def say(client: Client, full: Mandate, key: LocalAccount) -> Bill:
        more = amount_of(client.network.token(full.token), amount, "amount")
        return await client.mandates.top_up(full, more.amount, key)

    _say(say, _mandate(mandate), key_file, network, as_json)


@app.command()
def terminate(
    mandate: MandateRef,
    key_file: options.KeyFile = None,
    network: options.NetworkFile = None,
    as_json: options.Json = False,
) -> None:
    """End a mandate now with the consumer's key: what was used is paid, the rest returns."""
    _say(lambda client, full, key: client.mandates.terminate(full, key), _mandate(mandate), key_file, network, as_json)


@app.command()
def dispute(
    mandate: MandateRef,
    use: Annotated[int, typer.Option(min=1, help="Number of the use, as `bills show` lists it.")],
    key_file: options.KeyFile = None,
    network: options.NetworkFile = None,
    as_json: options.Json = False,
) -> None:
    """Dispute one use with the consumer's key, before its dispute window has passed: its price is held back."""

    async def say(client: Client, full: Mandate, key: LocalAccount) -> Bill:
        async for each in client.mandates.uses(full):
            if each.number == use:
                return await client.mandates.dispute(full, each.at, key)
        raise UnknownName(f"there is no use {use}", field="use", remedy="see `connectionchain bills show`")

    _say(say, _mandate(mandate), key_file, network, as_json)


def _say(
    verb: Callable[[Client, Mandate, LocalAccount], Awaitable[object]],
    mandate: Mandate | str,
    key_file: Path | None,
    network: Path | None,
    as_json: bool,
) -> None:
    found, key = options.network(network), options.key(key_file)

    async def work() -> None:
        client = await Client.connect(found)
        full = await client.mandates.mandate(mandate)
        await verb(client, full, key)
        bill = await client.mandates.explain(full)
        output.document({"mandate_id": full.id, "bill": bill}) if as_json else output.line(f"{full.id}\n{bill.state}")

    options.run(work())


def _mandate(given: str) -> Mandate | str:
    if given.startswith("0x") and len(given) == 2 + 64:
        return given.lower()
    return options.model_in(Path(given), "mandate", Mandate)
