"""A data chain's market in tests: a provider with datasets, a consumer who uses them, and mandates between the two."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from eth_account.signers.local import LocalAccount
from eth_utils.crypto import keccak
from temporalio.client import WorkflowHandle
from temporalio.common import WorkflowIDReusePolicy

from connectionchain.authorization import sign_erc3009
from connectionchain.billing import WORKFLOW, Bill, BillingStart, Use, Uses, UsesWanted
from connectionchain.escrow import call
from connectionchain.events import EventFilter
from connectionchain.mandate import Mandate
from connectionchain.settlement import TASK_QUEUE
from connectionchain.tariff import Tariff, Tier
from devnet.deploy import data_access

DATA_USED = "DataUsed(address indexed consumer, address indexed provider, bytes32 indexed dataset, uint256 size)"
ATTESTORS = ("alice", "bob", "carol")
PATIENCE, POLL = 60, 0.1


@dataclass
class Market:
    """`scene` is the tests' scene. Use happens on chain `data`, payment in the currency `symbol`."""

    scene: Any
    consumer: LocalAccount
    provider: LocalAccount
    symbol: str = "A"
    data: str = "b"
    sizes: dict[str, int] = field(default_factory=dict)

    @classmethod
    async def open(cls, scene: Any, wealth: int = 100_000, **sizes: int) -> "Market":
        """The provider has datasets of these names and sizes, and has granted all to the consumer."""
        consumer, provider = await scene.person("A", amount=wealth), await scene.person()
        market = cls(scene, consumer, provider, sizes=sizes)
        for name, size in sizes.items():
            await market.data_call(provider, "publish(bytes32,uint96)", market.dataset(name), size)
            await market.data_call(provider, "grant(bytes32,address)", market.dataset(name), consumer.address)
        return market

    async def data_call(self, key: LocalAccount, signature: str, *values: Any) -> dict[str, Any]:
        receipt: dict[str, Any] = await self.scene.transact(self.data, key, data_access(), call(signature, *values))
        return receipt

    def dataset(self, name: str) -> bytes:
        """Its id: nobody else's."""
        return keccak(text=f"{self.provider.address} {name}")

    async def use(self, *names: str) -> dict[str, Any]:
        """Uses these datasets in one transaction; its receipt."""
        return await self.data_call(self.consumer, "useMany(bytes32[])", [self.dataset(name) for name in names])

    async def usage(self, **terms: Any) -> EventFilter:
        terms = {"contract": data_access(), "event": DATA_USED} | terms
        where = ({"field": "consumer", "value": self.consumer.address.lower()},)
        async with self.scene.rpc(self.data) as rpc:
            since = await rpc.quantity("eth_blockNumber")
        return EventFilter(chain=self.scene.stack.network.chain(self.data).id, where=where, **{"since": since} | terms)

    async def mandate(self, **terms: Any) -> Mandate:
        """One base unit a byte, 10,000 at most, settled at 1,000, for two minutes; as `terms` say otherwise."""
        now = datetime.now(UTC).replace(microsecond=0)
        usual = {
            "token": self.scene.stack.network.token(self.symbol).id,
            "consumer": self.scene.account(self.symbol, self.consumer),
            "provider": self.scene.account(self.symbol, self.provider),
            "cap": 10_000,
            "tariff": Tariff(tiers=(Tier(price=1),)),
            "units": "size",
            "threshold": 1_000,
            "period": 3600,
            "end": now + timedelta(seconds=120),
            "expiry": now + timedelta(seconds=1000),
        }
        if "usage" not in terms:
            terms["usage"] = await self.usage()
        return Mandate.model_validate(usual | terms)

    def authorization(self, mandate: Mandate, number: int = 0, amount: int | None = None, symbol: str = "A") -> Any:
        network = self.scene.stack.network
        terms, until = mandate.entry(number, amount or mandate.cap), int(mandate.end.timestamp())
        escrow = network.chain(symbol.lower()).escrow
        return sign_erc3009(terms, escrow, network.token(symbol), until, self.consumer)

    async def start(
        self, mandate: Mandate, authorization: Any = None, attestors: tuple[str, ...] = ATTESTORS
    ) -> WorkflowHandle[Any, Bill]:
        start = BillingStart(
            mandate=mandate,
            authorization=authorization or self.authorization(mandate),
            attestors=attestors,
            threshold=2,
        )
        temporal = self.scene.stack.client.engine.temporal
        return await temporal.start_workflow(  # type: ignore[no-any-return]
            WORKFLOW,
            start,
            id=mandate.id,
            task_queue=TASK_QUEUE,
            id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
            result_type=Bill,
        )

    async def uses(self, mandate: Mandate) -> tuple[Use, ...]:
        """The bill, as the data chain's node keeps it."""
        wanted, queue = UsesWanted(mandate=mandate.id), f"node.{mandate.usage.chain}"
        found: Uses = await self.scene.stack.client.engine.ask(queue, "uses", wanted, result=Uses)
        return found.uses

    async def has(self) -> list[int]:
        """What consumer and provider hold."""
        found: list[int] = await self.scene.has(self.symbol, self.consumer, self.provider)
        return found


async def until(handle: WorkflowHandle[Any, Bill], wanted: Callable[[Bill], object]) -> Bill:
    """Waits for an explanation as `wanted`."""
    for _ in range(int(PATIENCE / POLL)):
        now = Bill.model_validate(await handle.query("explain", result_type=Bill))
        if wanted(now):
            return now
        await asyncio.sleep(POLL)
    raise AssertionError(f"still {now}")
