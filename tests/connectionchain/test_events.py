"""Which events a filter means: typed predicates over decoded fields, and nothing that only looks alike."""

from typing import Any

import pytest
from eth_abi.abi import encode
from eth_utils.crypto import keccak
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from connectionchain.abi_events import EventType, Malformed
from connectionchain.conditions import AUTHORIZATION_USED, Paid
from connectionchain.events import EventFilter
from connectionchain.sieve import Log, Sieve

DELIVERED = "Delivered(bytes32 indexed order, address by, uint256 amount, bool whole, string note, int8 grade)"
SHOP, STRANGER = "0x" + "5b" * 20, "0x" + "66" * 20
ORDER = "0x" + "0a" * 32


def log(contract: str = SHOP, block: int = 7, index: int = 0, order: str = ORDER, **values: Any) -> Log:
    """A Delivered event."""
    of = {"by": STRANGER, "amount": 5, "whole": True, "note": "at the door", "grade": -3} | values
    data = encode(["address", "uint256", "bool", "string", "int8"], list(of.values()))
    topic = "0x" + keccak(text="Delivered(bytes32,address,uint256,bool,string,int8)").hex()
    return Log(contract, (topic, order), "0x" + data.hex(), block, index, "0x" + "00" * 32, "0x" + "11" * 32, 0)


def wanting(*where: tuple[str, str, str], **terms: Any) -> EventFilter:
    terms = {"chain": "eip155:1", "contract": SHOP, "event": DELIVERED, "since": "0"} | terms
    return EventFilter(where=[{"field": f, "op": op, "value": v} for f, op, v in where], **terms)


def passes(filter_: EventFilter, *logs: Log) -> int:
    return len(Sieve([filter_]).sort(logs)[0])


def test_decode__every_kind_of_value() -> None:
    (match,) = Sieve([wanting()]).sort([log()])[0]
    assert match.values == {
        "order": ORDER,
        "by": STRANGER,
        "amount": 5,
        "whole": "true",
        "note": "at the door",
        "grade": -3,
    }


@pytest.mark.parametrize(
    ("predicate", "holds"),
    [
        (("order", "eq", ORDER.upper().replace("0X", "0x")), True),
        (("order", "ne", ORDER), False),
        (("by", "eq", STRANGER), True),
        (("amount", "eq", "5"), True),
        (("amount", "gt", "5"), False),
        (("amount", "ge", "5"), True),
        (("amount", "lt", "10"), True),  # as numbers, not as text
        (("amount", "le", "4"), False),
        (("grade", "lt", "-2"), True),
        (("whole", "eq", "true"), True),
        (("whole", "eq", "false"), False),
        (("note", "eq", "at the door"), True),
        (("note", "ne", "at the door"), False),
    ],
)
def test_predicate__is_typed(predicate, holds) -> None:
    assert passes(wanting(predicate), log()) == holds


@pytest.mark.parametrize(
    "terms",
    [
        {"event": "Delivered"},
        {"event": "Delivered(uint7 a)"},
        {"event": "Delivered(bytes33 a)"},
        {"event": "Delivered(uint256  indexed a)"},
        {"where": [{"field": "nothing", "value": "1"}]},
        {"where": [{"field": "amount", "value": "0x5"}]},
        {"where": [{"field": "amount", "value": str(2**256)}]},
        {"where": [{"field": "amount", "value": "-1"}]},
        {"where": [{"field": "by", "value": "0x12"}]},
        {"where": [{"field": "by", "op": "lt", "value": STRANGER}]},
        {"where": [{"field": "order", "value": "0x1234"}]},
        {"where": [{"field": "whole", "value": "yes"}]},
        {"event": "Named(string indexed name)", "where": [{"field": "name", "value": "x"}]},
        {"since": "-1"},
        {"since": 1.5},
    ],
)
def test_filter__that_could_never_match_is_refused(terms) -> None:
    with pytest.raises(ValidationError):
        EventFilter.model_validate({"chain": "eip155:1", "contract": SHOP, "event": DELIVERED, "since": "0"} | terms)


def test_filter__one_spelling_one_id() -> None:
    upper = wanting(("by", "eq", "0x" + "AB" * 20))
    assert upper == wanting(("by", "eq", "0x" + "ab" * 20))
    assert upper.id == EventFilter.model_validate_json(upper.model_dump_json()).id


def test_sieve__foreign_contract_with_the_same_event() -> None:
    assert passes(wanting(), log(contract=STRANGER)) == 0


def test_sieve__before_since() -> None:
    assert passes(wanting(since="8"), log(block=7), log(block=8), log(block=9)) == 2


def test_sieve__malformed() -> None:
    whole = log()
    assert passes(wanting(), whole._replace(data=whole.data[:-64])) == 0
    assert passes(wanting(), whole._replace(topics=whole.topics[:1])) == 0
    assert passes(wanting(), whole._replace(topics=())) == 0
    not_bool = whole.data[: 2 + 2 * 64] + "f" * 64 + whole.data[2 + 3 * 64 :]
    assert passes(wanting(), whole._replace(data=not_bool)) == 0
    with pytest.raises(Malformed):
        EventType.parse(DELIVERED).decode(whole.topics, "0x")


def test_sieve__orders_by_block_and_index() -> None:
    logs = [log(block=b, index=i) for b, i in ((9, 0), (7, 12), (7, 2), (8, 1))]
    assert [match.at for match in Sieve([wanting()]).sort(logs)[0]] == [(7, 2), (7, 12), (8, 1), (9, 0)]


def test_topics__of_what_must_be_equal() -> None:
    topic = EventType.parse(DELIVERED).topic
    assert wanting(("amount", "eq", "5")).topics() == [topic, None]
    assert wanting(("order", "eq", ORDER)).topics() == [topic, ORDER]
    assert wanting(("order", "ne", ORDER)).topics() == [topic, None]


amounts = st.integers(0, 5)


@given(st.lists(st.tuples(amounts, st.sampled_from(["eq", "ne", "ge"])), max_size=8), st.lists(amounts, max_size=8))
def test_sieve__many_filters_find_what_each_finds_alone(wanted, amounts_seen) -> None:
    filters = [wanting(("amount", op, str(amount)), ("grade", "lt", "0")) for amount, op in wanted]
    logs = [log(index=n, amount=amount) for n, amount in enumerate(amounts_seen)]
    assert Sieve(filters).sort(logs) == [Sieve([each]).sort(logs)[0] for each in filters]


PAID = "Transfer(address indexed from, address indexed to, uint256 value)"
NONCE = "0x" + "7e" * 32


def transfer(transaction: str, index: int) -> Log:
    """Of 5 to the shop, in this transaction."""
    topics = (EventType.parse(PAID).topic, *("0x" + "00" * 12 + each[2:] for each in (STRANGER, SHOP)))
    return Log(SHOP, topics, "0x" + (5).to_bytes(32).hex(), 7, index, "0x" + "00" * 32, transaction, 0)


def authorized(transaction: str, index: int, contract: str = SHOP) -> Log:
    """By the nonce of the reference."""
    topics = (EventType.parse(AUTHORIZATION_USED).topic, "0x" + "00" * 12 + STRANGER[2:], NONCE)
    return Log(contract, topics, "0x", 7, index, "0x" + "00" * 32, transaction, 0)


def test_paid__with_a_reference_counts_beside_its_authorisation_only() -> None:
    token, to = f"eip155:1/erc20:{SHOP}", f"eip155:1:{SHOP}"
    referred = Paid(token=token, to=to, amount=5, reference=NONCE, since=0).filter
    first, second, third = "0x" + "01" * 32, "0x" + "02" * 32, "0x" + "03" * 32
    logs = [authorized(first, 0), transfer(first, 1), transfer(second, 2)]
    logs += [authorized(third, 3, contract=STRANGER), transfer(third, 4)]
    assert [match.at for match in Sieve([referred]).sort(logs)[0]] == [(7, 1)]
    assert passes(Paid(token=token, to=to, amount=5, since=0).filter, *logs) == 3
    assert passes(Paid(token=token, to=to, amount=6, since=0).filter, *logs) == 0


words = st.one_of(st.just(b""), st.binary(max_size=3), st.binary(min_size=20, max_size=20), st.binary(max_size=32))


@given(st.lists(words.map(lambda raw: raw.rjust(32, b"\0")), min_size=4, max_size=5), st.integers(0, 31))
def test_decode__quick_way_says_what_the_general_one_says(values, cut) -> None:
    """An event with one type more than the quick way knows takes the general one."""
    quick = EventType.parse("E(address indexed a, bytes32 indexed b, uint256 c, address d)")
    general = EventType.parse("E(address indexed a, bytes32 indexed b, uint256 c, address d, uint8 e)")
    topics = ["0x" + "00" * 32, *("0x" + value.hex() for value in values[:2])]
    data = b"".join(values[2:4])[: 64 - cut]
    assert decoded(quick, topics, data) == decoded(general, topics, data + bytes(32) if not cut else data)


def decoded(event: EventType, topics: list[str], data: bytes) -> Any:
    try:
        found = event.decode(topics, "0x" + data.hex())
    except Malformed:
        return None
    return {name: value for name, value in found.items() if name != "e"}
