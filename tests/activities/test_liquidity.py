"""The desk signs for deals at its price or worse for the customer, within limits, and never first."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account
from eth_account.signers.local import LocalAccount
from temporalio.exceptions import ApplicationError

from activities.liquidity import LiquidityDesk
from connectionchain.authorization import (
    Authorization,
    Erc3009,
    OnChain,
    erc3009_typed_data,
    sign_erc3009,
    sign_permit,
)
from connectionchain.deal import Deal, Leg
from connectionchain.errors import InvalidInput
from connectionchain.escrow import Terms
from connectionchain.ids import AccountId, TokenId
from connectionchain.network import Attestors, Chain, Network, Token
from connectionchain.rates import AuthorizeRequest, Limits, Quote, QuoteRequest, Rate, TokenAmount, purchase
from connectionchain.settlement import LegAuthorization
from ledger.database import Database
from ledger.liquidity import LiquidityBook

NOW = datetime(2026, 11, 22, 12, 0, 0, 250_000, tzinfo=UTC)
START = NOW.replace(microsecond=0)
MINUTE = timedelta(minutes=1)
CHAINS = {"a": "eip155:31337", "b": "eip155:31338"}
TOKENS = {name: TokenId(f"{CHAINS[chain]}/erc20:0x{name * 20}") for name, chain in [("aa", "a"), ("bb", "b")]}
A, B = TOKENS["aa"], TOKENS["bb"]
C = TokenId(f"{CHAINS['b']}/erc20:0x{'cc' * 20}")
TIGHT = Limits(per_deal=300, per_day=1000, per_counterparty=600)

NETWORK = Network(
    chains={
        name: Chain(id=chain, rpc=("http://localhost",), escrow_address="0x" + "ee" * 20)
        for name, chain in CHAINS.items()
    },
    tokens={token.address: Token(id=token, symbol="T", decimals=2, name="Token") for token in (A, B, C)},
    attestors=Attestors(members={"one": "0x" + "99" * 20}, threshold=1),
)


def at(token: TokenId, key: LocalAccount) -> AccountId:
    return AccountId(f"{token.chain}:{key.address}")


@dataclass
class Scene:
    """A desk with its keys and clock, a shopper and a shop."""

    book: LiquidityBook
    key: LocalAccount = field(default_factory=Account.create)
    shopper: LocalAccount = field(default_factory=Account.create)
    shop: LocalAccount = field(default_factory=Account.create)
    now: datetime = NOW

    @property
    def desk(self) -> LiquidityDesk:
        keys = {at(token, self.key): self.key for token in (A, B)}
        return LiquidityDesk(self.book, NETWORK, keys, lambda: self.now)

    def rate(self, name: str = "a-b", source: TokenId = A, target: TokenId = B, **changes: Any) -> Rate:
        values: dict[str, Any] = {"ratio": "3/2", "limits": TIGHT, "valid_from": START, "valid_until": START + 2 * DAY}
        values |= {"receives": at(source, self.key), "pays": at(target, self.key)}
        return Rate(name=name, source=source, target=target, **values | changes)

    def leg(self, token: TokenId, payer: LocalAccount, payee: LocalAccount, amount: int) -> Leg:
        return Leg(token=token, payer=at(token, payer), payee=at(token, payee), amount=amount)

    def trade(self, pay: int, receive: int, payer: LocalAccount | None = None) -> Deal:
        payer = payer or self.shopper
        return deal(self.leg(A, payer, self.key, pay), self.leg(B, self.key, self.shop, receive))

    async def quote(self, **side: Any) -> Quote:
        return await self.desk.quote(QuoteRequest(rate="a-b", **side))

    async def ask(self, deal: Deal, *keys: LocalAccount) -> tuple[LegAuthorization, ...]:
        """Asks with every leg that one of `keys` (or the shopper) pays signed."""
        signers = {key.address.lower(): key for key in (*keys, self.shopper)}
        return await self.desk.authorize(AuthorizeRequest(deal=deal, authorizations=signed(deal, signers)))


DAY = timedelta(days=1)


def deal(*legs: Leg, reference: str = "", expiry: datetime = START + 30 * MINUTE) -> Deal:
    return Deal(legs=legs, decide_by=expiry - 10 * MINUTE, expiry=expiry, reference=reference)


def signed(deal: Deal, signers: dict[str, LocalAccount]) -> tuple[LegAuthorization, ...]:
    return tuple(
        LegAuthorization(leg=n, authorization=sign(deal, leg, signers[leg.payer.address]))
        for n, leg in enumerate(deal.legs)
        if leg.payer.address in signers
    )


def sign(deal: Deal, leg: Leg, key: LocalAccount) -> Erc3009:
    until = int(deal.decide_by.timestamp())
    return sign_erc3009(Terms.of(deal, leg), NETWORK.chain(leg.chain).escrow, NETWORK.token(leg.token), until, key)


async def refused(name: str, match: str, call: Coroutine[Any, Any, Any]) -> ApplicationError:
    with pytest.raises(ApplicationError, match=match) as caught:
        await call
    assert (caught.value.type, caught.value.non_retryable) == (name, True)
    _field, remedy = caught.value.details
    assert remedy
    return caught.value


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    database = Database(f"sqlite+aiosqlite:///{tmp_path}/desk.db")
    await database.create()
    scene = Scene(LiquidityBook(database))
    await scene.book.register(scene.rate())
    yield scene
    await database.close()


async def test_authorize__a_quoted_purchase(scene: Scene) -> None:
    quote = await scene.quote(receive=TokenAmount(token=B, amount=100))
    rate = (await scene.desk.rates())[0]
    ends = {"decide_by": START + 20 * MINUTE, "expiry": START + 30 * MINUTE}
    bought = purchase(quote, rate, payer=at(A, scene.shopper), payee=at(B, scene.shop), **ends)
    (given,) = await scene.ask(bought)

    assert given.leg == 1
    assert isinstance(given.authorization, Erc3009)
    assert given.authorization.valid_before == bought.decide_by.timestamp()
    terms, escrow = Terms.of(bought, bought.legs[1]), NETWORK.chain("b").escrow
    typed = erc3009_typed_data(terms, escrow, NETWORK.token(B), given.authorization.valid_before)
    assert typed.signer_of(given.authorization.signature) == scene.key.address.lower()


async def test_authorize__exactly_the_price_and_one_unit_better(scene: Scene) -> None:
    await scene.ask(scene.trade(100, 150))
    error = await refused("PriceRefused", "100 base units .* the price is 101", scene.ask(scene.trade(100, 151)))
    assert error.details[0] == "legs"
    await refused("PriceRefused", "99 base units .* the price is 100", scene.ask(scene.trade(99, 150)))


async def test_authorize__a_worse_price_for_the_customer_is_hers_to_give(scene: Scene) -> None:
    assert await scene.ask(scene.trade(200, 1))


@pytest.mark.parametrize(("pay", "receive"), [(-1, 0), (0, 1)])
async def test_authorize__one_unit_better_than_its_quote(scene: Scene, pay: int, receive: int) -> None:
    quote = await scene.quote(pay=TokenAmount(token=A, amount=101))
    better = scene.trade(quote.pay.amount + pay, quote.receive.amount + receive)
    await refused("PriceRefused", "base units", scene.ask(better.model_copy(update={"reference": quote.id})))


async def test_authorize__expired_quote(scene: Scene) -> None:
    quote = await scene.quote(pay=TokenAmount(token=A, amount=100))
    trade = scene.trade(100, 150)
    late = deal(*trade.legs, reference=quote.id)
    scene.now = quote.expires
    error = await refused("TooLate", "expired", scene.ask(late))
    assert error.details == ("quote", "ask for a new quote")
    await scene.ask(trade)  # without the quote, the rate in force decides


async def test_authorize__a_quote_outlives_a_replaced_rate_for_one_deal(scene: Scene) -> None:
    quote = await scene.quote(pay=TokenAmount(token=A, amount=100))
    await scene.book.replace(scene.rate(ratio="1"))
    await refused("PriceRefused", "the price is 150", scene.ask(scene.trade(100, 150)))
    await scene.ask(deal(*scene.trade(100, 150).legs, reference=quote.id))
    await refused("PriceRefused", "was used", scene.ask(deal(*scene.trade(100, 150).legs, reference=quote.id)))


async def test_authorize__a_quote_is_void_in_other_currencies(scene: Scene) -> None:
    quote = await scene.quote(pay=TokenAmount(token=A, amount=100))
    await scene.book.replace(scene.rate(target=C, ratio="1/100", pays=at(C, scene.key)))
    legs = (scene.leg(A, scene.shopper, scene.key, 100), scene.leg(C, scene.key, scene.shop, 150))
    await refused("PriceRefused", "the price is 15000", scene.ask(deal(*legs, reference=quote.id)))


async def test_authorize__a_retired_rate_voids_its_quotes(scene: Scene) -> None:
    quote = await scene.quote(pay=TokenAmount(token=A, amount=100))
    await scene.book.retire("a-b")
    trade = deal(*scene.trade(100, 150).legs, reference=quote.id)
    await refused("PriceRefused", "no rate in force sells", scene.ask(trade))


async def test_authorize__rate_expired_between_quote_and_authorize(scene: Scene) -> None:
    await scene.book.replace(scene.rate(valid_until=START + MINUTE))
    quote = await scene.quote(pay=TokenAmount(token=A, amount=100))
    scene.now = START + MINUTE
    await refused("TooLate", "expired", scene.ask(deal(*scene.trade(100, 150).legs, reference=quote.id)))
    await refused("PriceRefused", "no rate in force sells", scene.ask(scene.trade(100, 150)))


async def test_authorize__again_is_the_same_and_counts_once(scene: Scene) -> None:
    trade = scene.trade(200, 300)
    answers = await asyncio.gather(*(scene.ask(trade) for _ in range(10)))
    await scene.book.retire("a-b")
    assert {*answers, await scene.ask(trade)} == {answers[0]}
    await scene.book.replace(scene.rate())
    await scene.ask(scene.trade(200, 300))  # 600 is the limit for one counterparty


async def test_authorize__limits(scene: Scene) -> None:
    await refused("PriceRefused", "a deal", scene.ask(scene.trade(201, 301)))
    await scene.ask(scene.trade(200, 300))
    await scene.ask(scene.trade(200, 300))
    await refused("PriceRefused", "a day to eip155", scene.ask(scene.trade(1, 1)))
    friend = Account.create()
    await scene.ask(scene.trade(200, 300, friend), friend)
    other = Account.create()
    await refused("PriceRefused", "101 on top of 900", scene.ask(scene.trade(200, 101, other), other))
    scene.now += DAY
    tomorrow = deal(*scene.trade(200, 300).legs, expiry=START + DAY + 30 * MINUTE)
    await scene.ask(tomorrow)


async def test_authorize__twenty_at_once_within_a_limit_for_ten(scene: Scene) -> None:
    buyers = [Account.create() for _ in range(20)]
    asked = [scene.ask(scene.trade(100, 100, buyer), buyer) for buyer in buyers]
    results = await asyncio.gather(*asked, return_exceptions=True)
    refusals = [result for result in results if isinstance(result, ApplicationError)]
    assert [error.type for error in refusals] == ["PriceRefused"] * 10
    assert sum(isinstance(result, tuple) for result in results) == 10


async def test_authorize__foreign_tokens(scene: Scene) -> None:
    paid_in_b = scene.leg(B, scene.key, scene.shop, 10)
    cases = {
        "nothing is paid": deal(scene.leg(C, scene.shopper, scene.key, 100), paid_in_b),
        "no rate in force": deal(
            scene.leg(B, scene.shopper, scene.key, 100), scene.leg(A, scene.key, scene.shop, 10), paid_in_b
        ),
    }
    for match, trade in cases.items():
        await refused("PriceRefused", match, scene.ask(trade))


async def test_authorize__money_for_nothing_or_for_another(scene: Scene) -> None:
    out = scene.leg(B, scene.key, scene.shop, 150)
    await refused("PriceRefused", "nothing is paid", scene.ask(deal(out)))
    to_another = scene.leg(A, scene.shopper, scene.shop, 100)
    await refused("PriceRefused", "nothing is paid", scene.ask(deal(to_another, out)))


async def test_authorize__its_own_money_pays_for_nothing(scene: Scene) -> None:
    vault = Account.create()
    keys = {at(A, vault): vault, at(B, scene.key): scene.key}
    desk = LiquidityDesk(scene.book, NETWORK, keys, lambda: NOW)
    await scene.book.register(scene.rate("b-a", source=B, target=A, pays=at(A, vault)))
    circular = deal(
        scene.leg(A, vault, scene.key, 100),
        scene.leg(B, scene.key, scene.shop, 150),
        scene.leg(B, scene.shop, scene.key, 1),
    )
    request = AuthorizeRequest(deal=circular, authorizations=signed(circular, {scene.shop.address.lower(): scene.shop}))
    await refused("PriceRefused", "nothing is paid", desk.authorize(request))


async def test_authorize__nothing_to_sign(scene: Scene) -> None:
    error = await refused("InvalidInput", "none", scene.ask(deal(scene.leg(A, scene.shopper, scene.key, 1))))
    assert error.details[0] == "legs"


async def test_authorize__several_payers_and_payees_add_up(scene: Scene) -> None:
    friend, library = Account.create(), Account.create()
    legs = (
        scene.leg(A, scene.shopper, scene.key, 67),
        scene.leg(A, friend, scene.key, 133),
        scene.leg(B, scene.key, scene.shop, 200),
        scene.leg(B, scene.key, library, 100),
    )
    assert [each.leg for each in await scene.ask(deal(*legs), friend)] == [2, 3]
    # The limit of the deal (300) was met exactly; each payer's day counts his own share (100 and 200).
    await scene.ask(scene.trade(200, 300))
    await refused("PriceRefused", "201 on top of 400", scene.ask(scene.trade(200, 201)))
    await scene.ask(scene.trade(200, 200))


async def test_authorize__one_payment_does_not_buy_twice(scene: Scene) -> None:
    await scene.book.register(scene.rate("a-c", target=C, pays=at(C, scene.key)))
    keys = {at(token, scene.key): scene.key for token in (B, C)}
    assert at(B, scene.key) == at(C, scene.key)
    desk = LiquidityDesk(scene.book, NETWORK, keys, lambda: NOW)
    out = (scene.leg(B, scene.key, scene.shop, 150), scene.leg(C, scene.key, scene.shop, 150))
    for paid, ok in ((199, False), (200, True)):
        basket = deal(scene.leg(A, scene.shopper, scene.key, paid), *out)
        authorizations = signed(basket, {scene.shopper.address.lower(): scene.shopper})
        asked = desk.authorize(AuthorizeRequest(deal=basket, authorizations=authorizations))
        if ok:
            assert len(await asked) == 2
        else:
            await refused("PriceRefused", "199 base units .* the price is 200", asked)


async def test_authorize__on_one_chain(scene: Scene) -> None:
    await scene.book.register(scene.rate("c-b", source=C, receives=at(C, scene.key)))
    swap = deal(scene.leg(C, scene.shopper, scene.key, 100), scene.leg(B, scene.key, scene.shopper, 150))
    assert [each.leg for each in await scene.ask(swap)] == [1]


async def test_authorize__several_currencies_for_one_are_ambiguous(scene: Scene) -> None:
    await scene.book.register(scene.rate("c-b", source=C, receives=at(C, scene.key)))
    ins = (scene.leg(C, scene.shopper, scene.key, 100), scene.leg(A, scene.shopper, scene.key, 100))
    await refused("PriceRefused", "several", scene.ask(deal(*ins, scene.leg(B, scene.key, scene.shop, 150))))


async def test_authorize__the_best_rate_in_force_counts(scene: Scene) -> None:
    await scene.book.register(scene.rate("a-b-wholesale", ratio="2"))
    assert await scene.ask(scene.trade(100, 200))
    await refused("PriceRefused", "the price is 101", scene.ask(scene.trade(100, 201)))


Make = Callable[[Scene, Deal], Authorization]


def _by_stranger(_: Scene, trade: Deal) -> Authorization:
    return sign(trade, trade.legs[0], Account.create())


def _for_another_deal(scene: Scene, trade: Deal) -> Authorization:
    twin = deal(*trade.legs)
    return sign(twin, twin.legs[0], scene.shopper)


def _malleable(scene: Scene, trade: Deal) -> Authorization:
    raw = bytes.fromhex(sign(trade, trade.legs[0], scene.shopper).signature[2:])
    order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
    twin = raw[:32] + (order - int.from_bytes(raw[32:64])).to_bytes(32) + bytes([55 - raw[64]])
    return Erc3009(valid_before=int(trade.decide_by.timestamp()), signature="0x" + twin.hex())


def _later_than_signed(scene: Scene, trade: Deal) -> Authorization:
    genuine = sign(trade, trade.legs[0], scene.shopper)
    return genuine.model_copy(update={"valid_before": genuine.valid_before + 1})


def _permit(scene: Scene, trade: Deal, key: LocalAccount) -> Authorization:
    terms, until = Terms.of(trade, trade.legs[0]), int(trade.decide_by.timestamp())
    return sign_permit(terms, NETWORK.chain("a").escrow, NETWORK.token(A), 0, until, key)


def _permit_by_stranger(scene: Scene, trade: Deal) -> Authorization:
    return _permit(scene, trade, Account.create())


def _permit_by_payer(scene: Scene, trade: Deal) -> Authorization:
    return _permit(scene, trade, scene.shopper)


def _on_chain(_scene: Scene, _trade: Deal) -> Authorization:
    return OnChain()


def _by_contract(_scene: Scene, trade: Deal) -> Authorization:
    return Erc3009(valid_before=int(trade.decide_by.timestamp()), signature="0x" + "ab" * 200)


def _asking_with(scene: Scene, make: Make) -> Coroutine[Any, Any, tuple[LegAuthorization, ...]]:
    trade = scene.trade(100, 150)
    given = LegAuthorization(leg=0, authorization=make(scene, trade))
    return scene.desk.authorize(AuthorizeRequest(deal=trade, authorizations=(given,)))


@pytest.mark.parametrize("make", [_by_stranger, _for_another_deal, _malleable, _later_than_signed, _permit_by_stranger])
async def test_authorize__forged_authorization_of_the_payer(scene: Scene, make: Make) -> None:
    error = await refused("BadSignature", "was not made by", _asking_with(scene, make))
    assert error.details[0] == "authorizations.0"


@pytest.mark.parametrize("make", [_permit_by_payer, _on_chain, _by_contract])
async def test_authorize__other_ways_of_the_payer(scene: Scene, make: Make) -> None:
    assert await _asking_with(scene, make)


async def test_authorize__never_signs_first(scene: Scene) -> None:
    asked = scene.desk.authorize(AuthorizeRequest(deal=scene.trade(100, 150)))
    error = await refused("InvalidInput", "leg 0 is not authorised", asked)
    assert error.details[0] == "authorizations"


async def test_authorize__a_refusal_counts_for_nothing(scene: Scene) -> None:
    for _ in range(5):
        await refused("BadSignature", "was not made", _asking_with(scene, _by_stranger))
    await scene.ask(scene.trade(200, 300))
    await scene.ask(scene.trade(200, 300))


async def test_authorize__deadlines(scene: Scene) -> None:
    legs = scene.trade(100, 150).legs
    await refused("Refused", "more than 1 day", scene.ask(deal(*legs, expiry=START + DAY + MINUTE)))
    await scene.ask(deal(*legs, expiry=START + DAY))
    await refused("InvalidInput", "has passed", scene.ask(deal(*legs, expiry=START + 10 * MINUTE)))
    await refused("InvalidInput", "days ahead", scene.ask(deal(*legs, expiry=START + 366 * DAY)))


async def test_quote__unknown_rate_names_those_known(scene: Scene) -> None:
    request = QuoteRequest(rate="x", pay=TokenAmount(token=A, amount=1))
    error = await refused("UnknownName", "there is no 'x'", scene.desk.quote(request))
    assert error.details == ("rate", "known: a-b")


async def test_quote__both_sides_refused(scene: Scene) -> None:
    one = TokenAmount(token=A, amount=1)
    await refused("InvalidInput", "exactly one", scene.quote(pay=one, receive=one))


async def test_rates__in_force_only(scene: Scene) -> None:
    await scene.book.register(scene.rate("later", valid_from=START + DAY))
    assert [rate.name for rate in await scene.desk.rates()] == ["a-b"]


async def test_desk__a_key_of_another_account_is_refused(scene: Scene) -> None:
    with pytest.raises(InvalidInput, match="key"):
        LiquidityDesk(scene.book, NETWORK, {at(A, scene.shop): scene.key}, lambda: NOW)
