"""The boundary to a chain: what can be asked of one and done on one, in no family's own terms.

Failures are either `Rejected` (will never work: says why) or `Unavailable` (safe to retry); only the adapter
knows which. Everything else a method raises is a defect.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any, Literal, Protocol

from connectionchain.authorization import Authorization
from connectionchain.escrow import Status, Terms
from connectionchain.events import EventFilter
from connectionchain.evidence import Block, Kind, Step
from connectionchain.ids import AccountId, ChainId
from connectionchain.sieve import Match

Depth = Literal["latest", "final"]


@dataclass(frozen=True)
class Entry:
    """An escrow entry as seen in `block`; `paid` is what a metered one has paid so far."""

    status: Status
    block: Block
    paid: int = 0


@dataclass(frozen=True)
class Lock:
    """Bring the payer's asset into escrow with his authorisation."""

    terms: Terms
    authorization: Authorization


@dataclass(frozen=True)
class Release:
    """Pay all these entries out to their payees; `signatures` are one certificate's over all of them in order."""

    terms: tuple[Terms, ...]
    signatures: tuple[str, ...]


@dataclass(frozen=True)
class Refund:
    """Give one entry back to its payer by certificate."""

    terms: Terms
    signatures: tuple[str, ...]


@dataclass(frozen=True)
class Reclaim:
    """Give one entry back to its payer after expiry; anybody may."""

    terms: Terms


@dataclass(frozen=True)
class Meter:
    """Pay one entry's payee up to `cumulative` by certificate; with `close`, its payer gets the rest."""

    terms: Terms
    cumulative: int
    signatures: tuple[str, ...]
    close: bool = False


@dataclass(frozen=True)
class Anchor:
    """Put a checkpoint of the evidence log on record, as `connectionchain.anchors.content` has it."""

    checkpoint: str


Operation = Lock | Release | Refund | Reclaim | Meter | Anchor


@dataclass(frozen=True)
class Incident:
    """A final block (`number`, once `hash`) was replaced, and with it what happened to these `entries` (ids):
    the chain broke its promise."""

    chain: ChainId
    number: int
    hash: str
    entries: frozenset[str]


@dataclass(frozen=True)
class Happening:
    """A final event of the escrow: which entry (id) it is about, and the terms if it locked the entry. Its leg is not
    numbered."""

    entry: str
    terms: Terms | None
    step: Step


@dataclass(frozen=True)
class Look:
    """What one look at the logs found: for each filter its events in order, in all blocks up to `last`."""

    last: int
    found: list[list[Match]]


@dataclass(frozen=True)
class Plan:
    """An operation found to work, and its price; not signed yet. `content` is the adapter's own, kept as JSON."""

    content: dict[str, Any]


@dataclass(frozen=True)
class Prepared:
    """A signed transaction: persist it before broadcasting. `sequence` is its place in the account's lane."""

    sequence: int
    transaction: str
    raw: bytes


class Broadcast(StrEnum):
    """What a node said to a transaction. CONFLICT: look for it on the chain, something took its place. TOO_CHEAP: not
    now, for this fee."""

    ACCEPTED = "accepted"
    KNOWN = "known"
    CONFLICT = "conflict"
    TOO_CHEAP = "too cheap"


class Location(StrEnum):
    """Where a transaction is: nowhere to be seen, in a block, or in a block with its effects reverted."""

    ABSENT = "absent"
    INCLUDED = "included"
    REVERTED = "reverted"


class ChainView(Protocol):
    """Reading a chain; all an attestor needs."""

    chain: ChainId

    async def block(self, depth: Depth) -> Block:
        """The newest block, or the newest final one."""

    async def entry(self, terms: Terms, depth: Depth) -> Entry: ...

    async def can_receive(self, terms: Terms) -> str | None:
        """Why the payee's transfer would fail at this moment (blocked by the token, …); None if it would not."""

    async def approves(self, account: AccountId, digest: str, signature: str) -> bool:
        """Whether `account`, a contract, accepts this signature (ERC-1271)."""

    async def events(self, filters: Sequence[EventFilter], first: int, last: int) -> Look:
        """One look at the logs from block `first` on: up to `last`, or to an earlier block where that is too much."""


class ChainAdapter(ChainView, Protocol):
    """Operating on a chain; all a connection node needs."""

    account: str

    @property
    def pause(self) -> timedelta:
        """So long after it was sent, a transaction that is in no block yet should be sent again."""

    @property
    def final(self) -> Block | None:
        """The newest final block as far as this process has followed the chain."""

    async def history(self, terms: Terms, leg: int, since: int = 0) -> tuple[Step, ...]:
        """The final events of an entry from block `since` on, oldest first."""

    async def hash_of(self, number: int) -> str | None:
        """The hash of block `number`; None if there is no such block (any more)."""

    def happenings(self, first: int, last: int) -> AsyncIterator[Sequence[Happening]]:
        """Everything that happened in the escrow in these blocks, in order, some blocks at a time."""

    async def locked(self, deal: str) -> tuple[Terms, ...]:
        """All that was ever locked in the name of a deal, finally, oldest first."""

    async def anchored(self, checkpoint: str, depth: Depth) -> str | None:
        """The transaction that lately put exactly this on record, whoever sent it; None if there is none."""

    async def sequence(self) -> int:
        """The lane's next free place, as the chain knows it."""

    async def plan(self, operation: Operation) -> Plan:
        """Raises Rejected if the operation would fail on the chain as it is now."""

    def sign(self, plan: Plan, sequence: int) -> Prepared: ...

    async def broadcast(self, prepared: Prepared) -> Broadcast: ...

    async def locate(self, transaction: str) -> Location: ...

    async def displaced(self, sequence: int) -> bool:
        """Whether a final transaction has taken this place of the lane."""

    async def is_too_cheap(self, plan: Plan) -> bool:
        """Whether a block would not take it now for its fee."""

    async def raised(self, plan: Plan) -> Plan | None:
        """The same with a fee that makes a node replace it; None if that is more than may be paid."""

    @property
    def mark(self) -> int:
        """To be taken before looking at entries, and given to `news` after."""

    async def news(self, entries: Sequence[Terms], mark: int, included: int | None = None, silence: float = 1) -> bool:
        """Waits until one of these entries was touched, made final or taken back since `mark`: True. Or for `silence`
        times `pause`. What was seen in block `included` is waited for until that block is final: by then it is so as
        well, or gone."""


TERMINAL_KIND = {
    Status.RELEASED: Kind.RELEASED,
    Status.REFUNDED: Kind.REFUNDED,
    Status.RECLAIMED: Kind.RECLAIMED,
    Status.CANCELLED: Kind.CANCELLED,
}
