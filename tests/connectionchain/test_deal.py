"""A deal that cannot work is refused when it is made, and the error names the field."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from pydantic import ValidationError

from connectionchain import Cancellable, Confirmed, Deal, Leg
from connectionchain.conditions import parts
from connectionchain.errors import InvalidInput

A, B = "eip155:1/erc20:0x" + "aa" * 20, "eip155:2/erc20:0x" + "bb" * 20
HANAKO, SHOP = "eip155:1:0x" + "11" * 20, "eip155:1:0x" + "22" * 20
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
LEG = {"token": A, "payer": HANAKO, "payee": SHOP, "amount": "100"}
DEAL = {"legs": [LEG], "decide_by": "2026-11-22T12:00:00Z", "expiry": "2026-11-22T13:00:00Z", "salt": "0x" + "00" * 32}


def refusal(**changes: Any) -> InvalidInput:
    with pytest.raises(ValidationError) as error:
        Deal.model_validate(DEAL | changes)
    return InvalidInput.of(error.value)


def refused_leg(**changes: Any) -> InvalidInput:
    return refusal(legs=[LEG | changes])


@pytest.mark.parametrize(
    "amount", [0, -1, "-1", 1.0, 1.5, True, None, "1.5", "1e3", "", " 1", "01", "0x10", 2**96, str(2**96), "9" * 50]
)
def test_amount__that_is_none(amount: Any) -> None:
    assert refused_leg(amount=amount).field == "legs.0.amount"


@pytest.mark.parametrize("amount", [1, "1", 2**96 - 1, str(2**96 - 1)])
def test_amount__at_its_limits(amount: Any) -> None:
    deal = Deal.model_validate(DEAL | {"legs": [LEG | {"amount": amount}]})
    assert deal.legs[0].amount == int(amount)
    assert Deal.model_validate_json(deal.model_dump_json()) == deal


def test_payer__who_is_the_payee() -> None:
    error = refused_leg(payee=HANAKO)
    assert error.field.startswith("legs.0")
    assert "payer and payee are the same account" in error.message


@pytest.mark.parametrize("spelling", [HANAKO.upper().replace("EIP155:1:0X", "eip155:1:0x")])
def test_payer__who_is_the_payee_in_another_spelling(spelling: str) -> None:
    assert "payer and payee are the same account" in refused_leg(payee=spelling).message


def test_token__on_another_chain() -> None:
    error = refused_leg(token=B)
    assert error.field.startswith("legs.0")
    assert "payer" in error.message
    assert "eip155:2" in error.message


@pytest.mark.parametrize(
    ("field", "value"), [("token", "A"), ("payer", "hanako"), ("payee", "eip155:1:0x11"), ("payee", "")]
)
def test_id__that_is_none(field: str, value: str) -> None:
    assert refused_leg(**{field: value}).field == f"legs.0.{field}"


def test_legs__identical() -> None:
    error = refusal(legs=[LEG, LEG])
    assert "legs: two legs are identical" in str(error)


@pytest.mark.parametrize("legs", [[], [LEG | {"amount": n} for n in range(1, 18)]])
def test_legs__none_or_too_many(legs: list[Any]) -> None:
    assert refusal(legs=legs).field == "legs"


@pytest.mark.parametrize("field", ["decide_by", "expiry"])
@pytest.mark.parametrize("time", ["2026-11-22T12:30:00", "2026-11-22T12:30:00.5Z", "tomorrow", None])
def test_time__without_zone_with_fractions_or_none_at_all(field: str, time: Any) -> None:
    assert refusal(**{field: time}).field == field


def test_time__in_another_zone_is_the_same_deal() -> None:
    tokyo = timezone(timedelta(hours=9))
    deals = [Deal.model_validate(DEAL | {"decide_by": NOON.astimezone(zone)}) for zone in (UTC, tokyo)]
    assert deals[0].id == deals[1].id


@pytest.mark.parametrize(("seconds", "fits"), [(60, True), (59, False), (0, False), (-1, False)])
def test_expiry__near_decide_by(seconds: int, fits: bool) -> None:
    expiry = NOON + timedelta(seconds=seconds)
    if fits:
        assert Deal.model_validate(DEAL | {"expiry": expiry}).expiry == expiry
    else:
        assert "expiry: must be at least 60 s after decide_by" in str(refusal(expiry=expiry))


def test_decide_by__past() -> None:
    deal = Deal.model_validate(DEAL)
    deal.check_open(NOON - timedelta(seconds=1))
    for now in (NOON, NOON + timedelta(days=1)):
        with pytest.raises(InvalidInput) as error:
            deal.check_open(now)
        assert error.value.field == "decide_by"
        assert error.value.remedy


def test_expiry__absurdly_far() -> None:
    now = NOON - timedelta(minutes=1)
    far = Deal.model_validate(DEAL | {"expiry": now + timedelta(days=365, seconds=1)})
    with pytest.raises(InvalidInput) as error:
        far.check_open(now)
    assert error.value.field == "expiry"
    assert error.value.remedy
    Deal.model_validate(DEAL | {"expiry": now + timedelta(days=365)}).check_open(now)


@pytest.mark.parametrize("where", ["deal", "leg", "condition", "cancellable"])
def test_field__that_is_unknown(where: str) -> None:
    extra = {"tip": 1}
    changes: dict[str, Any] = {
        "deal": extra,
        "leg": {"legs": [LEG | extra]},
        "condition": {"condition": {"type": "confirmed", "by": SHOP} | extra},
        "cancellable": {"cancellable": extra},
    }[where]
    assert refusal(**changes).field.endswith("tip")


@pytest.mark.parametrize("version", [0, 2, "1", None])
def test_version__that_is_unknown(version: Any) -> None:
    assert refusal(version=version).field == "version"


@pytest.mark.parametrize("salt", ["0x00", "00" * 32, "0x" + "0g" * 32, "0x" + "00" * 33])
def test_salt__of_another_form(salt: str) -> None:
    assert refusal(salt=salt).field == "salt"


@pytest.mark.parametrize("reference", ["order 1", "x" * 65, "é", "a/b"])
def test_reference__of_another_form(reference: str) -> None:
    assert refusal(reference=reference).field == "reference"


def test_id__names_the_content_and_nothing_else() -> None:
    deal = Deal.model_validate(DEAL)
    same = Deal.model_validate_json(deal.model_dump_json())
    assert (same, same.id) == (deal, deal.id)
    changed = deal.model_copy(update={"expiry": deal.expiry + timedelta(seconds=1)})
    assert changed.id != deal.id


def test_parties__are_all_who_are_named_once() -> None:
    deal = Deal.model_validate(
        DEAL
        | {
            "legs": [LEG, LEG | {"payer": SHOP, "payee": HANAKO}],
            "condition": {"type": "confirmed", "by": "eip155:2:0x" + "33" * 20},
        }
    )
    assert deal.parties == (HANAKO, SHOP, "eip155:2:0x" + "33" * 20)
    assert deal.chains == ("eip155:1",)


def test_cancellable__is_the_same_in_any_order() -> None:
    one, other = (Cancellable(by=by) for by in ((HANAKO, SHOP), (SHOP, HANAKO, SHOP)))
    assert one == other
    assert one.by == tuple(sorted((HANAKO, SHOP)))


def test_leg__is_frozen() -> None:
    leg = Leg.model_validate(LEG)
    with pytest.raises(ValidationError, match="frozen"):
        leg.amount = 5
    with pytest.raises(ValidationError, match="frozen"):
        Confirmed().by = HANAKO


def test_condition__of_too_many_parts() -> None:
    def of(number: int) -> Any:
        groups = [{"type": "any_of", "of": [{"type": "confirmed"}] * 16}] * (number // 16)
        rest = [{"type": "confirmed"}] * (number % 16)
        return {"condition": {"type": "all_of", "of": groups + rest}}

    assert len(list(parts(Deal.model_validate(DEAL | of(64)).condition))) == 64
    assert "condition: has more than 64 parts" in str(refusal(**of(65)))
