"""What the chains alone tell of a deal, and what anybody with a key can do about it."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import httpx
import pytest
from eth_account import Account

from connectionchain.certificate import Outcome
from connectionchain.deal import Deal, Leg
from connectionchain.errors import InsufficientFunds, InvalidInput, Refused, Rejected, Unavailable
from connectionchain.escrow import CERTIFICATE, TERMS, Status, Terms, call, certificate
from connectionchain.evidence import Kind
from connectionchain.network import Network
from connectionchain.onchain import record, status
from connectionchain.rpc import Rpc
from connectionchain.transactions import reclaim, settle
from connectionchain.typed_data import TypedData, compact

Kinds = Callable[[Any], list[Kind]]


def cut_off(network: Network, name: str) -> Network:
    """The network with all nodes of one chain dead."""
    dead = network.chains[name].model_copy(update={"rpc": ("http://127.0.0.1:1",)})
    return network.model_copy(update={"chains": network.chains | {name: dead}})


async def test_record__released(bench: Any, kinds: Kinds) -> None:
    deal = await bench.deal()
    locks = await bench.lock(deal)
    releases = await settle(bench.network, deal, bench.certificate(deal, Outcome.COMMIT), bench.keys["taro"])
    found = await record(bench.network, deal)
    assert [(entry.leg, kinds(entry)) for entry in found.entries] == [(n, [Kind.LOCKED, Kind.RELEASED]) for n in (0, 1)]
    for entry, lock, release in zip(found.entries, locks, releases, strict=True):
        told = [(event.transaction, event.block) for event in entry.events]
        assert told == [(lock.transaction, lock.block), (release.transaction, release.block)]
        assert sum(event.paid for event in entry.events) == entry.terms.amount
        assert entry.terms == Terms.of(deal, deal.legs[entry.leg])


async def test_record__finality(bench: Any) -> None:
    deal = await bench.deal()
    await bench.lock(deal)
    assert not any(event.final for entry in (await record(bench.network, deal)).entries for event in entry.events)
    await bench.devnet.chain("a").mine(2)
    a, b = (await record(bench.network, deal)).entries
    assert (a.events[0].final, b.events[0].final) == (True, False)


async def test_record__refunded(bench: Any, kinds: Kinds) -> None:
    deal = await bench.deal()
    await bench.lock(deal)
    await settle(bench.network, deal, bench.certificate(deal, Outcome.ABORT, "bob", "carol"), bench.keys["taro"])
    for entry in (await record(bench.network, deal.id)).entries:
        assert kinds(entry) == [Kind.LOCKED, Kind.REFUNDED]
        assert (entry.events[1].paid, entry.events[1].returned) == (0, entry.terms.amount)
        assert not entry.open


async def test_record__metered_and_closed(bench: Any) -> None:
    deal = await bench.deal()
    await bench.lock(deal)
    await _meter(bench, deal, "meter", 300)
    await _meter(bench, deal, "close", 500)
    entry = (await record(bench.network, deal)).entries[0]
    assert [(e.kind, e.paid, e.returned) for e in entry.events] == [
        (Kind.LOCKED, 0, 0),
        (Kind.METERED, 300, 0),
        (Kind.CLOSED, 200, 700),
    ]
    async with Rpc(bench.network.chain("a")) as rpc:
        assert await status(rpc, entry.terms) == entry.status == Status.CLOSED


async def _meter(bench: Any, deal: Deal, verb: str, cumulative: int) -> None:
    chain = bench.network.chain("a")
    terms = Terms.of(deal, deal.legs[0])
    fields = [("bytes32", "id"), ("uint96", "cumulative"), ("bool", "close")]
    message = {"id": bytes.fromhex(terms.id(chain.escrow)[2:]), "cumulative": cumulative, "close": verb == "close"}
    keys = sorted((bench.keys["attestor.alice"], bench.keys["attestor.bob"]), key=lambda key: key.address.lower())
    typed = TypedData(chain.escrow.domain, "Metering", fields, message)
    rows = certificate([compact(typed.sign(key)) for key in keys])
    await bench.send(chain.id, call(f"{verb}({TERMS},uint96,{CERTIFICATE})", terms.row, cumulative, rows))


async def test_record__stranger_locks_in_the_deals_name(bench: Any) -> None:
    deal = await bench.deal()
    await bench.lock(deal)
    ours, strange = Terms.of(deal, deal.legs[0]), bench.keys["liquidity"].address.lower()
    forged = ours.model_copy(update={"payer": strange, "payee": bench.keys["taro"].address.lower(), "amount": 1})
    token = bench.network.token("A")
    escrow = bench.network.chain("a").escrow_address
    await _approve_and_lock(bench, token.id.address, escrow, forged)
    assert len((await record(bench.network, deal.id)).entries) == 3
    assert [entry.leg for entry in (await record(bench.network, deal)).entries] == [0, 1]


async def _approve_and_lock(bench: Any, token: str, escrow: str, terms: Terms) -> None:
    at_token = bench.network.chain("a").model_copy(update={"escrow_address": token})
    async with Rpc(at_token) as rpc:
        from connectionchain.transactions import send

        await send(rpc, call("approve(address,uint256)", escrow, terms.amount), bench.keys["liquidity"])
    await bench.send(bench.network.chain("a").id, call(f"lock({TERMS})", terms.row), "liquidity")


async def test_record__one_chain_dead(bench: Any) -> None:
    deal = await bench.deal()
    await bench.lock(deal)
    found = await record(cut_off(bench.network, "b"), deal)
    assert [entry.leg for entry in found.entries] == [0]
    assert found.silent == (bench.network.chain("b").id,)


async def test_record__all_chains_dead(bench: Any) -> None:
    with pytest.raises(Unavailable, match="no node of eip155:31337 answers"):
        await record(cut_off(cut_off(bench.network, "a"), "b"), await bench.deal())


async def test_record__unknown_deal(bench: Any) -> None:
    assert (await record(bench.network, await bench.deal())).entries == ()


@pytest.mark.parametrize(
    "error",
    [{"code": -32000, "message": "range too large"}, {"code": -32005, "message": "query returned more than 3 results"}],
    ids=["too many blocks", "too many logs"],
)
async def test_record__node_limits_log_ranges(bench: Any, error: dict[str, Any]) -> None:
    deal = await bench.deal()
    await bench.lock(deal)
    chain = bench.network.chain("a")
    async with limiting(chain.rpc[0], 3, error) as (url, refused):
        limited = chain.model_copy(update={"rpc": (url,)})
        network = bench.network.model_copy(update={"chains": bench.network.chains | {"a": limited}})
        assert (await record(network, deal)).entries == (await record(bench.network, deal)).entries
    assert refused


@asynccontextmanager
async def limiting(node: str, blocks: int, error: dict[str, Any]) -> AsyncIterator[tuple[str, list[int]]]:
    """The URL of a proxy of a node that refuses longer log ranges, as public nodes do; and what it refused."""
    refused: list[int] = []

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        body = await reader.readexactly(length)
        answer = await _limited(node, json.loads(body), blocks, error, refused)
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(answer) + answer)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(relay, "127.0.0.1")
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", refused
    finally:
        server.close()


async def _limited(node: str, request: Any, blocks: int, error: dict[str, Any], refused: list[int]) -> bytes:
    if request["method"] == "eth_getLogs":
        asked = int(request["params"][0]["toBlock"], 16) - int(request["params"][0]["fromBlock"], 16) + 1
        if asked > blocks:
            refused.append(asked)
            return json.dumps({"id": request["id"], "error": error}).encode()
    async with httpx.AsyncClient() as http:
        return (await http.post(node, json=request)).content


async def test_settle__twice_does_no_harm(bench: Any) -> None:
    deal = await bench.deal()
    await bench.lock(deal)
    decided = bench.certificate(deal, Outcome.COMMIT)
    assert len(await settle(bench.network, deal, decided, bench.keys["taro"])) == 2
    assert await settle(bench.network, deal, decided, bench.keys["taro"]) == []


async def test_settle__certificate_of_another_deal(bench: Any) -> None:
    deal, other = await bench.deal(), await bench.deal()
    with pytest.raises(InvalidInput, match="certificate: it is of deal"):
        await settle(bench.network, deal, bench.certificate(other, Outcome.COMMIT), bench.keys["taro"])


async def test_settle__too_few_attestors(bench: Any) -> None:
    deal = await bench.deal()
    await bench.lock(deal)
    with pytest.raises(Rejected, match=r"WrongSignatureCount\(1, 2\)"):
        await settle(bench.network, deal, bench.certificate(deal, Outcome.COMMIT, "alice"), bench.keys["taro"])


async def test_settle__key_without_coin(bench: Any) -> None:
    deal = await bench.deal()
    await bench.lock(deal)
    poor = Account.create()
    with pytest.raises(InsufficientFunds, match=f"{poor.address} cannot pay the chain's fee"):
        await settle(bench.network, deal, bench.certificate(deal, Outcome.COMMIT), poor)


async def test_reclaim__before_expiry(bench: Any) -> None:
    deal = await bench.deal()
    await bench.lock(deal)
    entry = (await record(bench.network, deal)).entries[0]
    with pytest.raises(Refused, match=r"expiry: the escrow is not expired yet \(reclaim from 20"):
        await reclaim(bench.network, entry, bench.keys["taro"])


async def test_reclaim__by_anybody_from_what_the_chain_tells(bench: Any, kinds: Kinds) -> None:
    now = await bench.now()
    deal = await bench.deal(decide_by=now + timedelta(minutes=1), expiry=now + timedelta(minutes=2))
    await bench.lock(deal)
    await bench.devnet.chain("a").advance(200)
    entry = next(each for each in (await record(bench.network, deal.id)).entries if each.chain == deal.legs[0].chain)
    sent = await reclaim(bench.network, entry, bench.keys["taro"])
    after = (await record(bench.network, deal)).entries[0]
    assert kinds(after) == [Kind.LOCKED, Kind.RECLAIMED]
    assert (after.events[1].transaction, after.events[1].returned) == (sent.transaction, 1200)
    with pytest.raises(Rejected, match="BadStatus"):
        await reclaim(bench.network, entry, bench.keys["taro"])


async def test_settle__same_chain_legs_in_one_transaction(bench: Any) -> None:
    hanako, taro, liquidity = (bench.account(label, "a") for label in ("hanako", "taro", "liquidity"))
    token = bench.network.token("A").id
    legs = tuple(
        Leg(token=token, payer=payer, payee=payee, amount=amount)
        for payer, payee, amount in ((hanako, taro, 5), (hanako, liquidity, 6), (liquidity, taro, 7))
    )
    deal = await bench.deal(legs=legs, condition=None)
    await bench.lock(deal)
    (sent,) = await settle(bench.network, deal, bench.certificate(deal, Outcome.COMMIT), bench.keys["taro"])
    assert {entry.events[1].transaction for entry in (await record(bench.network, deal)).entries} == {sent.transaction}
