"""An attestor signs what it has found true on its own nodes, once, and nothing it was merely told."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from eth_account import Account
from temporalio.exceptions import ApplicationError

from activities.attestor import Attestor
from activities.facts import Witness
from activities.orders import AttestOrder
from adapters.evm.view import EvmView
from connectionchain import Cancellable, Confirmed, Deal, State, TimeReached
from connectionchain.certificate import Outcome, settlement_typed_data, settlements
from connectionchain.statements import Statement, signed
from connectionchain.typed_data import expanded
from ledger.database import Database
from ledger.decisions import decision


@dataclass
class Own:
    """An attestor of the test's own, on the session's chains: a fourth, whom no workflow asks."""

    scene: Any
    folder: Any
    views: dict[Any, EvmView]
    now: datetime | None = None

    def __post_init__(self) -> None:
        self.key = Account.create()
        self.reopen()

    def reopen(self) -> None:
        """As after a restart: nothing is kept but the database file."""
        self.database = Database(f"sqlite+aiosqlite:///{self.folder}/attestor.db")
        witness = Witness(self.views, lambda: self.now or datetime.now(UTC))
        self.attestor = Attestor(self.key, self.scene.stack.network, witness, self.database)

    async def attest(self, deal: Deal, outcome: Outcome, *statements: Statement):
        return await self.attestor.attest(AttestOrder(deal=deal, outcome=outcome, statements=statements))

    async def refuses(self, kind: str, deal: Deal, outcome: Outcome, *statements: Statement) -> ApplicationError:
        with pytest.raises(ApplicationError) as refusal:
            await self.attest(deal, outcome, *statements)
        assert refusal.value.type == kind, refusal.value
        assert refusal.value.non_retryable == (kind != "Unavailable")
        assert await decision(self.database, deal.id) is None
        return refusal.value


@pytest.fixture
async def own(stack, scene, tmp_path):
    views = {chain.id: EvmView(chain) for chain in stack.network.chains.values()}
    own = Own(scene, tmp_path, views)
    await own.database.create()
    yield own
    await own.database.close()
    for view in views.values():
        await view.close()


async def locked(scene, **terms):
    """A purchase whose legs are locked for good and whose shop has not answered."""
    hanako, shop, bank = await scene.person("A"), await scene.person(), await scene.person("B")
    shops = scene.account("B", shop)
    terms = {"condition": Confirmed(by=shops), "cancellable": Cancellable(by=(shops,))} | terms
    deal = scene.deal(scene.leg("A", hanako, bank), scene.leg("B", bank, shop), **terms)
    await scene.start(deal, hanako, bank)
    await scene.reaches(deal, State.LOCKED)
    return deal, shop


def said(deal: Deal, by, key, kind: Any = "confirmation") -> Statement:
    return signed(kind, deal.id, by, key)


async def test_commit__signs_its_own_digests_once_the_facts_are_there(scene, own) -> None:
    deal, shop = await locked(scene)
    confirmation = said(deal, scene.account("B", shop), shop)
    missing = await own.refuses("Unavailable", deal, Outcome.COMMIT)
    assert "still missing: confirmation by" in missing.message
    given = await own.attest(deal, Outcome.COMMIT, confirmation)
    assert (given.attestor, given.outcome) == (own.key.address.lower(), Outcome.COMMIT)
    for settlement, signature in zip(settlements(deal, Outcome.COMMIT), given.signatures, strict=True):
        escrow = scene.stack.network.chain(settlement.chain).escrow
        typed = settlement_typed_data(deal, settlement, Outcome.COMMIT, escrow)
        assert typed.signer_of(expanded(signature)) == own.key.address.lower()
    kept = await decision(own.database, deal.id)
    assert kept is not None
    assert (kept.outcome, kept.reason) == (Outcome.COMMIT, "every leg is locked and the condition holds")


async def test_both_outcomes__are_never_signed_even_after_a_restart(scene, own) -> None:
    deal, shop = await locked(scene)
    shops = scene.account("B", shop)
    confirmation, cancellation = said(deal, shops, shop), said(deal, shops, shop, "cancellation")
    first = await own.attest(deal, Outcome.COMMIT, confirmation)
    for _ in range(2):
        with pytest.raises(ApplicationError, match="decided to commit it") as refusal:
            await own.attest(deal, Outcome.ABORT, cancellation)
        assert refusal.value.type == "AlreadyDecided"
        await own.database.close()
        own.reopen()
    assert await own.attest(deal, Outcome.COMMIT, confirmation) == first  # the same again is no second decision


async def test_both_outcomes__asked_at_once_one_is_signed(scene, own) -> None:
    deal, shop = await locked(scene)
    shops = scene.account("B", shop)
    orders = [(Outcome.COMMIT, said(deal, shops, shop)), (Outcome.ABORT, said(deal, shops, shop, "cancellation"))] * 3
    answers = await asyncio.gather(*(own.attest(deal, *order) for order in orders), return_exceptions=True)
    signed_outcomes = {each.outcome for each in answers if not isinstance(each, BaseException)}
    refused = [each for each in answers if isinstance(each, BaseException)]
    assert len(signed_outcomes) == 1
    assert [each.type for each in refused] == ["AlreadyDecided"] * 3


async def test_tampering_workflow__gets_no_commit_for_a_deal_that_is_not_locked(scene, own) -> None:
    """A lying connection node changes nothing: its steps are never shown to an attestor, who looks for himself."""
    hanako, shop, bank = await scene.person("A"), await scene.person(), await scene.person("B")
    deal = scene.deal(scene.leg("A", hanako, bank), scene.leg("B", bank, shop))
    missing = await own.refuses("Unavailable", deal, Outcome.COMMIT)
    assert "leg 0 is not locked in final block" in missing.message
    await scene.start(deal, hanako)  # the bank has not authorised
    for amount in (100, 99):
        changed = deal.model_copy(update={"legs": (scene.leg("A", hanako, bank, amount), deal.legs[1])})
        await own.refuses("Unavailable", changed, Outcome.COMMIT)


async def test_tampering_workflow__gets_nothing_for_a_changed_deal(scene, own) -> None:
    """Whatever is changed in a locked deal makes another deal, which nobody has locked or confirmed."""
    deal, shop = await locked(scene)
    shops, thief = scene.account("B", shop), await scene.person()
    confirmation = said(deal, shops, shop)
    bent = [
        {"condition": None},
        {"legs": (deal.legs[0], deal.legs[1].model_copy(update={"payee": scene.account("B", thief)}))},
        {"expiry": deal.expiry + timedelta(hours=1)},
        {"decide_by": deal.decide_by - timedelta(minutes=1)},
    ]
    for change in bent:
        changed = deal.model_copy(update=change)
        assert changed.id != deal.id
        with pytest.raises(ApplicationError) as refusal:
            await own.attest(changed, Outcome.COMMIT, confirmation)
        assert refusal.value.type in ("Unavailable", "BadSignature")
        assert await decision(own.database, changed.id) is None


async def test_statements__of_strangers_and_forgers(scene, own) -> None:
    deal, shop = await locked(scene)
    shops, stranger = scene.account("B", shop), await scene.person()
    forged = said(deal, shops, stranger)
    theirs = said(deal, scene.account("B", stranger), stranger)
    refusal = await own.refuses("BadSignature", deal, Outcome.COMMIT, forged)
    assert refusal.details[0] == f"confirmation by {shops}"
    await own.refuses("Unavailable", deal, Outcome.COMMIT, theirs)
    await own.refuses("Unavailable", deal, Outcome.COMMIT, Statement(kind="confirmation"))
    await own.refuses("Unavailable", deal, Outcome.COMMIT, said(deal, shops, shop, "cancellation"))
    await own.refuses("BadSignature", deal, Outcome.ABORT, said(deal, shops, stranger, "cancellation"))
    await own.refuses("NotEntitled", deal, Outcome.ABORT, Statement(kind="cancellation"))
    await own.refuses("Unavailable", deal, Outcome.ABORT, said(deal, shops, shop))
    await own.attest(deal, Outcome.COMMIT, forged, theirs, said(deal, shops, shop))  # a true one among false ones


async def test_abort__needs_a_reason_anybody_can_check(scene, own) -> None:
    deal, _shop = await locked(scene)
    idle = await own.refuses("Unavailable", deal, Outcome.ABORT)
    assert "no reason to abort yet" in idle.message
    own.now = deal.decide_by
    given = await own.attest(deal, Outcome.ABORT)
    assert len(given.signatures) == 2
    kept = await decision(own.database, deal.id)
    assert kept is not None
    assert kept.reason == "decide_by has passed"


async def test_abort__of_a_leg_that_is_not_locked(scene, own) -> None:
    hanako, shop = await scene.person("A"), await scene.person()
    deal = scene.deal(scene.leg("A", hanako, shop))
    await own.attest(deal, Outcome.ABORT)
    kept = await decision(own.database, deal.id)
    assert kept is not None
    assert kept.reason == "leg 0 is not locked"


async def test_commit__is_too_late_from_decide_by_on(scene, own) -> None:
    deal, shop = await locked(scene)
    confirmation = said(deal, scene.account("B", shop), shop)
    own.now = deal.decide_by
    await own.refuses("TooLate", deal, Outcome.COMMIT, confirmation)
    own.now = deal.decide_by - timedelta(seconds=1)
    await own.attest(deal, Outcome.COMMIT, confirmation)


async def test_cancellation__after_its_time_is_no_reason(scene, own) -> None:
    hanako, shop = await scene.person("A"), await scene.person()
    shops = scene.account("A", shop)
    until = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=60)
    deal = scene.deal(
        scene.leg("A", hanako, shop), condition=Confirmed(by=shops), cancellable=Cancellable(by=(shops,), until=until)
    )
    await scene.start(deal, hanako)
    await scene.reaches(deal, State.LOCKED)
    cancellation = said(deal, shops, shop, "cancellation")
    own.now = until + timedelta(seconds=1)
    await own.refuses("Unavailable", deal, Outcome.ABORT, cancellation)
    own.now = until
    await own.attest(deal, Outcome.ABORT, cancellation)


async def test_time_reached__goes_by_the_attestors_own_clock(scene, own) -> None:
    draft, _shop = await locked(
        scene, condition=TimeReached(at=datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=90))
    )
    own.now = draft.decide_by - timedelta(seconds=60)
    await own.refuses("Unavailable", draft, Outcome.COMMIT)
    own.now = draft.condition.at
    await own.attest(draft, Outcome.COMMIT)


async def test_released_leg__is_never_refunded(scene, own) -> None:
    """Even an attestor that was never asked for the commit sees that the deal is committed."""
    deal, shop = await locked(scene)
    await scene.stack.client.confirm(deal, shop)
    assert (await scene.ends(deal)).state is State.SETTLED
    refusal = await own.refuses("Refused", deal, Outcome.ABORT)
    assert "was released" in refusal.message


async def test_unknown_chain__is_named(scene, own) -> None:
    deal, shop = await locked(scene)
    view = own.views.pop(scene.stack.network.chain("b").id)
    await view.close()
    refusal = await own.refuses("UnknownName", deal, Outcome.COMMIT, said(deal, scene.account("B", shop), shop))
    assert refusal.details[0] == "chain"
