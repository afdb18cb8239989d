"""Talking to an EVM node through web3, with every failure sorted into Rejected or Unavailable."""

from collections.abc import Awaitable
from typing import Any, TypeVar

import aiohttp
from web3 import AsyncHTTPProvider, AsyncWeb3
from web3.exceptions import ContractLogicError, TransactionNotFound, Web3Exception, Web3RPCError

from adapters.evm.reverts import rejection
from connectionchain.errors import InvalidInput, Unavailable
from connectionchain.network import Chain

TIMEOUT_S = 10
T = TypeVar("T")


class Node:
    """One JSON-RPC endpoint of `chain`. Nothing is believed of it before it has told the right chain id."""

    def __init__(self, chain: Chain) -> None:
        self.chain = chain
        provider = AsyncHTTPProvider(chain.rpc[0], request_kwargs={"timeout": aiohttp.ClientTimeout(TIMEOUT_S)})
        self.web3 = AsyncWeb3(provider)
        self._identified = False

    async def eth(self, method: str, *arguments: Any) -> Any:
        """Calls `web3.eth.<method>`. Raises Rejected for a revert, Unavailable for anything that may pass."""
        if not self._identified:
            await self._identify()
        return await self._ask(getattr(self.web3.eth, method)(*arguments))

    async def tip(self) -> int:
        """The priority fee the node suggests, in wei per gas."""
        return int(await self._ask(self.web3.eth.max_priority_fee))

    async def close(self) -> None:
        await self.web3.provider.disconnect()

    async def _identify(self) -> None:
        told, expected = await self._ask(self.web3.eth.chain_id), int(self.chain.id.reference)
        if told != expected:
            raise InvalidInput(
                f"the node at {self.chain.rpc[0]} is of chain {told}, not {expected}",
                field="rpc",
                remedy="correct the chain's id or its URL",
            )
        code = await self._ask(self.web3.eth.get_code(self.web3.to_checksum_address(self.chain.escrow_address)))
        if not code:
            raise InvalidInput(
                f"no contract at {self.chain.escrow_address}",
                field="escrow_address",
                remedy="deploy the escrow or correct its address",
            )
        self._identified = True

    async def _ask(self, awaitable: Awaitable[T]) -> T:
        try:
            return await awaitable
        except ContractLogicError as error:
            raise rejection(error.message or "execution reverted", str(error.data or "")) from error
        except (TransactionNotFound, Web3RPCError):
            raise
        except (TimeoutError, Web3Exception, aiohttp.ClientError, OSError, ValueError) as error:
            raise Unavailable(
                f"{self.chain.rpc[0]}: {error or type(error).__name__}", field="rpc", remedy="check the node"
            ) from error
