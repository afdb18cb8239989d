"""EVM chains for development: one anvil process each.

Block times below a second are fine: anvil stamps blocks with the wall clock's whole second, so several blocks share
one timestamp and chain time never runs ahead.
"""

import asyncio
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from connectionchain.errors import Unavailable
from connectionchain.ids import ChainId
from connectionchain.network import Chain
from connectionchain.rpc import Rpc
from devnet import binaries
from devnet.ports import HOST
from devnet.process import POLL_SECONDS
from devnet.service import Command, Service

NO_ADDRESS = "0x" + "00" * 20


@dataclass(kw_only=True)
class Anvil(Service):
    """One chain, kept in the file `state`, which is written every `state_interval` seconds. `block_time` is in seconds;
    None mines a block per transaction."""

    id: ChainId
    port: int
    state: Path
    host: str = HOST
    block_time: float | None = None
    state_interval: int = 1
    _rpc: Rpc = field(init=False)

    def __post_init__(self) -> None:
        self._rpc = Rpc(Chain(id=self.id, rpc=(self.url,), escrow_address=NO_ADDRESS))

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    async def close(self) -> None:
        """Closes our connection; the process is left alone."""
        await self._rpc.close()

    async def call(self, method: str, *params: Any) -> Any:
        """One JSON-RPC call's result. Raises NodeError or Unavailable."""
        return await self._rpc.call(method, *params)

    async def quantity(self, method: str, *params: Any) -> int:
        return await self._rpc.quantity(method, *params)

    async def mine(self, blocks: int = 1) -> None:
        """Mines blocks at once, besides those of the block time. The newest final block is 2 behind the head."""
        await self._rpc.call("anvil_mine", hex(blocks))

    async def advance(self, seconds: int) -> None:
        """Moves chain time ahead of the wall clock, for good, and mines a block that shows it."""
        await self._rpc.call("evm_increaseTime", hex(seconds))
        await self.mine()

    async def saved(self) -> None:
        """Waits until the blocks of now are in the state file, so that even `kill` does not undo them."""
        head = await self.quantity("eth_blockNumber")
        while self._saved_head() < head:  # noqa: ASYNC110 - another process writes the file
            await asyncio.sleep(POLL_SECONDS)

    def _saved_head(self) -> int:
        try:
            return int(json.loads(self.state.read_bytes())["best_block_number"])
        except (FileNotFoundError, ValueError):  # not yet there, or half written
            return -1

    async def answers(self) -> bool:
        try:
            return bool(await self._rpc.call("eth_chainId"))
        except Unavailable:
            return False

    def listens_on(self) -> tuple[int, ...]:
        return (self.port,)

    def command(self) -> Command:
        command: Command = [binaries.anvil(), "--host", self.host, "--port", str(self.port), "--silent"]
        command += ["--chain-id", self.id.reference, "--slots-in-an-epoch", "1"]
        if self.block_time is not None:
            command += ["--block-time", f"{self.block_time:g}"]
        # a crash undoes the blocks since it was written, even final ones where blocks are quicker than that
        return [*command, "--state", self.state, "--state-interval", str(self.state_interval)]
