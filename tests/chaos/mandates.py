"""The mandates of a storm: consumers who use data while everything breaks. Seeded, like the deals."""

import asyncio
import contextlib
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from math import floor

from eth_account import Account
from eth_account.signers.local import LocalAccount

from connectionchain.errors import ConnectionChainError
from connectionchain.escrow import call
from connectionchain.events import EventFilter
from connectionchain.mandate import AtCap, Mandate
from connectionchain.network import Token
from connectionchain.rpc import Rpc
from connectionchain.tariff import Tariff, Tier
from devnet.deploy import data_access
from tests.chaos.deals import insist
from tests.chaos.proxy import CONSUMERS
from tests.chaos.world import FINAL_DEPTH, World
from tests.market import DATA_USED
from tests.transactions import GAS_MONEY, signed, transact

METERED, CAPPED, RECORDED, TIMED = KINDS = ("metered", "capped", "unpaid at the cap", "ends by itself")
"""METERED is ended by its consumer after the last use, RECORDED after the storm; CAPPED by the first use too many, or
after the storm if not so many reach the chain; TIMED in the middle of the storm."""

PER_USE, FIRST_UNITS, FIRST_PRICE, NEXT_PRICE = 3, 20_000, Fraction(1, 3), Fraction(1, 7)
AMPLE = timedelta(hours=1)
INCLUDED_WITHIN_S = 8.0


@dataclass(frozen=True)
class Using:
    """The dataset is used so many times in one transaction, `at` seconds after the storm began."""

    at: float
    times: int


@dataclass(frozen=True)
class MandateScript:
    """One mandate to be: its kind, the bytes of a use, when use happens, whose keys, which chains."""

    number: int
    kind: str
    size: int
    uses: tuple[Using, ...]
    keys: tuple[str, str]
    salt: str
    span: float
    places: tuple[int, int]

    @property
    def consumer(self) -> LocalAccount:
        key: LocalAccount = Account.from_key(self.keys[0])
        return key

    @property
    def provider(self) -> LocalAccount:
        key: LocalAccount = Account.from_key(self.keys[1])
        return key

    @property
    def planned(self) -> int:
        return sum(each.times for each in self.uses)

    @property
    def cap(self) -> int:
        """For more than is planned, or for about half of it and a bit."""
        if self.kind in (CAPPED, RECORDED):
            return price(self.planned // 2, self.size) + 1
        return price(self.planned + 10, self.size)

    def chains(self, world: World) -> tuple[str, str]:
        """Where it is paid, and where the data is."""
        names = list(world.network.chains)
        paying, data = (names[place % len(names)] for place in self.places)
        return paying, data

    def token(self, world: World) -> Token:
        return world.network.token(self.chains(world)[0].upper())


def price(uses: int, size: int) -> int:
    """Of so many uses of `size` bytes, by the tariff; reckoned here in another way than the product does."""
    units = uses * size
    dear = min(units, FIRST_UNITS)
    return PER_USE * uses + floor(dear * FIRST_PRICE + (units - dear) * NEXT_PRICE)


@dataclass
class Metered:
    """A mandate that was played."""

    script: MandateScript
    mandate: Mandate


def mandate_scripts(
    seed: int, number: int, span: float, uses: int, kinds: Sequence[str] = KINDS
) -> list[MandateScript]:
    """`number` mandates with `uses` transactions each over `span` seconds; the kinds take turns."""
    rng = random.Random(f"mandates {seed}")
    return [
        MandateScript(
            number=n,
            kind=kinds[n % len(kinds)],
            size=rng.randrange(500, 5000),
            uses=tuple(Using(span * (k + rng.random()) / uses, rng.choice((1, 1, 2, 3))) for k in range(uses)),
            keys=("0x" + rng.randbytes(32).hex(), "0x" + rng.randbytes(32).hex()),
            salt="0x" + rng.randbytes(32).hex(),
            span=span,
            places=(n, n + 1),
        )
        for n in range(number)
    ]


async def prepare(scripts: Sequence[MandateScript], world: World) -> None:
    """Money and gas for the consumers, data of the providers: final and saved before anything breaks."""
    for script in scripts:
        paying, data = script.chains(world)
        await world.devnet.deployer(paying).mint(script.token(world).id.address, script.consumer.address, script.cap)
        for key in (script.consumer, script.provider):
            await world.chain(data).call("anvil_setBalance", key.address, GAS_MONEY)
        publish = call("publish(bytes32,uint96)", _dataset(script), script.size)
        await transact(world.chain(data), script.provider, data_access(), publish)
        grant = call("grant(bytes32,address)", _dataset(script), script.consumer.address)
        await transact(world.chain(data), script.provider, data_access(), grant)
    for chain in {name for script in scripts for name in script.chains(world)}:
        await world.chain(chain).mine(FINAL_DEPTH + 1)
        await world.chain(chain).settle()


def _dataset(script: MandateScript) -> bytes:
    return bytes.fromhex(script.salt[2:])


async def play_mandate(script: MandateScript, world: World, began: float) -> Metered:
    """Starts it, and lets its consumer use the data at his times; `began` is the storm's beginning (monotonic)."""
    played = await start_mandate(script, world)
    for each in script.uses:
        await asyncio.sleep(max(0.0, began + each.at - time.monotonic()))
        await use(script, world, each.times)
    if script.kind == METERED:
        await insist(lambda: world.client.mandates.terminate(played.mandate, script.consumer))
    return played


async def start_mandate(script: MandateScript, world: World) -> Metered:
    mandate = await insist(lambda: _mandate(script, world))
    await insist(lambda: world.client.mandates.start(mandate, script.consumer))
    return Metered(script, mandate)


async def _mandate(script: MandateScript, world: World) -> Mandate:
    paying, data = script.chains(world)
    now, later = datetime.now(UTC).replace(microsecond=0), timedelta(seconds=int(script.span * 0.7) + 10)
    end = now + (later if script.kind == TIMED else AMPLE)
    where = ({"field": "consumer", "value": script.consumer.address.lower()},)
    since = await world.chain(data).quantity("eth_blockNumber")
    usage = {"chain": world.network.chain(data).id, "contract": data_access(), "event": DATA_USED}
    return Mandate(
        token=script.token(world).id,
        consumer=world.network.account(paying, script.consumer.address),
        provider=world.network.account(paying, script.provider.address),
        cap=script.cap,
        tariff=Tariff(per_event=PER_USE, tiers=(Tier(up_to=FIRST_UNITS, price=FIRST_PRICE), Tier(price=NEXT_PRICE))),
        usage=EventFilter.model_validate(usage | {"where": where, "since": since}),
        units="size",
        threshold=price(2, script.size),
        period=20,
        at_cap=AtCap.RECORD if script.kind == RECORDED else AtCap.REFUSE,
        end=end,
        expiry=end + AMPLE,
        salt=script.salt,
        reference=f"chaos-mandate-{script.number}",
    )


async def use(script: MandateScript, world: World, times: int) -> None:
    """One transaction, by way of the proxy. Whether it reaches the chain, and stays there, is for the chain to tell."""
    name = script.chains(world)[1]
    proxied = world.network.chain(name).model_copy(update={"rpc": (world.proxy.url(f"{CONSUMERS}/{name}"),)})
    with contextlib.suppress(ConnectionChainError, TimeoutError):
        raw = await signed_use(script, world, times)
        async with Rpc(proxied) as rpc, asyncio.timeout(INCLUDED_WITHIN_S):
            await included(world, name, await rpc.call("eth_sendRawTransaction", raw))


async def signed_use(script: MandateScript, world: World, times: int) -> str:
    """The raw bytes of a transaction that uses the dataset so many times, in place of one that was lost."""
    data = call("useMany(bytes32[])", [_dataset(script)] * times)
    return await signed(world.chain(script.chains(world)[1]), script.consumer, data_access(), data, "latest")


async def included(world: World, chain: str, transaction: str) -> None:
    while not await world.chain(chain).call("eth_getTransactionReceipt", transaction):  # noqa: ASYNC110 - it is polled
        await asyncio.sleep(0.1)


async def end_mandate(played: Metered, world: World) -> None:
    """Its consumer ends it, if it does not end by itself, and uses the data once more."""
    if played.script.kind != TIMED:
        await insist(lambda: world.client.mandates.terminate(played.mandate, played.script.consumer))
    await use(played.script, world, 1)
