"""Every error a caller can meet.

ConnectionChainError
├── InvalidInput          a value that can never work: names the field and the remedy
│   ├── UnknownName       no such chain, token, rate, handle or deal
│   └── BadSignature      not made by the account that had to make it, or not over this
├── Refused               a rule forbids it
│   ├── NotEntitled       not yours to confirm, cancel or move
│   ├── TooLate           the time for it has passed
│   ├── AlreadyDecided    the deal has its one decision
│   └── PriceRefused      no rate in force allows this price, or a limit is reached
├── Rejected              the ledger will never accept this operation
│   └── InsufficientFunds the payer has not enough, or has not allowed enough
└── Unavailable           a server or node does not answer: try again later
"""

from typing import ClassVar, Self

from pydantic import ValidationError


class ConnectionChainError(Exception):
    """What went wrong (`message`), in which `field`, and what to do about it (`remedy`)."""

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, field: str = "", remedy: str = "") -> None:
        super().__init__(message, field, remedy)
        self.message, self.field, self.remedy = message, field, remedy

    def __str__(self) -> str:
        where = f"{self.field}: " if self.field else ""
        hint = f" ({self.remedy})" if self.remedy else ""
        return f"{where}{self.message}{hint}"


class InvalidInput(ConnectionChainError):
    exit_code = 2

    @classmethod
    def of(cls, error: ValidationError) -> Self:
        """The first problem of a pydantic error, named by its field path."""
        first = error.errors(include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        cause = first.get("ctx", {}).get("error")
        if isinstance(cause, ConnectionChainError):
            return cls(cause.message, field=".".join(filter(None, (field, cause.field))), remedy=cause.remedy)
        return cls(first["msg"].removeprefix("Value error, "), field=field, remedy="correct the value")


class UnknownName(InvalidInput):
    pass


class BadSignature(InvalidInput):
    pass


class Refused(ConnectionChainError):
    exit_code = 3


class NotEntitled(Refused):
    pass


class TooLate(Refused):
    pass


class AlreadyDecided(Refused):
    pass


class PriceRefused(Refused):
    pass


class Rejected(ConnectionChainError):
    exit_code = 4


class InsufficientFunds(Rejected):
    pass


class Unavailable(ConnectionChainError):
    exit_code = 5


def by_name(name: str) -> type[ConnectionChainError]:
    """The error class called `name`, as it crosses the engine as text; the root if there is none."""
    found = [cls for cls in _tree(ConnectionChainError) if cls.__name__ == name]
    return found[0] if found else ConnectionChainError


def _tree(cls: type[ConnectionChainError]) -> list[type[ConnectionChainError]]:
    return [cls] + [sub for child in cls.__subclasses__() for sub in _tree(child)]
