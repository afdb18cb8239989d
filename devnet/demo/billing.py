"""The paper's second story (section 5.2): Hanako uses data on chain b, and pays the provider for it in A on chain a."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from eth_account.signers.local import LocalAccount
from eth_utils.crypto import keccak
from rich.console import Console
from rich.table import Table

from connectionchain.billing import Bill, BillState
from connectionchain.bills import MandateStatement
from connectionchain.client.amounts import shown
from connectionchain.client.checks import balance
from connectionchain.escrow import call
from connectionchain.events import EventFilter, Predicate
from connectionchain.mandate import Mandate
from connectionchain.rpc import Rpc
from connectionchain.tariff import Tariff, Tier
from connectionchain.transactions import send
from devnet.demo.stage import Stage
from devnet.deploy import data_access

PROLOGUE = """
[bold]Data, paid by use[/bold]
Chain b also records who uses whose data. Hanako signs one mandate: 10.00 A at most,
0.01 A for ten bytes, at least 0.05 A for a use. Each use on chain b is priced once it
is final; what is due is paid on chain a. Then she ends it, and the rest returns to her."""
DATA_USED = "DataUsed(address indexed consumer, address indexed provider, bytes32 indexed dataset, uint256 size)"
SIZES = {"map": 1234, "timetable": 321, "notice": 20}
USED = ("map", "timetable", "map", "notice")
PRICES = (123, 32, 123, 5)
CAP, THRESHOLD = 10_00, 2_00
POLL_SECONDS = 0.2


async def play(console: Console, stage: Stage) -> tuple[MandateStatement, list[str]]:
    """The statement at the end, and what is wrong with it or with the money."""
    console.print(PROLOGUE, highlight=False)
    provider, hanako, before = stage.keys["bookstore"], stage.keys["hanako"], await _held(stage)
    for name, size in SIZES.items():
        await _on_data_chain(stage, provider, "publish(bytes32,uint96)", _dataset(name), size)
        await _on_data_chain(stage, provider, "grant(bytes32,address)", _dataset(name), hanako.address)
    mandates = stage.client.mandates
    mandate = await mandates.start(await _mandate(stage), hanako)
    await _until(stage, mandate, lambda now: now.state is BillState.ACTIVE)
    for name in USED:
        await _on_data_chain(stage, hanako, "use(bytes32)", _dataset(name))
    await _until(stage, mandate, lambda now: now.progress.uses == len(USED) and now.progress.settlements > 0)
    await mandates.terminate(mandate, hanako, datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=2))
    await mandates.result(mandate)
    statement = await mandates.statement(mandate)
    report(console, stage, statement)
    return statement, list(problems(statement, before, await _held(stage)))


def problems(statement: MandateStatement, before: list[int], after: list[int]) -> Iterator[str]:
    prices = tuple(line.use.price for line in statement.lines)
    if statement.bill.state is not BillState.CLOSED or prices != PRICES:
        yield f"the mandate ended {statement.bill.state} with prices {prices}"
    if [now - then for now, then in zip(after, before, strict=True)] != [-sum(PRICES), sum(PRICES)]:
        yield f"Hanako and the provider had {before} base units of A, and have {after}"


def report(console: Console, stage: Stage, statement: MandateStatement) -> None:
    table = Table("use", "bytes", "price", "in all", box=None, pad_edge=False)
    for line in statement.lines:
        use = line.use
        money = (shown(stage.network, statement.mandate.token, units) for units in (use.price, use.total))
        table.add_row(str(use.number), str(use.units), *money)
    console.print(f"\nmandate {statement.mandate_id}: {statement.bill.state}", highlight=False, soft_wrap=True)
    console.print(table, highlight=False)
    for each in statement.settlements:
        paid, back = (shown(stage.network, statement.mandate.token, units) for units in (each.paid, each.returned))
        console.print(f"  {each.kind}: {paid} to the provider, {back} back to Hanako", highlight=False)
        console.print(f"    [dim]{each.transaction}[/dim]", highlight=False, soft_wrap=True)


async def _mandate(stage: Stage) -> Mandate:
    network, now, hanako = stage.network, datetime.now(UTC).replace(microsecond=0), stage.keys["hanako"].address
    async with Rpc(network.chain("b")) as rpc:
        since = (await rpc.block()).number
    return Mandate(
        token=network.token("A").id,
        consumer=network.account("a", hanako),
        provider=network.account("a", stage.keys["bookstore"].address),
        cap=CAP,
        tariff=Tariff(tiers=(Tier(price="1/10"),), minimum=5),
        usage=EventFilter(
            chain=network.chain("b").id,
            contract=data_access(),
            event=DATA_USED,
            where=(Predicate(field="consumer", value=hanako),),
            since=since,
        ),
        units="size",
        threshold=THRESHOLD,
        period=3600,
        end=now + timedelta(minutes=10),
        expiry=now + timedelta(minutes=20),
    )


async def _until(stage: Stage, mandate: Mandate, wanted: Any) -> Bill:
    while not wanted(now := await stage.client.mandates.explain(mandate)):  # noqa: ASYNC110
        await asyncio.sleep(POLL_SECONDS)
    return now


async def _on_data_chain(stage: Stage, key: LocalAccount, signature: str, *values: Any) -> None:
    chain = stage.network.chain("b").model_copy(update={"escrow_address": data_access()})
    async with Rpc(chain) as rpc:
        await send(rpc, call(signature, *values), key)


async def _held(stage: Stage) -> list[int]:
    """What Hanako and the provider hold of A."""
    token, network = stage.network.token("A").id, stage.network
    accounts = [network.account("a", stage.keys[name].address) for name in ("hanako", "bookstore")]
    return [await balance(network, token, account) for account in accounts]


def _dataset(name: str) -> bytes:
    return keccak(text=name)
