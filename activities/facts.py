"""The facts an attestor decides on, each looked up on its own nodes and its own clock.

Unavailable means: not true yet, ask again. Refused and BadSignature mean: not on these statements.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from adapters.base import ChainView
from connectionchain.conditions import OPERATOR, EventSeen, Facts, Paid, followed
from connectionchain.deal import Deal
from connectionchain.errors import BadSignature, NotEntitled, Refused, TooLate, Unavailable, UnknownName
from connectionchain.escrow import Status, Terms
from connectionchain.ids import AccountId, ChainId
from connectionchain.statements import Statement
from connectionchain.typed_data import TypedData


class Witness:
    """Looks at chains and statements. It holds no key: finding out and signing are kept apart."""

    def __init__(self, views: Mapping[ChainId, ChainView], clock: Callable[[], datetime]) -> None:
        self._views, self._clock = views, clock

    async def reason_to_commit(self, deal: Deal, statements: Sequence[Statement]) -> str:
        """Every lock is final, the condition holds, every payee can be paid, and there is time left."""
        await self._in_time(deal)
        await self._condition(deal, [each for each in statements if each.kind == "confirmation"])
        for n, leg in enumerate(deal.legs):
            await self._locked_for_good(n, Terms.of(deal, leg), self._view(leg.chain))
        return "every leg is locked and the condition holds"

    async def reason_to_abort(self, deal: Deal, statements: Sequence[Statement]) -> str:
        """A cancellation by an entitled party, decide_by passed, or a leg that is not locked or cannot be paid out."""
        for statement in statements:
            if statement.kind == "cancellation" and await self._cancels(deal, statement):
                return f"cancelled by {statement.by or OPERATOR}"
        if await self._past_decide_by(deal):
            return "decide_by has passed"
        for n, leg in enumerate(deal.legs):
            terms, view = Terms.of(deal, leg), self._view(leg.chain)
            status = (await view.entry(terms, "latest")).status
            if status is Status.RELEASED:
                raise Refused(f"leg {n} was released: the deal is committed", field=f"legs.{n}")
            if status is not Status.LOCKED:
                return f"leg {n} is not locked"
            if why := await view.can_receive(terms):
                return f"leg {n} cannot be paid out: {why}"
        raise Unavailable(
            "there is no reason to abort yet: every leg is locked and decide_by is ahead", field="outcome"
        )

    async def _in_time(self, deal: Deal) -> None:
        """By this attestor's clock and by the time of every chain, which is what the escrow goes by."""
        times = [self._clock()] + [(await self._view(chain).block("latest")).time for chain in deal.chains]
        if max(times) >= deal.decide_by:
            raise TooLate("it can no longer commit", field="decide_by", remedy="the deal will be refunded")

    async def _past_decide_by(self, deal: Deal) -> bool:
        if self._clock() >= deal.decide_by:
            return True
        times = [(await self._view(chain).block("latest")).time for chain in deal.chains]
        return min(times) >= deal.decide_by

    async def _locked_for_good(self, n: int, terms: Terms, view: ChainView) -> None:
        final = await view.entry(terms, "final")
        if final.status is Status.NONE:
            raise Unavailable(f"leg {n} is not locked in final block {final.block.number}", field=f"legs.{n}")
        if final.status is not Status.LOCKED:
            raise Refused(f"leg {n} is {final.status.name.lower()}", field=f"legs.{n}")
        if why := await view.can_receive(terms):
            raise Refused(f"leg {n} cannot be paid out: {why}", field=f"legs.{n}.payee")

    async def _condition(self, deal: Deal, confirmations: Sequence[Statement]) -> None:
        """Forged confirmations are passed over: anybody could send one beside the true one."""
        genuine = [each for each in confirmations if await self._genuine(deal, each)]
        confirmed = frozenset(each.by or OPERATOR for each in genuine)
        facts = Facts(now=self._clock(), confirmed=confirmed, seen=await self._seen(deal))
        if deal.condition is None or deal.condition.holds(facts):
            return
        for each in confirmations:
            if each.by and each.by not in facts.confirmed:
                raise _forged(each)
        raise Unavailable(f"still missing: {'; '.join(deal.condition.missing(facts))}", field="condition")

    async def _seen(self, deal: Deal) -> dict[str, int]:
        return {each.filter.id: await self._count(each) for each in followed(deal.condition)}

    async def _count(self, wanted: EventSeen | Paid) -> int:
        """Final events by this attestor's own nodes, counted until there are enough."""
        view, count, first = self._view(wanted.chain), 0, wanted.since
        final = (await view.block("final")).number
        while first <= final and count < wanted.count:
            look = await view.events([wanted.filter], first, final)
            first, count = look.last + 1, count + len(look.found[0])
        return count

    async def _cancels(self, deal: Deal, statement: Statement) -> bool:
        rule = deal.cancellable
        if not (statement.by in rule.by if statement.by else rule.operator):
            raise NotEntitled(f"{statement.by or OPERATOR} may not cancel this deal", field="cancellation")
        if rule.until and self._clock() > rule.until:
            return False
        if not await self._genuine(deal, statement):
            raise _forged(statement)
        return True

    async def _genuine(self, deal: Deal, statement: Statement) -> bool:
        if statement.by is None:
            return True  # an operator's word: it counts only where the deal says so
        view = self._views.get(statement.by.chain)
        return await genuine(view, statement.by, statement.typed_data(deal.id), statement.signature)

    def _view(self, chain: ChainId) -> ChainView:
        if chain not in self._views:
            raise UnknownName(f"this attestor does not watch {chain}", field="chain", remedy="configure its URL")
        return self._views[chain]


async def genuine(view: ChainView | None, by: AccountId, typed: TypedData, signature: str) -> bool:
    """Whether `by` signed. A key's signature first; an account with code may have signed with its key as well
    (EIP-7702)."""
    if typed.signer_of(signature) == by.address:
        return True
    return view is not None and await view.approves(by, typed.digest, signature)


def _forged(statement: Statement) -> BadSignature:
    return BadSignature(
        "the signature is not this account's over this deal",
        field=statement.label,
        remedy="sign the statement of this very deal with that account's key",
    )
