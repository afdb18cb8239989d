"""What a key may say about a deal: which legs it pays for, what it may confirm or cancel."""

from datetime import UTC, datetime
from typing import Literal

from eth_account.signers.base import BaseAccount

from connectionchain.authorization import sign_erc3009
from connectionchain.conditions import Confirmed, parts
from connectionchain.deal import Deal
from connectionchain.errors import NotEntitled, TooLate
from connectionchain.escrow import Terms
from connectionchain.ids import AccountId
from connectionchain.model import rfc3339
from connectionchain.network import Network
from connectionchain.settlement import LegAuthorization
from connectionchain.statements import Statement, signed

Kind = Literal["confirmation", "cancellation"]


def authorizations(network: Network, deal: Deal, key: BaseAccount) -> list[LegAuthorization]:
    """ERC-3009 signatures, valid until decide_by, for every leg the key pays. Raises NotEntitled if there is none."""
    until = int(deal.decide_by.timestamp())
    own = [(n, leg) for n, leg in enumerate(deal.legs) if leg.payer.address == key.address.lower()]
    if not own:
        raise NotEntitled(
            f"{key.address} pays no leg of this deal", field="key", remedy="use the key of one of the payers"
        )
    return [
        LegAuthorization(
            leg=n,
            authorization=sign_erc3009(
                Terms.of(deal, leg), network.chain(leg.chain).escrow, network.token(leg.token), until, key
            ),
        )
        for n, leg in own
    ]


def statement(kind: Kind, deal: Deal, key: BaseAccount | None) -> Statement:
    """Signed by `key`; without one, a trusted operator's plain word. Raises NotEntitled, or TooLate to cancel."""
    until = deal.cancellable.until
    if kind == "cancellation" and until and datetime.now(UTC) >= until:
        raise TooLate(
            f"cancelling ended at {rfc3339(until)}", field="cancellable.until", remedy="wait for the decision"
        )
    if key is None:
        return _operator(kind, deal)
    by = next((each for each in entitled(kind, deal) if each.address == key.address.lower()), None)
    if by is None:
        raise _not_entitled(kind, key.address, ", ".join(entitled(kind, deal)))
    return signed(kind, deal.id, by, key)


def entitled(kind: Kind, deal: Deal) -> list[AccountId]:
    """The accounts whose signed word counts."""
    if kind == "cancellation":
        return list(deal.cancellable.by)
    return [part.by for part in parts(deal.condition) if isinstance(part, Confirmed) and part.by]


def _operator(kind: Kind, deal: Deal) -> Statement:
    asked = [part for part in parts(deal.condition) if isinstance(part, Confirmed) and not part.by]
    if not (deal.cancellable.operator if kind == "cancellation" else asked):
        raise _not_entitled(kind, "an operator without a key", ", ".join(entitled(kind, deal)))
    return Statement(kind=kind)


def _not_entitled(kind: Kind, who: str, instead: str) -> NotEntitled:
    return NotEntitled(
        f"the deal gives {who} no {kind}", field="key", remedy=f"it asks for: {instead}" if instead else "nobody may"
    )
