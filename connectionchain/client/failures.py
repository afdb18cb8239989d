"""The engine's failures as our own errors: what a workflow or activity raised, and servers that do not answer."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from temporalio.client import (
    ActivityFailureError,
    RPCTimeoutOrCancelledError,
    WorkflowFailureError,
    WorkflowQueryFailedError,
    WorkflowUpdateFailedError,
)
from temporalio.exceptions import ApplicationError, CancelledError, TerminatedError
from temporalio.exceptions import TimeoutError as EngineTimeout
from temporalio.service import RPCError, RPCStatusCode

from connectionchain.errors import ConnectionChainError, InvalidInput, TooLate, Unavailable, UnknownName, by_name

PATIENCE_SECONDS = 30
ENDED_MEANWHILE = "AcceptedUpdateCompletedWorkflow"
"""What the engine calls the failure of an update that its workflow accepted, and did not live to answer."""

FAILURES = (ActivityFailureError, WorkflowFailureError, WorkflowQueryFailedError, WorkflowUpdateFailedError)


@asynccontextmanager
async def translated(deal: str = "", patience: float | None = PATIENCE_SECONDS) -> AsyncIterator[None]:
    """Within it the engine's errors are raised as ours; after `patience` seconds it counts as unavailable."""
    try:
        async with asyncio.timeout(patience):
            yield
    except FAILURES as error:
        raise _said(error) from None
    except RPCError as error:
        raise _of_call(error, deal) from None
    except (TimeoutError, RPCTimeoutOrCancelledError):
        raise no_worker() from None


def no_worker() -> Unavailable:
    return Unavailable(
        "the workflow engine or its workers do not answer",
        field="engine",
        remedy="see `connectionchain doctor`; what is locked stays safe and comes back after expiry",
    )


def _said(error: BaseException) -> ConnectionChainError:
    """The innermost failure that was meant for us."""
    cause: BaseException = error
    while not isinstance(cause, ApplicationError):
        if isinstance(cause, EngineTimeout):
            return no_worker()
        if isinstance(cause, TerminatedError | CancelledError):
            return _stopped(str(cause))
        if cause.__cause__ is None:
            return ConnectionChainError(str(cause))
        cause = cause.__cause__
    if cause.type == ENDED_MEANWHILE:
        return Unavailable(
            "its workflow ended before it could answer", field="deal", remedy="see where it stands, then try again"
        )
    field, remedy = (*map(str, cause.details), "", "")[:2]
    return by_name(cause.type or "")(cause.message, field=field, remedy=remedy)


def _stopped(how: str) -> ConnectionChainError:
    return ConnectionChainError(
        f"the deal's workflow was stopped by the engine's operator: {how}",
        field="deal",
        remedy="payers get what is locked back after expiry: `connectionchain reclaim`",
    )


def _of_call(error: RPCError, deal: str) -> ConnectionChainError:
    match error.status:
        case RPCStatusCode.NOT_FOUND if "already completed" in error.message:
            return TooLate(f"{deal} has ended", field="deal", remedy="see `connectionchain deals show`")
        case RPCStatusCode.NOT_FOUND if deal and "amespace" not in error.message:
            return UnknownName(
                f"the engine knows no deal {deal}",
                field="deal",
                remedy="see `connectionchain evidence show`: it asks the chains",
            )
        case RPCStatusCode.INVALID_ARGUMENT:
            return InvalidInput(error.message, field="engine", remedy="see `connectionchain doctor`")
        case RPCStatusCode.PERMISSION_DENIED | RPCStatusCode.UNAUTHENTICATED:
            return Unavailable(error.message, field="engine", remedy="set TEMPORAL_API_KEY or a TEMPORAL_PROFILE")
        case _:
            return Unavailable(error.message, field="engine", remedy="see `connectionchain doctor`, or try again later")
