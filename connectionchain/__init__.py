"""Deals across blockchains: lock, wait, transfer or refund, with evidence.

client = await Client.connect()
quote = await client.quote("12.50 A", "B")
deal = await client.pay(quote, key, payee)
"""

from typing import TYPE_CHECKING, Any

from connectionchain.conditions import AllOf, AnyOf, Confirmed, EventSeen, Paid, TimeReached
from connectionchain.deal import Cancellable, Deal, Leg
from connectionchain.errors import ConnectionChainError
from connectionchain.ids import AccountId, ChainId, TokenId
from connectionchain.network import Network
from connectionchain.rates import Quote, Rate
from connectionchain.settlement import Explanation, State

if TYPE_CHECKING:
    from connectionchain.client import Client, DealSummary

__all__ = [
    "AccountId",
    "AllOf",
    "AnyOf",
    "Cancellable",
    "ChainId",
    "Client",
    "Confirmed",
    "ConnectionChainError",
    "Deal",
    "DealSummary",
    "EventSeen",
    "Explanation",
    "Leg",
    "Network",
    "Paid",
    "Quote",
    "Rate",
    "State",
    "TimeReached",
    "TokenId",
]


def __getattr__(name: str) -> Any:
    """The client comes when it is asked for: who only verifies need not load the engine's SDK."""
    if name in ("Client", "DealSummary"):
        from connectionchain import client

        return getattr(client, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
