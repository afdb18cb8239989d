"""Finding deals and mandates: the engine's list of workflows, filtered by what each shows of itself there.

Source: https://docs.temporal.io/list-filter
"""

from datetime import datetime

from temporalio.client import WorkflowExecution
from temporalio.common import SearchAttributeKey, SearchAttributePair, TypedSearchAttributes

from connectionchain.deal import Deal
from connectionchain.ids import AccountId, ChainId
from connectionchain.mandate import Agreement, Mandate
from connectionchain.model import Model, rfc3339
from connectionchain.settlement import WORKFLOW, State

STATE = SearchAttributeKey.for_keyword("DealState")
PARTIES = SearchAttributeKey.for_keyword_list("DealParties")
CHAINS = SearchAttributeKey.for_keyword_list("DealChains")
DEADLINE = SearchAttributeKey.for_datetime("DealDeadline")


class DealSummary(Model):
    """A deal in a list. Workflows that show no deal of theirs are left out."""

    deal: Deal
    state: State
    deadline: datetime | None
    started: datetime
    closed: datetime | None


def search_attributes(deal: Agreement) -> TypedSearchAttributes:
    """What a deal or mandate shows of itself from the start."""
    return TypedSearchAttributes(
        [
            SearchAttributePair(STATE, State.AWAITING_AUTHORIZATION),
            SearchAttributePair(PARTIES, list(deal.parties)),
            SearchAttributePair(CHAINS, list(deal.chains)),
            SearchAttributePair(DEADLINE, deal.decide_by if isinstance(deal, Deal) else deal.end),
        ]
    )


def query(
    state: State | None,
    party: AccountId | None,
    chain: ChainId | None,
    started: tuple[datetime | None, datetime | None],
    closed: tuple[datetime | None, datetime | None],
) -> str:
    """A visibility query; `started` and `closed` are (not before, before)."""
    clauses = [f"WorkflowType = '{WORKFLOW}'"]
    clauses += [
        f"{key.name} = '{value}'" for key, value in ((STATE, state), (PARTIES, party), (CHAINS, chain)) if value
    ]
    for name, (after, before) in (("StartTime", started), ("CloseTime", closed)):
        clauses += [f"{name} >= '{rfc3339(after)}'"] if after else []
        clauses += [f"{name} < '{rfc3339(before)}'"] if before else []
    return " AND ".join(clauses)


async def summary_of(execution: WorkflowExecution) -> DealSummary | None:
    deal = await left(execution)
    if not isinstance(deal, Deal):
        return None
    shown = execution.typed_search_attributes
    return DealSummary(
        deal=deal,
        state=State(shown.get(STATE, State.AWAITING_AUTHORIZATION)),
        deadline=shown.get(DEADLINE),
        started=execution.start_time,
        closed=execution.close_time,
    )


async def left(execution: WorkflowExecution) -> Agreement | None:
    """What its starter left in the memo. The engine's operator could change a memo, hence the look at the id."""
    found: Agreement | None = await execution.memo_value("deal", None, type_hint=Deal)
    found = found or await execution.memo_value("mandate", None, type_hint=Mandate)
    return found if found and found.id == execution.id else None
