"""The escrow's events. Source: contracts/src/IEscrowTypes.sol."""

from typing import Any

from eth_abi.abi import decode

from connectionchain.escrow import Terms
from connectionchain.escrow_events import TOPICS
from connectionchain.evidence import Block, Kind, Step
from connectionchain.ids import ChainId


def kind_of(log: Any) -> Kind | None:
    """What the event did to an entry; None for the events that concern no entry."""
    return TOPICS.get(bytes(log["topics"][0]))


def entry_of(log: Any) -> str:
    """The entry's id: the first indexed field of every event about one."""
    return str(log["topics"][1].to_0x_hex()) if len(log["topics"]) > 1 else ""


def step_of(log: Any, chain: ChainId, block: Block, leg: int) -> Step:
    kind = kind_of(log)
    assert kind is not None
    return Step(
        leg=leg,
        kind=kind,
        chain=chain,
        transaction=log["transactionHash"].to_0x_hex(),
        block=block,
        log_index=log["logIndex"],
        paid=decode(["uint256"], bytes(log["data"]))[0] if kind in (Kind.METERED, Kind.CLOSED) else None,
    )


def terms_of(log: Any) -> Terms:
    """The terms a `Locked` event tells."""
    _, _, deal, payer = log["topics"]
    payee, token, amount, expiry = decode(["address", "address", "uint256", "uint256"], bytes(log["data"]))
    return Terms(
        payer="0x" + bytes(payer)[-20:].hex(),
        payee=payee,
        token=token,
        amount=amount,
        expiry=expiry,
        deal=deal.to_0x_hex(),
    )
