"""How our errors leave an activity: as application failures of Temporal that keep class name, field and remedy."""

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from pydantic import ValidationError
from temporalio.exceptions import ApplicationError

from connectionchain.errors import ConnectionChainError, InvalidInput, Unavailable

P = ParamSpec("P")
R = TypeVar("R")


def failure(error: ConnectionChainError) -> ApplicationError:
    """`type` is the class name (see `errors.by_name`), `details` are (field, remedy).

    Only Unavailable is worth a retry: the same input meets the same rule.
    """
    return ApplicationError(
        error.message,
        error.field,
        error.remedy,
        type=type(error).__name__,
        non_retryable=not isinstance(error, Unavailable),
    )


def typed_failures(activity: Callable[P, Awaitable[R]]) -> Callable[P, Awaitable[R]]:
    """Put below `@activity.defn`: raises `failure(error)` in place of our errors and of pydantic's."""

    @wraps(activity)
    async def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return await activity(*args, **kwargs)
        except ConnectionChainError as error:
            raise failure(error) from error
        except ValidationError as error:
            raise failure(InvalidInput.of(error)) from error

    return run
