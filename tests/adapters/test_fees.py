"""EIP-1559 fees within a cap, and what a node demands of a replacement."""

from hypothesis import given
from hypothesis import strategies as st

from adapters.evm.fees import GWEI, FeePolicy, Fees

wei = st.integers(min_value=0, max_value=10**13)


@given(base=wei, tip=wei, cap=st.integers(min_value=1, max_value=10**13))
def test_first__never_above_the_cap_nor_a_tip_above_the_whole(base: int, tip: int, cap: int) -> None:
    fees = FeePolicy(cap=cap).first({"baseFeePerGas": base}, tip)
    assert 0 <= fees.tip <= fees.most <= cap


@given(base=wei, tip=wei, paid=wei, paid_tip=wei)
def test_raised__at_least_an_eighth_more_or_nothing(base: int, tip: int, paid: int, paid_tip: int) -> None:
    policy = FeePolicy(cap=10**13)
    old = Fees(max(paid, paid_tip), paid_tip)
    fees = policy.raised(old, {"baseFeePerGas": base}, tip)
    if fees is None:
        assert max(2 * base + tip, old.most * 9 / 8) >= policy.cap - 1
    else:
        assert fees.most * 8 >= old.most * 9
        assert fees.tip * 8 >= old.tip * 9
        assert fees.tip <= fees.most <= policy.cap


def test_first__twice_the_base_fee_and_the_tip() -> None:
    assert FeePolicy().first({"baseFeePerGas": 7 * GWEI}, GWEI) == Fees(15 * GWEI, GWEI)


def test_raised__none_at_the_cap() -> None:
    assert FeePolicy(cap=10 * GWEI).raised(Fees(10 * GWEI, GWEI), {"baseFeePerGas": GWEI}, GWEI) is None


def test_first__chain_without_base_fee() -> None:
    assert FeePolicy().first({}, GWEI) == Fees(GWEI, GWEI)
