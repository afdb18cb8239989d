"""What a transaction may cost: EIP-1559 fees within a cap, raised when it has to replace a stuck one."""

from dataclasses import dataclass
from typing import Any, Self

from connectionchain.model import Model

BASE_FEE_HEADROOM = 2
"""The base fee can rise by an eighth each block: twice the present one lasts for six full blocks."""

GWEI = 10**9


@dataclass(frozen=True)
class Fees:
    """`most` and `tip` in wei per gas (maxFeePerGas, maxPriorityFeePerGas)."""

    most: int
    tip: int

    @classmethod
    def of(cls, content: dict[str, Any]) -> Self:
        return cls(content["maxFeePerGas"], content["maxPriorityFeePerGas"])

    @property
    def fields(self) -> dict[str, int]:
        return {"maxFeePerGas": self.most, "maxPriorityFeePerGas": self.tip}


class FeePolicy(Model):
    """Never more than `cap` wei per gas."""

    cap: int = 500 * GWEI

    def first(self, head: Any, tip: int) -> Fees:
        most = min(self.cap, BASE_FEE_HEADROOM * head.get("baseFeePerGas", 0) + tip)
        return Fees(most, min(tip, most))

    def raised(self, paid: Fees, head: Any, tip: int) -> Fees | None:
        """At least an eighth more of both, as nodes demand of a replacement; None if the cap does not allow it."""
        now = self.first(head, tip)
        raised = Fees(max(now.most, _eighth_more(paid.most)), max(now.tip, _eighth_more(paid.tip)))
        return raised if raised.most <= self.cap else None


def _eighth_more(wei: int) -> int:
    return wei + wei // 8 + 1
