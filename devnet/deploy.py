"""Puts the escrow, a currency and the data contract on a development chain; does nothing where they already are.

Addresses follow from the bytecode (CREATE2), so they are the same on every machine and every run.
"""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eth_abi.abi import encode
from eth_account.signers.local import LocalAccount
from eth_utils.crypto import keccak

from connectionchain.errors import Rejected
from connectionchain.escrow import call
from connectionchain.ids import TokenId
from connectionchain.network import Attestors, Chain, Engine, Finality, Network, Token
from devnet.accounts import ATTESTORS, PEOPLE, THRESHOLD
from devnet.binaries import CHECKOUT
from devnet.chains import Anvil

CREATE2_DEPLOYER = "0x4e59b44847b379578588920ca78fbf26c0b4956c"
ROTATION_DELAY_SECONDS = 24 * 3600
GAS_LIMIT = 6_000_000
RICH = 10_000 * 10**18
BLOCKS_TO_FINAL = 2
AUTOMINE_POLL_SECONDS = 0.1


@dataclass(frozen=True)
class Currency:
    """A currency of the devnet. Each holder begins with `supply` base units; the deployer may mint more."""

    symbol: str
    chain: str
    name: str
    holders: tuple[str, ...]
    decimals: int = 2
    supply: int = 1_000_000_00


def one_currency_each(chains: Sequence[str]) -> list[Currency]:
    """`A` on chain `a`, `B` on `b`, …: each held by one person who has none of the others, and by the liquidity."""
    return [
        Currency(chain.upper(), chain, f"Regional Currency {chain.upper()}", holders=(person, "liquidity"))
        for chain, person in zip(chains, PEOPLE, strict=False)
    ]


class Deployer:
    """Deploys to one chain from one account, which is also the currencies' minter."""

    def __init__(self, chain: Anvil, accounts: Mapping[str, LocalAccount]) -> None:
        self.chain = chain
        self.accounts = accounts
        self.account = accounts["deployer"]

    async def deploy(self, block_time: float, currencies: list[Currency]) -> tuple[Chain, dict[str, Token]]:
        """Gas for everybody, the escrow, the currencies; all final when it returns."""
        await self._give_gas()
        escrow = await self._contract("Escrow", *self._quorum())
        await self._contract("DataAccess")
        anchor = await self._contract("Anchor")
        tokens = {each.symbol: await self._currency(each) for each in currencies}
        await self.chain.mine(BLOCKS_TO_FINAL)
        chain = Chain(
            id=self.chain.id,
            rpc=(self.chain.url,),
            escrow_address=escrow,
            escrow_block=await self._first_block(escrow),
            anchor_address=anchor,
            finality=Finality(),
            block_time=block_time,
        )
        return chain, tokens

    async def mint(self, token: str, to: str, amount: int) -> None:
        """`amount` base units more for the address `to`."""
        await self._send(token, call("mint(address,uint256)", to, amount))

    async def _give_gas(self) -> None:
        for account in self.accounts.values():
            if not await self.chain.quantity("eth_getBalance", account.address, "latest"):
                await self.chain.call("anvil_setBalance", account.address, hex(RICH))

    async def _currency(self, currency: Currency) -> Token:
        arguments = (currency.name, currency.symbol, currency.decimals, self.account.address)
        address = await self._contract("RegionalCurrency", *arguments)
        for holder in map(self.accounts.__getitem__, currency.holders):
            if not await self._ever_received(address, holder.address):
                await self.mint(address, holder.address, currency.supply)
        id_ = TokenId(f"{self.chain.id}/erc20:{address}")
        return Token(id=id_, symbol=currency.symbol, decimals=currency.decimals, name=currency.name)

    async def _contract(self, name: str, *arguments: Any) -> str:
        """The address of contract `name` with these constructor arguments, deployed if need be."""
        code = _creation_code(name, arguments)
        address = create2_address(code)
        if await self.chain.call("eth_getCode", address, "latest") == "0x":
            await self._send(CREATE2_DEPLOYER, "0x" + (bytes(32) + code).hex())
        return address

    def _quorum(self) -> tuple[list[str], int, int]:
        return sorted(attestors(self.accounts).members.values()), THRESHOLD, ROTATION_DELAY_SECONDS

    async def _send(self, to: str, data: str) -> None:
        """One transaction in a block of its own. Raises Rejected if it fails."""
        nonce = await self.chain.quantity("eth_getTransactionCount", self.account.address, "pending")
        price = 2 * await self.chain.quantity("eth_gasPrice")
        fields: dict[str, Any] = {
            "to": bytes.fromhex(to[2:]),
            "data": data,
            "nonce": nonce,
            "gas": GAS_LIMIT,
            "chainId": int(self.chain.id.reference),
        }
        fees = {"type": 2, "maxFeePerGas": price, "maxPriorityFeePerGas": 0, "value": 0}
        raw = self.account.sign_transaction(fields | fees).raw_transaction
        hash_ = await self.chain.call("eth_sendRawTransaction", "0x" + raw.hex().removeprefix("0x"))
        await self.chain.mine()
        receipt = await self.chain.call("eth_getTransactionReceipt", hash_)
        if not receipt or receipt["status"] != "0x1":
            raise Rejected(f"transaction {hash_} to {to} failed", field=f"chain {self.chain.name}")

    async def _first_block(self, contract: str) -> int:
        """The block of the contract's first event; the escrow's constructor leaves one."""
        events = await self.chain.call("eth_getLogs", {"address": contract, "fromBlock": "0x0"})
        return int(events[0]["blockNumber"], 16)

    async def _ever_received(self, token: str, holder: str) -> bool:
        topics = ["0x" + keccak(text="Transfer(address,address,uint256)").hex(), None, _word(holder)]
        return bool(await self.chain.call("eth_getLogs", {"address": token, "fromBlock": "0x0", "topics": topics}))


async def deploy_network(
    engine: Engine, chains: Mapping[str, Anvil], accounts: Mapping[str, LocalAccount], currencies: Sequence[Currency]
) -> Network:
    """Deploys to every chain what is missing there; the network as a client needs it."""

    async def to(name: str, chain: Anvil) -> tuple[Chain, dict[str, Token]]:
        block_time = chain.block_time or AUTOMINE_POLL_SECONDS
        return await Deployer(chain, accounts).deploy(block_time, [each for each in currencies if each.chain == name])

    deployed = await asyncio.gather(*(to(name, chain) for name, chain in chains.items()))
    return Network(
        engine=engine,
        chains={name: chain for name, (chain, _) in zip(chains, deployed, strict=True)},
        tokens={symbol: token for _, tokens in deployed for symbol, token in tokens.items()},
        attestors=attestors(accounts),
    )


def attestors(accounts: Mapping[str, LocalAccount]) -> Attestors:
    members = {name: accounts[f"attestor.{name}"].address for name in ATTESTORS}
    return Attestors(members=members, threshold=THRESHOLD)


def data_access() -> str:
    """The address of the data chain's contract, the same on every development chain."""
    return create2_address(_creation_code("DataAccess", ()))


def create2_address(code: bytes) -> str:
    """EIP-1014, with salt 0."""
    return "0x" + keccak(b"\xff" + bytes.fromhex(CREATE2_DEPLOYER[2:]) + bytes(32) + keccak(code))[12:].hex()


def _creation_code(name: str, arguments: tuple[Any, ...]) -> bytes:
    artefact = json.loads(_artefact(name).read_text())
    types = [value["type"] for entry in artefact["abi"] if entry["type"] == "constructor" for value in entry["inputs"]]
    return bytes.fromhex(artefact["bytecode"].removeprefix("0x")) + encode(types, arguments)


def _artefact(name: str) -> Path:
    return CHECKOUT / "contracts" / "artifacts" / f"{name}.json"


def _word(address: str) -> str:
    return "0x" + bytes.fromhex(address[2:]).rjust(32, b"\0").hex()
