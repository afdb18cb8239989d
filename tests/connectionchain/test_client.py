"""The client against the whole stack: engine, workers, attestors, desk and chains."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from eth_account import Account

from connectionchain import Client, Confirmed, Deal, Leg, State
from connectionchain.client.checks import balance
from connectionchain.client.engine import Engine
from connectionchain.errors import (
    ConnectionChainError,
    InvalidInput,
    NotEntitled,
    PriceRefused,
    Refused,
    TooLate,
    Unavailable,
    UnknownName,
)
from connectionchain.evidence import Kind
from connectionchain.network import Engine as Address
from connectionchain.settlement import SettlementStart
from connectionchain.statements import signed

HALF_A_MINUTE = 30.0


async def bought(stack: Any, receive: str = "10 B") -> Deal:
    quote = await stack.client.quote("A", receive)
    deal: Deal = await stack.client.pay(quote, stack.keys["hanako"], stack.keys["bookstore"].address)
    return deal


async def until(stack: Any, deal: Deal, state: State) -> None:
    async for now in stack.client.follow(deal, interval=0.2):
        if now.state is state:
            return
    pytest.fail(f"it ended before {state}")


async def swap(stack: Any, **terms: Any) -> Deal:
    """Hanako gives the liquidity 5 A, and gets 3 A of the other's: on one chain, needing nobody's confirmation."""
    now = datetime.now(UTC).replace(microsecond=0)
    hanako, other = (stack.network.account("a", stack.keys[label].address) for label in ("hanako", "liquidity"))
    token = stack.network.token("A").id
    legs = (
        Leg(token=token, payer=hanako, payee=other, amount=500),
        Leg(token=token, payer=other, payee=hanako, amount=300),
    )
    usual = {"legs": legs, "decide_by": now + timedelta(minutes=5), "expiry": now + timedelta(minutes=10)}
    return Deal.model_validate(usual | terms)


async def test_pay__confirmed(stack: Any) -> None:
    client, token = stack.client, stack.network.token("B").id
    shop = stack.network.account("b", stack.keys["bookstore"].address)
    before = await balance(stack.network, token, shop)
    deal = await bought(stack)
    await client.confirm(deal.id, stack.keys["bookstore"])
    result = await client.result(deal, HALF_A_MINUTE)
    assert result.state is State.SETTLED
    assert await balance(stack.network, token, shop) == before + 1000
    record = await client.record(deal)
    told = {(step.leg, step.transaction) for step in result.steps}
    assert {(entry.leg, event.transaction) for entry in record.entries for event in entry.events} == told
    assert await client.settle(deal, stack.keys["hanako"]) == []


async def test_pay__cancelled(stack: Any) -> None:
    deal = await bought(stack)
    await until(stack, deal, State.LOCKED)
    await stack.client.cancel(deal, stack.keys["bookstore"])
    assert (await stack.client.result(deal, HALF_A_MINUTE)).state is State.REFUNDED
    with pytest.raises(TooLate):
        await stack.client.confirm(deal, stack.keys["bookstore"])


async def test_pay__payer_is_the_liquidity(stack: Any) -> None:
    quote = await stack.client.quote("A", "1 B")
    with pytest.raises(InvalidInput, match="payer: is a liquidity account"):
        await stack.client.pay(quote, stack.keys["liquidity"], stack.keys["liquidity"].address)


async def test_pay__quote_expired(stack: Any) -> None:
    quote = await stack.client.quote("A", "1 B")
    old = quote.model_copy(update={"expires": datetime.now(UTC) - timedelta(seconds=1)})
    with pytest.raises(TooLate, match=r"quote: .* expired at"):
        await stack.client.pay(old, stack.keys["hanako"], stack.keys["bookstore"].address)


async def test_quote__both_sides_priced(stack: Any) -> None:
    bought_for = await stack.client.quote("A", "10 B")
    sold_for = await stack.client.quote("12 A", "B")
    assert bought_for.receive.amount == 1000
    assert sold_for.pay.amount == 1200
    assert (await stack.client.rates())[0].in_force(datetime.now(UTC))


@pytest.mark.parametrize(("pay", "receive"), [("A", "B"), ("1 A", "1 B")], ids=["neither", "both"])
async def test_quote__not_exactly_one_side(stack: Any, pay: str, receive: str) -> None:
    with pytest.raises(InvalidInput, match="exactly one side has an amount"):
        await stack.client.quote(pay, receive)


async def test_quote__no_rate_between(stack: Any) -> None:
    with pytest.raises(PriceRefused, match="no rate in force sells"):
        await stack.client.quote("1 A", "A")


async def test_quote__unknown_rate(stack: Any) -> None:
    with pytest.raises(UnknownName, match="no-such-rate"):
        await stack.client.quote("1 A", "B", "no-such-rate")


async def test_confirm__by_a_stranger(stack: Any) -> None:
    deal = await bought(stack, "1 B")
    with pytest.raises(NotEntitled, match=r"gives 0x.* no confirmation \(it asks for: eip155"):
        await stack.client.confirm(deal, Account.create())
    assert not (await stack.client.explain(deal)).state.terminal
    await stack.client.cancel(deal, stack.keys["bookstore"])


async def test_confirm__operator_where_a_party_is_asked(stack: Any) -> None:
    deal = await bought(stack, "1 B")
    with pytest.raises(NotEntitled, match="an operator without a key"):
        await stack.client.confirm(deal)
    await stack.client.cancel(deal, stack.keys["bookstore"])


async def test_confirm__operator(stack: Any) -> None:
    deal = await stack.client.start(await swap(stack, condition=Confirmed()))
    for label in ("hanako", "liquidity"):
        await stack.client.authorize(deal.id, stack.keys[label])
    await stack.client.confirm(deal)
    assert (await stack.client.result(deal, HALF_A_MINUTE)).state is State.SETTLED


async def test_start__twice_is_one_deal(stack: Any) -> None:
    deal = await swap(stack, decide_by=datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=30))
    await stack.client.start(deal)
    await stack.client.start(deal)
    for label in ("hanako", "liquidity"):
        await stack.client.authorize(deal, stack.keys[label])
    states = [now.state async for now in stack.client.follow(deal, interval=0.2)]
    assert states[-1] is State.SETTLED
    assert await stack.client.start(deal) == deal
    record = await stack.client.record(deal)
    assert [[e.kind for e in entry.events] for entry in record.entries] == [[Kind.LOCKED, Kind.RELEASED]] * 2


async def test_confirm__refused_by_the_workflow_itself(stack: Any) -> None:
    deal = await bought(stack, "1 B")
    stranger = stack.network.account("b", stack.keys["taro"].address)
    forged = signed("confirmation", deal.id, stranger, stack.keys["taro"])
    with pytest.raises(NotEntitled) as caught:
        await stack.client.engine.update(deal.id, "confirm", forged)
    assert caught.value.field == "confirmation.by"
    assert "its condition names" in caught.value.remedy
    await stack.client.cancel(deal, stack.keys["bookstore"])


async def test_explain__workflow_terminated_by_its_operator(stack: Any) -> None:
    deal = await stack.client.start(await swap(stack))
    await stack.client.engine.temporal.get_workflow_handle(deal.id).terminate("to see what is said")
    with pytest.raises(ConnectionChainError, match="stopped by the engine's operator") as caught:
        await stack.client.explain(deal)
    assert "reclaim" in caught.value.remedy


async def test_authorize__by_a_stranger(stack: Any) -> None:
    deal = await stack.client.start(await swap(stack))
    with pytest.raises(NotEntitled, match="pays no leg of this deal"):
        await stack.client.authorize(deal, stack.keys["taro"])


async def test_settle__undecided(stack: Any) -> None:
    deal = await stack.client.start(await swap(stack))
    with pytest.raises(Refused, match="not decided yet"):
        await stack.client.settle(deal, stack.keys["taro"])


async def test_deals__filters(stack: Any) -> None:
    start = datetime.now(UTC)
    deal = await stack.client.start(await swap(stack))
    hanako, taro = (stack.network.account("a", stack.keys[label].address) for label in ("hanako", "taro"))
    waiting = State.AWAITING_AUTHORIZATION

    async def found(**filters: Any) -> bool:
        return deal in [each.deal for each in await stack.client.deals(**filters)]

    assert await eventually(lambda: found(state=waiting, party=hanako, chain="a", started=(start - timedelta(1), None)))
    assert not await found(state=State.SETTLED)
    assert not await found(party=taro)
    assert not await found(chain="b")
    assert not await found(started=(None, start - timedelta(minutes=1)))
    assert not await found(closed=(start - timedelta(1), None))


async def eventually(check: Any) -> bool:
    """The engine's list follows its workflows a moment later."""
    for _ in range(50):
        if await check():
            return True
        await asyncio.sleep(0.1)
    return False


async def test_explain__unknown_deal(stack: Any) -> None:
    with pytest.raises(UnknownName, match="the engine knows no deal 0x00") as caught:
        await stack.client.explain("0x" + "00" * 32)
    assert "evidence show" in caught.value.remedy


async def test_connect__engine_dead(stack: Any) -> None:
    engine = stack.network.engine.model_copy(update={"address": "127.0.0.1:1"})
    with pytest.raises(Unavailable, match=r"engine.address: no workflow engine answers at 127\.0\.0\.1:1"):
        await Client.connect(stack.network.model_copy(update={"engine": engine}))


async def test_connect__namespace_missing(stack: Any) -> None:
    engine = stack.network.engine.model_copy(update={"namespace": "no-such-namespace"})
    client = await Client.connect(stack.network.model_copy(update={"engine": engine}))
    with pytest.raises(Unavailable, match="no-such-namespace"):
        await client.explain("0x" + "00" * 32)


async def test_start__answer_lost(stack: Any) -> None:
    deal = await swap(stack)
    async with cut_afterwards(stack.network.engine) as (address, cut):
        engine = await Engine.connect(address)
        await cut()
        with pytest.raises(Unavailable, match=f"whether deal {deal.id} was started is not known"):
            await engine.start(SettlementStart(deal=deal, attestors=("alice",), threshold=1), "a swap")


@asynccontextmanager
async def cut_afterwards(engine: Address) -> AsyncIterator[tuple[Address, Callable[[], Awaitable[None]]]]:
    """The engine behind a line of our own, and how to cut it."""
    host, port = engine.address.split(":")
    open_ends: list[asyncio.StreamWriter] = []

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(65536):
                writer.write(data)

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(host, int(port))
        open_ends.extend((writer, far_writer))
        await asyncio.gather(copy(reader, far_writer), copy(far_reader, writer))

    async def cut() -> None:
        server.close()
        for end in open_ends:
            end.close()

    server = await asyncio.start_server(relay, "127.0.0.1")
    try:
        yield engine.model_copy(update={"address": f"127.0.0.1:{server.sockets[0].getsockname()[1]}"}), cut
    finally:
        await cut()
