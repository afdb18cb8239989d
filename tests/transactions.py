"""Transactions that people in tests send themselves."""

from typing import Any

from eth_account.signers.local import LocalAccount

from devnet.chains import Anvil

GAS_MONEY = hex(10**20)


async def signed(chain: Anvil, key: LocalAccount, to: str | None, data: str, count: str = "pending") -> str:
    """The raw bytes of a transaction; its nonce is the account's at the block `count`."""
    fields: dict[str, Any] = {"data": data, "value": 0, "type": 2, "gas": 3_000_000}
    fields |= {"maxFeePerGas": 10**11, "maxPriorityFeePerGas": 0, "chainId": int(chain.id.reference)}
    fields |= {"nonce": await chain.quantity("eth_getTransactionCount", key.address, count)}
    fields |= {"to": bytes.fromhex(to[2:])} if to else {}
    return str(key.sign_transaction(fields).raw_transaction.to_0x_hex())


async def transact(chain: Anvil, key: LocalAccount, to: str | None, data: str) -> dict[str, Any]:
    """Sends it with gas money enough, mines a block, and gives the receipt."""
    await chain.call("anvil_setBalance", key.address, GAS_MONEY)
    sent = await chain.call("eth_sendRawTransaction", await signed(chain, key, to, data))
    await chain.mine()
    receipt: dict[str, Any] = await chain.call("eth_getTransactionReceipt", sent)
    assert receipt["status"] == "0x1"
    return receipt
