"""The chains: reorganisations within finality, lost transactions, fees."""

import asyncio
import contextlib

from connectionchain.errors import Unavailable
from devnet.chains import Anvil
from tests.chaos.faults.base import Fault
from tests.chaos.world import BLOCK_TIME, FINAL_DEPTH

GWEI = 10**9
SPIKE, NORMAL = 450 * GWEI, GWEI


class _Reorg(Fault):
    """The newest 1 to FINAL_DEPTH - 1 blocks are replaced by others."""

    async def strike(self) -> None:
        self.targets = [self.passing.chain]
        chain, depth = self.world.chain(self.passing.chain), self.rng.randrange(1, FINAL_DEPTH)
        async with self.world.lock(f"blocks {self.passing.chain}"):
            again = await self._transactions(depth)
            await chain.call("anvil_reorg", depth, again)
            self.struck()
            await chain.settle(blocks=2)  # a crash right after it must not bring the other fork back

    async def _transactions(self, depth: int) -> list[tuple[str, int]]:
        """What the new blocks have in them, and in which of them."""
        return []


class ReorgDropping(_Reorg):
    kind = "reorg that drops transactions"


class ReorgKeeping(_Reorg):
    """The same transactions, all in the last of the new blocks."""

    kind = "reorg that moves transactions"

    async def _transactions(self, depth: int) -> list[tuple[str, int]]:
        chain = self.world.chain(self.passing.chain)
        head = await chain.quantity("eth_blockNumber")
        hashes: list[str] = []
        for number in range(head - depth + 1, head + 1):
            hashes += (await chain.call("eth_getBlockByNumber", hex(number), False))["transactions"]
        return [(await chain.call("eth_getRawTransactionByHash", each), depth - 1) for each in hashes]


class DroppedMempool(Fault):
    kind = "dropped mempool"

    async def strike(self) -> None:
        self.targets = [self.passing.chain]
        for _ in range(self.rng.randrange(1, 4)):
            await self.world.chain(self.passing.chain).call("anvil_dropAllTransactions")
            self.struck()
            await asyncio.sleep(0.5)


class FeeSpike(Fault):
    """Nothing is included below 450 gwei for some blocks: more than double what was offered before."""

    kind = "base-fee spike"

    async def strike(self) -> None:
        self.targets = [self.passing.chain]
        chain = self.world.chain(self.passing.chain)
        async with self.world.lock(f"fee {self.passing.chain}"):
            for _ in range(self.rng.randrange(4, 12)):
                await self._set(chain, SPIKE)
                self.struck()
                await asyncio.sleep(BLOCK_TIME)
            await self._set(chain, NORMAL)

    async def _set(self, chain: Anvil, fee: int) -> None:
        """Once the node is up, should another fault have killed it."""
        while True:
            with contextlib.suppress(Unavailable):
                await chain.call("anvil_setNextBlockBaseFeePerGas", hex(fee))
                return
            await asyncio.sleep(BLOCK_TIME)
