"""What is found when a promise is broken."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Violation:
    """A broken promise: which, of which deal or mandate ("" for none), and what was found instead."""

    promise: str
    deal: str
    found: str
