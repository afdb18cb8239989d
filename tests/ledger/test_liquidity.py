"""Rates, quotes, limits and the account book, on both databases."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from connectionchain.accounts import AccountEntry
from connectionchain.deal import Deal, Leg
from connectionchain.errors import InvalidInput, PriceRefused, UnknownName
from connectionchain.ids import AccountId, TokenId
from connectionchain.money import UINT96_MAX
from connectionchain.rates import Limits, Quote, QuoteRequest, Rate, TokenAmount, offer
from ledger.accounts import AccountBook
from ledger.database import Database
from ledger.liquidity import Decide, Grant, LiquidityBook

NOW = datetime(2026, 11, 22, 23, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
A = TokenId("eip155:31337/erc20:0x" + "aa" * 20)
B = TokenId("eip155:31338/erc20:0x" + "bb" * 20)
DESK_A = AccountId("eip155:31337:0x" + "01" * 20)
DESK_B = AccountId("eip155:31338:0x" + "01" * 20)
SHOPPER = AccountId("eip155:31337:0x" + "02" * 20)
FRIEND = AccountId("eip155:31337:0x" + "04" * 20)
SHOP = AccountId("eip155:31338:0x" + "03" * 20)


def rate(name: str = "a-b", **changes: Any) -> Rate:
    values: dict[str, Any] = {"source": A, "target": B, "receives": DESK_A, "pays": DESK_B, "ratio": "3/2"}
    values |= {"valid_from": NOW - HOUR, "valid_until": NOW + 48 * HOUR}
    values["limits"] = Limits(per_deal=100, per_day=1000, per_counterparty=300)
    return Rate(name=name, **values | changes)


def deal(reference: str = "") -> Deal:
    legs = (
        Leg(token=A, payer=SHOPPER, payee=DESK_A, amount=1),
        Leg(token=B, payer=DESK_B, payee=SHOP, amount=1),
    )
    return Deal(legs=legs, decide_by=NOW + HOUR, expiry=NOW + 2 * HOUR, reference=reference)


def sell(amount: int, to: AccountId = SHOPPER) -> Decide:
    def decide(rates: Sequence[Rate], _quote: Quote | None) -> list[Grant]:
        return [Grant(rate=rates[0], leg=0, counterparty=to, amount=amount)]

    return decide


@pytest.fixture
async def book(database: Database) -> LiquidityBook:
    book = LiquidityBook(database)
    await book.register(rate())
    return book


async def quoted(book: LiquidityBook, at: datetime = NOW) -> Quote:
    request = QuoteRequest(rate="a-b", pay=TokenAmount(token=A, amount=10))
    quote = offer(rate(), request, at, HOUR)
    await book.add_quote(quote)
    return quote


async def test_register__twice_refused(book: LiquidityBook) -> None:
    with pytest.raises(InvalidInput, match="there is a rate a-b already"):
        await book.register(rate(ratio="2"))
    assert await book.rates() == [rate()]


async def test_register__keeps_a_ratio_of_many_digits(book: LiquidityBook) -> None:
    exact = rate("exact", ratio=f"{10**48 + 1}/{10**47 + 3}")
    await book.register(exact)
    assert await book.rate("exact") == exact


async def test_replace__changes_terms_and_revives(book: LiquidityBook) -> None:
    await book.retire("a-b")
    await book.replace(rate(ratio="2"))
    assert await book.rate("a-b") == rate(ratio="2")


async def test_retire__makes_it_unknown(book: LiquidityBook) -> None:
    await book.retire("a-b")
    assert await book.rates() == []
    with pytest.raises(UnknownName, match="known: none"):
        await book.rate("a-b")


async def test_rate__unknown_names_those_known(book: LiquidityBook) -> None:
    for attempt in (book.rate("x"), book.retire("x"), book.replace(rate("x"))):
        with pytest.raises(UnknownName, match="known: a-b"):
            await attempt


async def test_rates__in_force_at_a_time(book: LiquidityBook) -> None:
    await book.register(rate("later", valid_from=NOW + HOUR))
    assert [each.name for each in await book.rates(NOW)] == ["a-b"]
    assert [each.name for each in await book.rates(NOW + HOUR)] == ["a-b", "later"]
    assert await book.rates(NOW + 48 * HOUR) == []


async def test_grant__sees_only_rates_for_the_deals_tokens_and_its_quote(book: LiquidityBook) -> None:
    quote = await quoted(book)
    other = TokenId("eip155:31338/erc20:0x" + "cc" * 20)
    await book.register(rate("a-c", target=other))
    seen: list[Any] = []

    def decide(rates: Sequence[Rate], quote: Quote | None) -> list[Grant]:
        seen.extend([list(rates), quote])
        return []

    await book.grant(deal(quote.id), NOW, decide)
    assert seen == [[rate()], quote]


async def test_grant__above_a_limit_refused(book: LiquidityBook) -> None:
    with pytest.raises(PriceRefused, match="limit of 100 base units a deal"):
        await book.grant(deal(), NOW, sell(101))
    for _ in range(3):
        await book.grant(deal(), NOW, sell(100))
    with pytest.raises(PriceRefused, match=f"limit of 300 base units a day to {SHOPPER}"):
        await book.grant(deal(), NOW, sell(1))
    for n in range(7):
        await book.grant(deal(), NOW, sell(100, AccountId("eip155:31337:0x" + f"{n:040x}")))
    with pytest.raises(PriceRefused, match="1 on top of 1000 is above the limit of 1000 base units a day"):
        await book.grant(deal(), NOW, sell(1, FRIEND))
    await book.grant(deal(), NOW + HOUR, sell(1))  # the next UTC day


async def test_grant__a_replaced_rate_keeps_its_count(book: LiquidityBook) -> None:
    await book.grant(deal(), NOW, sell(100))
    await book.replace(rate(limits=Limits(per_deal=100, per_day=150, per_counterparty=150)))
    with pytest.raises(PriceRefused, match="at most 50 more"):
        await book.grant(deal(), NOW, sell(51))


async def test_grant__the_same_deal_counts_once(book: LiquidityBook) -> None:
    once = deal()
    await asyncio.gather(*(book.grant(once, NOW, sell(100)) for _ in range(8)))
    await book.grant(deal(), NOW, sell(100))
    await book.grant(deal(), NOW, sell(100))
    with pytest.raises(PriceRefused, match="on top of 300"):
        await book.grant(deal(), NOW, sell(1))


async def test_grant__concurrent_deals_do_not_pass_a_limit_together(book: LiquidityBook) -> None:
    buyers = [AccountId("eip155:31337:0x" + f"{n:040x}") for n in range(20)]
    results = await asyncio.gather(
        *(book.grant(deal(), NOW, sell(100, buyer)) for buyer in buyers), return_exceptions=True
    )
    assert [type(result) for result in results if result] == [PriceRefused] * 10
    with pytest.raises(PriceRefused, match="on top of 1000"):
        await book.grant(deal(), NOW, sell(1))


async def test_grant__adds_up_amounts_of_96_bits_exactly(book: LiquidityBook) -> None:
    limits = Limits(per_deal=UINT96_MAX, per_day=UINT96_MAX, per_counterparty=UINT96_MAX)
    await book.replace(rate(limits=limits))
    await book.grant(deal(), NOW, sell(UINT96_MAX - 2))
    await book.grant(deal(), NOW, sell(1))
    with pytest.raises(PriceRefused, match=f"2 on top of {UINT96_MAX - 1} is above the limit of {UINT96_MAX}"):
        await book.grant(deal(), NOW, sell(2))
    await book.grant(deal(), NOW, sell(1))


async def test_grant__a_quote_is_good_for_one_deal(book: LiquidityBook) -> None:
    quote = await quoted(book)
    results = await asyncio.gather(
        *(book.grant(deal(quote.id), NOW, sell(10)) for _ in range(5)), return_exceptions=True
    )
    assert [type(result) for result in results if result] == [PriceRefused] * 4


async def test_grant__refused_leaves_the_quote_unused(book: LiquidityBook) -> None:
    quote = await quoted(book)
    with pytest.raises(PriceRefused):
        await book.grant(deal(quote.id), NOW, sell(101))
    await book.grant(deal(quote.id), NOW, sell(10))


async def test_add_quote__forgets_those_long_expired(book: LiquidityBook) -> None:
    old = await quoted(book)
    await quoted(book, NOW + 24 * HOUR)
    assert await _known(book, old)
    await quoted(book, NOW + 26 * HOUR)
    assert not await _known(book, old)


async def _known(book: LiquidityBook, quote: Quote) -> bool:
    seen: list[Quote | None] = []

    def decide(_rates: Sequence[Rate], quote: Quote | None) -> list[Grant]:
        seen.append(quote)
        return []

    await book.grant(deal(quote.id), NOW, decide)
    return seen == [quote]


async def test_account_book__register_update_list_delete(database: Database) -> None:
    book = AccountBook(database)
    home, away = (AccountEntry(handle="hanako", alias=alias, account=SHOPPER) for alias in ("home", "away"))
    await book.register(home)
    await book.register(away)
    await book.register(AccountEntry(handle="taro", alias="home", account=SHOP))
    moved = AccountEntry(handle="hanako", alias="home", account=FRIEND)
    await book.update(moved)
    assert await book.of("hanako") == [away, moved]
    await book.delete("hanako", "away")
    assert await book.of("hanako") == [moved]
    assert await book.of("nobody") == []


async def test_account_book__taken_and_unknown_aliases_are_typed(database: Database) -> None:
    book = AccountBook(database)
    entry = AccountEntry(handle="hanako", alias="home", account=SHOPPER)
    with pytest.raises(UnknownName, match="known: none"):
        await book.update(entry)
    await book.register(entry)
    with pytest.raises(InvalidInput, match="hanako has an account home already"):
        await book.register(entry)
    with pytest.raises(UnknownName, match="known: home"):
        await book.delete("hanako", "away")
