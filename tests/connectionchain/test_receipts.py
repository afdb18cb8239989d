"""Receipts are proven on real blocks of anvil, whose headers are not ours."""

import asyncio
import json
from dataclasses import dataclass
from typing import Any

import pytest
import rlp
from eth_utils.crypto import keccak
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectionchain.blocks import encode_receipt, encode_transaction, transaction_proof
from connectionchain.certificate import Outcome, settlements
from connectionchain.escrow import Terms, release_call
from connectionchain.evidence import Kind
from connectionchain.receipts import Header, Receipt, TransactionProof, escrow_events
from connectionchain.tlog.errors import BadProof

# The example of EIP-155: its signed transaction and hash are in the text of the EIP.
EIP155 = {
    "hash": "0x33469b22e9f636356c4160a87eb19df52b7412e8eac32a4a55ffe88ea8350788",
    "nonce": "0x9",
    "gasPrice": "0x4a817c800",
    "gas": "0x5208",
    "to": "0x3535353535353535353535353535353535353535",
    "value": "0xde0b6b3a7640000",
    "input": "0x",
    "v": "0x25",
    "r": "0x28ef61340bd939bc2195fe537567866003e1a15d3c71ff63e1590620aa636276",
    "s": "0x67cbe9d8997f761aecb703304b3800ccf555c9f3dc64214b297fb1966a3b6d83",
}


@dataclass
class Moved:
    """A settled deal and what its chain says of the release in `b`."""

    terms: Terms
    escrow: Any
    block: dict[str, Any]
    receipts: list[dict[str, Any]]
    transaction: str
    lock: TransactionProof

    @property
    def proof(self) -> TransactionProof:
        return transaction_proof(self.escrow.chain, self.block, self.receipts, self.transaction)


@pytest.fixture(scope="module")
async def moved(bench: Any) -> Moved:
    deal = await bench.deal()
    locked = await bench.lock(deal)
    certificate = bench.certificate(deal, Outcome.COMMIT)
    settlement = settlements(deal, Outcome.COMMIT)[1]
    terms, chain = Terms.of(deal, deal.legs[1]), bench.network.chain("b")
    data = release_call([terms], [terms.id(chain.escrow)], certificate.signatures(deal, settlement))
    anvil = bench.devnet.chain("b")
    await anvil.call("evm_setAutomine", False)
    for kind in range(3):  # company in the block, of every type that a wallet sends
        await anvil.call("eth_sendRawTransaction", await _payment(bench.keys["hanako"], anvil, kind))
    pending = bench.send(chain.id, data)
    sent = await _mined(anvil, pending)
    await anvil.call("evm_setAutomine", True)
    block = await anvil.call("eth_getBlockByHash", sent.block.hash, True)
    receipts = await anvil.call("eth_getBlockReceipts", sent.block.hash)
    lock_block = await anvil.call("eth_getBlockByHash", locked[1].block.hash, True)
    lock_receipts = await anvil.call("eth_getBlockReceipts", locked[1].block.hash)
    lock = transaction_proof(chain.id, lock_block, lock_receipts, locked[1].transaction)
    return Moved(terms, chain.escrow, block, receipts, sent.transaction, lock)


async def _payment(key: Any, anvil: Any, kind: int) -> str:
    price = {"maxFeePerGas": 10**11, "maxPriorityFeePerGas": 10**10} if kind == 2 else {"gasPrice": 10**11}
    fields = {"to": "0x" + "22" * 20, "value": kind, "gas": 40_000, "chainId": int(anvil.id.reference)} | price
    fields["nonce"] = await anvil.quantity("eth_getTransactionCount", key.address, "pending")
    if kind:
        fields |= {"type": kind, "accessList": [{"address": "0x" + "33" * 20, "storageKeys": ["0x" + "44" * 32]}]}
    return str(key.sign_transaction(fields).raw_transaction.to_0x_hex())


async def _mined(anvil: Any, pending: Any) -> Any:
    task = asyncio.ensure_future(pending)
    while (await anvil.call("txpool_status"))["pending"] != "0x4":  # noqa: ASYNC110 - a node is polled
        await asyncio.sleep(0.02)
    await anvil.mine()
    return await task


def test_proof__shows_transaction_block_and_event(moved: Moved) -> None:
    proven = TransactionProof.model_validate_json(moved.proof.model_dump_json()).verify()
    assert proven.transaction == moved.transaction
    assert (proven.block.hash, proven.block.number) == (moved.block["hash"], int(moved.block["number"], 16))
    assert proven.block.time.timestamp() == int(moved.block["timestamp"], 16)
    [event] = escrow_events(proven.receipt, moved.escrow.address)
    assert (event.kind, event.id, event.terms) == (Kind.RELEASED, moved.terms.id(moved.escrow), None)


def test_proof__a_lock_tells_its_terms(moved: Moved) -> None:
    [event] = escrow_events(moved.lock.verify().receipt, moved.escrow.address)
    assert (event.kind, event.terms) == (Kind.LOCKED, moved.terms)


def test_proof__legacy_and_typed_receipts_of_one_block(moved: Moved) -> None:
    assert sorted(int(each["type"], 16) for each in moved.receipts) == [0, 1, 2, 2]
    for receipt in moved.receipts:
        proof = transaction_proof(moved.escrow.chain, moved.block, moved.receipts, receipt["transactionHash"])
        proven = proof.verify()
        assert proven.transaction == receipt["transactionHash"]
        assert (proven.receipt.type, proven.receipt.succeeded) == (int(receipt["type"], 16), True)


@given(data=st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_proof__any_bit_changed_is_refused_or_changes_the_block(moved: Moved, data: st.DataObject) -> None:
    proof = moved.proof
    field = data.draw(st.sampled_from(["header", "receipt", "transaction"]))
    values = [proof.header] if field == "header" else list(getattr(proof, field))
    at = data.draw(st.integers(0, len(values) - 1))
    raw = bytearray.fromhex(values[at][2:])
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    values[at] = "0x" + raw.hex()
    changed = proof.model_copy(update={field: values[0] if field == "header" else tuple(values)})
    try:
        proven = changed.verify()
    except BadProof:
        return
    assert field == "header"
    assert proven.block.hash != moved.block["hash"]


def test_proof__of_another_index_is_refused(moved: Moved) -> None:
    for index in range(4):
        if index != moved.proof.index:
            with pytest.raises(BadProof, match="trie proof"):
                moved.proof.model_copy(update={"index": index}).verify()


def test_proof__receipt_of_one_and_transaction_of_another_is_refused(moved: Moved) -> None:
    with pytest.raises(BadProof, match="trie proof: has node"):
        moved.proof.model_copy(update={"receipt": moved.lock.receipt}).verify()


@pytest.mark.parametrize(
    ("where", "name", "value", "reason"),
    [
        ("block", "stateRoot", "0x" + "00" * 32, "header: hashes to"),
        ("block", "gasLimit", "0x1", "header: hashes to"),
        ("receipts", "status", "0x0", "receipts: have root"),
        ("receipts", "logs", [], "receipts: have root"),
        ("transactions", "value", "0x7", "transactions: have root|is not in the block"),
    ],
)
def test_proof__is_not_made_from_a_node_that_lies(moved: Moved, where: str, name: str, value: Any, reason: str) -> None:
    block, receipts = json.loads(json.dumps(moved.block)), json.loads(json.dumps(moved.receipts))
    at = int(next(each for each in receipts if each["transactionHash"] == moved.transaction)["transactionIndex"], 16)
    {"block": block, "receipts": receipts[at], "transactions": block["transactions"][at]}[where][name] = value
    with pytest.raises(BadProof, match=reason):
        transaction_proof(moved.escrow.chain, block, receipts, moved.transaction)


def test_proof__stranger_contract_has_no_escrow_events(moved: Moved) -> None:
    assert escrow_events(moved.proof.verify().receipt, "0x" + "ab" * 20) == []


def test_transaction__public_vector() -> None:
    assert "0x" + keccak(encode_transaction(EIP155)).hex() == EIP155["hash"]


def test_transaction__unknown_type_is_named() -> None:
    with pytest.raises(BadProof, match="transaction 0xab: type 126 is not known"):
        encode_transaction({"type": "0x7e", "hash": "0xab"})


@pytest.mark.parametrize("kind", [0, 1, 2, 3, 4])
def test_receipt__round_trip(kind: int) -> None:
    log = {"address": "0x" + "aa" * 20, "topics": ["0x" + "bb" * 32], "data": "0x0102"}
    told = {"type": hex(kind), "status": "0x1", "cumulativeGasUsed": "0x5208", "logsBloom": "0x" + "00" * 256}
    encoded = encode_receipt(told | {"logs": [log]})
    assert encoded[0] == kind or (kind == 0 and encoded[0] >= 0xC0)
    receipt = Receipt.decode(encoded)
    assert (receipt.type, receipt.succeeded, receipt.logs[0].data) == (kind, True, b"\x01\x02")


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ([b"\x02", b"", b"", []], "is not status, gas, bloom and logs"),
        ([bytes(32), b"", b"", []], "is not status, gas, bloom and logs"),  # a state root: before EIP-658
        ([b"\x01", b"", []], "is not status, gas, bloom and logs"),
        ([b"\x01", b"", b"", [[b"short", [], b""]]], "is not address, topics and data"),
        ([b"\x01", b"", b"", [[bytes(20), [b"short"], b""]]], "is not address, topics and data"),
        ([b"\x01", b"", b"", [b"log"]], "is not address, topics and data"),
    ],
)
def test_receipt__malformed_is_refused(fields: Any, reason: str) -> None:
    with pytest.raises(BadProof, match=reason):
        Receipt.decode(rlp.encode(fields))


@pytest.mark.parametrize(
    "fields",
    [
        [b""] * 14,
        [[]] * 15,
        b"header",
        [b""] * 15,
        [bytes(32)] * 15,
        [b"", b"", b"", b"", bytes(32), bytes(32), b"", b"", b"", b"", b"", b"\xff" * 5, b"", b"", b""],
    ],
)
def test_header__malformed_is_refused(fields: Any) -> None:
    with pytest.raises(BadProof, match="header"):
        Header.decode(rlp.encode(fields))


def test_events__malformed_is_refused(moved: Moved) -> None:
    [(position, log)] = [
        (n, log) for n, log in enumerate(moved.lock.verify().receipt.logs) if log.address == moved.escrow.address
    ]
    assert position >= 0
    for broken in (type(log)(log.address, log.topics[:3], log.data), type(log)(log.address, log.topics, log.data[:-1])):
        with pytest.raises(BadProof, match="event locked: is not as the escrow writes it"):
            escrow_events(Receipt(2, True, (broken,)), moved.escrow.address)


def test_proof__of_a_contract_creation() -> None:
    deployed = {**EIP155, "to": None}
    assert rlp.decode(encode_transaction(deployed))[3] == b""
