"""A settled deal on made-up blocks of usual size, for measuring: records, certificate, proofs and whom to trust."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import count

import rlp
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from eth_abi.abi import encode
from eth_account import Account
from eth_utils.crypto import keccak

from connectionchain import trie
from connectionchain.audit.trust import Trust
from connectionchain.certificate import Attestation, Certificate, Outcome, settlement_typed_data, settlements
from connectionchain.deal import Deal, Leg
from connectionchain.escrow import EscrowContract, Terms
from connectionchain.evidence import EvidenceRecord, Kind, Step
from connectionchain.ids import AccountId, ChainId, TokenId
from connectionchain.network import Attestors
from connectionchain.receipts import TOPICS, TransactionProof
from connectionchain.tlog.cosignature import Cosigner
from connectionchain.tlog.note import Signer
from connectionchain.typed_data import compact

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ESCROW = "0x" + "e5" * 20
CHAINS = [ChainId("eip155:31337"), ChainId("eip155:31338")]
TRANSACTIONS_PER_BLOCK = 200
LOG = Signer("bench.example/log", Ed25519PrivateKey.generate())
WITNESSES = [Cosigner(f"bench.example/w{n}", Ed25519PrivateKey.generate()) for n in range(3)]
ATTESTORS = sorted((Account.create() for _ in range(3)), key=lambda key: str(key.address).lower())
TRUST = Trust(
    log=str(LOG.key),
    witnesses=tuple(str(each.key) for each in WITNESSES),
    quorum=3,
    attestors=Attestors(members={str(n): key.address for n, key in enumerate(ATTESTORS)}, threshold=2),
    escrows=dict.fromkeys(CHAINS, ESCROW),
)
_SALTS = count()


def deal() -> Deal:
    """A new purchase: two legs on two chains."""
    accounts = [[AccountId(f"{chain}:0x{digit * 40}") for digit in "12"] for chain in CHAINS]
    legs = tuple(
        Leg(token=TokenId(f"{chain}/erc20:0x{'ab' * 20}"), payer=payer, payee=payee, amount=123_456_00)
        for chain, (payer, payee) in zip(CHAINS, accounts, strict=True)
    )
    salt = "0x" + keccak(next(_SALTS).to_bytes(8)).hex()
    return Deal(legs=legs, decide_by=NOW + timedelta(hours=1), expiry=NOW + timedelta(hours=2), salt=salt)


def certificate(of: Deal) -> Certificate:
    """Two attestors commit."""
    parts = settlements(of, Outcome.COMMIT)
    typed = [settlement_typed_data(of, part, Outcome.COMMIT, _escrow(part.chain)) for part in parts]
    signed = [
        Attestation(
            attestor=key.address,
            outcome=Outcome.COMMIT,
            signatures=tuple(compact(each.sign(key)) for each in typed),
        )
        for key in ATTESTORS[:2]
    ]
    return Certificate(deal=of.id, outcome=Outcome.COMMIT, attestations=tuple(signed))


def steps(of: Deal) -> list[tuple[EvidenceRecord, TransactionProof]]:
    """Lock, lock, release, release: each in a block full of others' transactions."""
    return [_step(of, leg, kind) for kind in (Kind.LOCKED, Kind.RELEASED) for leg in range(len(of.legs))]


def _step(of: Deal, number: int, kind: Kind) -> tuple[EvidenceRecord, TransactionProof]:
    leg, escrow = of.legs[number], _escrow(of.legs[number].chain)
    terms = Terms.of(of, leg)
    at = TRANSACTIONS_PER_BLOCK // 2
    proof = _block(leg.chain, at, terms, terms.id(escrow), kind)
    shown = proof.verify()
    step = Step(
        leg=number,
        kind=kind,
        chain=leg.chain,
        transaction=shown.transaction,
        block=shown.block,
        log_index=2 * at + 1,
    )
    by = tuple(key.address for key in ATTESTORS[:2]) if kind is Kind.RELEASED else ()
    record = EvidenceRecord(
        deal=of.id, escrow_id=terms.id(escrow), step=step, token=leg.token, amount=leg.amount, attestors=by
    )
    return record, proof


def _block(chain: ChainId, at: int, terms: Terms, id_: str, kind: Kind) -> TransactionProof:
    seed = keccak(text=f"{id_} {kind}")
    transactions = [b"\x02" + rlp.encode([seed * 10, n.to_bytes(4)]) for n in range(TRANSACTIONS_PER_BLOCK)]
    others = [_receipt([_transfer(seed)] * 2) for _ in range(TRANSACTIONS_PER_BLOCK)]
    others[at] = _receipt([_transfer(seed), _event(terms, id_, kind)])
    tries = [trie.numbered(each) for each in (transactions, others)]
    roots = [trie.root(each) for each in tries]
    early = [seed, seed, bytes(20), seed, *roots, bytes(256), b""]
    number = (20_000_000 + (kind is Kind.RELEASED)).to_bytes(4)
    late = [number, b"\x01" * 4, b"\x01" * 4, int(NOW.timestamp()).to_bytes(4), b"", seed, bytes(8), b"\x01", seed]
    receipt, transaction = (
        tuple("0x" + node.hex() for node in trie.prove(each, rlp.encode(at))) for each in tries[::-1]
    )
    header = "0x" + rlp.encode(early + late).hex()
    return TransactionProof(chain=chain, index=at, header=header, receipt=receipt, transaction=transaction)


def _receipt(logs: Sequence[object]) -> bytes:
    return b"\x02" + bytes(rlp.encode([b"\x01", b"\x01\x00\x00", bytes(256), logs]))


def _transfer(seed: bytes) -> list[object]:
    return [b"\xab" * 20, [seed, bytes(32), bytes(32)], bytes(32)]


def _event(terms: Terms, id_: str, kind: Kind) -> list[object]:
    topic = next(topic for topic, each in TOPICS.items() if each is kind)
    topics, data = [topic, _raw(id_)], b""
    if kind is Kind.LOCKED:
        topics += [_raw(terms.deal), _raw(terms.payer).rjust(32, b"\0")]
        values = (terms.payee, terms.token, terms.amount, terms.expiry)
        data = encode(["address", "address", "uint256", "uint256"], values)
    return [_raw(ESCROW), topics, data]


def _escrow(chain: ChainId) -> EscrowContract:
    return EscrowContract(chain=chain, address=ESCROW)


def _raw(text: str) -> bytes:
    return bytes.fromhex(text[2:])
