"""Mandates: start, follow, dispute and end them, and what they cost."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

from eth_account.signers.base import BaseAccount
from temporalio.client import WorkflowExecutionStatus, WorkflowHandle, WorkflowUpdateStage

from connectionchain import onchain
from connectionchain.authorization import Erc3009, sign_erc3009
from connectionchain.billing import (
    WORKFLOW,
    Bill,
    BillingStart,
    BillState,
    TopUp,
    Use,
    Uses,
    UsesWanted,
    dispute,
    termination,
)
from connectionchain.bills import MandateStatement, lines, settlements
from connectionchain.client.amounts import shown
from connectionchain.client.checks import before_mandate
from connectionchain.client.engine import Engine
from connectionchain.client.failures import translated
from connectionchain.client.listing import STATE, left
from connectionchain.errors import NotEntitled, Unavailable
from connectionchain.events import Position
from connectionchain.mandate import Mandate
from connectionchain.model import Model
from connectionchain.network import Network

PAGE = 1000


class Mandates:
    """A mandate is given itself or by its id. Every method raises Unavailable if the engine, its workers or a chain do
    not answer, UnknownName for a mandate the engine does not know, and what is named beside it."""

    def __init__(self, network: Network, engine: Engine) -> None:
        self._network, self._engine = network, engine

    async def start(self, mandate: Mandate, key: BaseAccount) -> Mandate:
        """Signs the cap with the consumer's key and starts; one that was started before is left as it is.
        Raises NotEntitled, UnknownName (chains, tokens), InvalidInput (times), InsufficientFunds (for the cap)."""
        if await self._engine.knows(mandate.id):
            return mandate
        await before_mandate(self._network, mandate)
        attestors = self._network.attestors
        start = BillingStart(
            mandate=mandate,
            authorization=self._signed(mandate, 0, mandate.cap, key),
            attestors=tuple(attestors.members),
            threshold=attestors.threshold,
        )
        await self._engine.start(start, f"at most {shown(self._network, mandate.token, mandate.cap)}")
        return mandate

    async def top_up(self, mandate: Mandate | str, amount: int, key: BaseAccount) -> Bill:
        """Locks `amount` base units more; returns once they are final, however long their chain takes for that. Raises
        NotEntitled, Refused, Rejected."""
        mandate = await self.mandate(mandate)
        number = len((await self.explain(mandate)).progress.entries)
        authorization = self._signed(mandate, number, amount, key)
        said, accepted = TopUp(number=number, amount=amount, authorization=authorization), WorkflowUpdateStage.ACCEPTED
        async with translated(mandate.id):
            update = await self._handle(mandate).start_update("top_up", said, wait_for_stage=accepted, result_type=Bill)
        async with translated(mandate.id, patience=None):
            return Bill.model_validate(await update.result())

    async def terminate(self, mandate: Mandate | str, key: BaseAccount, at: datetime | None = None) -> Bill:
        """Use before `at` (now, if not given) is the last to be paid. Raises NotEntitled, TooLate, AlreadyDecided."""
        mandate = self._own(await self.mandate(mandate), key)
        at = at or datetime.now(UTC).replace(microsecond=0)
        return await self._update(mandate.id, "terminate", termination(mandate, at, key))

    async def dispute(self, mandate: Mandate | str, use: Position, key: BaseAccount) -> Bill:
        """Holds back the price of one use. Raises NotEntitled, TooLate, UnknownName (the use)."""
        mandate = self._own(await self.mandate(mandate), key)
        return await self._update(mandate.id, "dispute", dispute(mandate, use, key))

    async def explain(self, mandate: Mandate | str) -> Bill:
        """Where it stands: from the workflow while it runs, from its result afterwards."""
        async with translated(_id(mandate)):
            handle = self._handle(mandate)
            if (await handle.describe()).status is WorkflowExecutionStatus.RUNNING:
                return Bill.model_validate(await handle.query("explain", result_type=Bill))
            return Bill.model_validate(await handle.result())

    async def result(self, mandate: Mandate | str, timeout: float | None = None) -> Bill:
        """Waits for its end; `timeout` in seconds."""
        async with translated(_id(mandate), timeout):
            return Bill.model_validate(await self._handle(mandate).result())

    async def mandate(self, mandate: Mandate | str) -> Mandate:
        """The mandate of an id."""
        return mandate if isinstance(mandate, Mandate) else await self._engine.mandate(mandate)

    async def list(self, limit: int = 100) -> list[tuple[Mandate, BillState]]:
        """The newest first."""
        query, found = f"WorkflowType = '{WORKFLOW}'", dict[str, tuple[Mandate, BillState]]()
        async with translated():
            async for each in self._engine.temporal.list_workflows(query, limit=limit):
                if isinstance(mandate := await left(each), Mandate):
                    state = BillState(each.typed_search_attributes.get(STATE, BillState.AWAITING_AUTHORIZATION))
                    found.setdefault(mandate.id, (mandate, state))
        return [*found.values()]

    async def uses(self, mandate: Mandate | str) -> AsyncIterator[Use]:
        """Every use on the bill, from the data chain's connection node."""
        mandate, last = await self.mandate(mandate), 0
        while True:
            wanted = UsesWanted(mandate=mandate.id, after=last, limit=PAGE)
            page: Uses = await self._engine.ask(f"node.{mandate.usage.chain}", "uses", wanted, result=Uses)
            for use in page.uses:
                yield use
            if len(page.uses) < PAGE:
                return
            last = page.uses[-1].number

    async def statement(self, mandate: Mandate | str) -> MandateStatement:
        """Uses and prices as the node keeps them, settlements as the token chain itself tells them."""
        mandate = await self.mandate(mandate)
        bill, uses, silent = await self.explain(mandate), [use async for use in self.uses(mandate)], False
        try:
            record = await onchain.record(self._network, mandate)
            entries, silent = record.entries, mandate.chain in record.silent
        except Unavailable:
            entries, silent = (), True
        settled = settlements(entries)
        return MandateStatement(
            mandate_id=mandate.id,
            mandate=mandate,
            bill=bill,
            lines=tuple(lines(uses, settled, bill.state.terminal)),
            settlements=tuple(settled),
            silent=silent,
        )

    def _signed(self, mandate: Mandate, number: int, amount: int, key: BaseAccount) -> Erc3009:
        self._own(mandate, key)
        escrow, token = self._network.chain(mandate.chain).escrow, self._network.token(mandate.token)
        return sign_erc3009(mandate.entry(number, amount), escrow, token, int(mandate.end.timestamp()), key)

    def _own(self, mandate: Mandate, key: BaseAccount) -> Mandate:
        if key.address.lower() != mandate.consumer.address:
            raise NotEntitled(f"{key.address} is not the consumer", field="key", remedy=f"use {mandate.consumer}'s")
        return mandate

    async def _update(self, mandate: str, name: str, message: Model) -> Bill:
        async with translated(mandate):
            return Bill.model_validate(await self._handle(mandate).execute_update(name, message, result_type=Bill))

    def _handle(self, mandate: Mandate | str) -> WorkflowHandle[object, Bill]:
        return self._engine.temporal.get_workflow_handle(_id(mandate), result_type=Bill)


def _id(mandate: Mandate | str) -> str:
    return mandate if isinstance(mandate, str) else mandate.id
