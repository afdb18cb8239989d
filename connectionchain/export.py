"""The evidence of a deal or mandate in one file, which stands on its own: all a verifier needs except whom to trust.

The file is canonical JSON (RFC 8785) and a newline. `seal` finds accidents only: it proves nothing.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol, Self

import rfc8785
from pydantic import Field, ValidationError, field_validator

from connectionchain.blocks import transaction_proof
from connectionchain.certificate import Certificate
from connectionchain.errors import InvalidInput
from connectionchain.evidence import EvidenceRecord, Kind
from connectionchain.ids import ChainId
from connectionchain.mandate import Agreement
from connectionchain.model import Model, json_of
from connectionchain.receipts import TransactionProof
from connectionchain.tlog.errors import BadProof

MOST_RECORDS = 4096
LARGEST_FILE = 32 * 1024 * 1024


class LoggedRecord(Model):
    """A record and where it is in the log: a c2sp.org/tlog-proof@v1 of its canonical JSON."""

    record: EvidenceRecord
    proof: str


class Anchor(Model):
    """A transaction whose call data is a checkpoint's text, and the RFC 6962 consistency proof between that checkpoint
    and the records' one, from the smaller to the larger: the log had this root by the time of that block."""

    transaction: TransactionProof
    consistency: tuple[str, ...] = ()


class Export(Model):
    """Records in the log's order, and each transaction they name once. `certificate` is None if nobody decided, and for
    a mandate: there each payment's is in its transaction."""

    format: Literal["connectionchain-evidence@v1"] = "connectionchain-evidence@v1"
    deal: Agreement
    certificate: Certificate | None = None
    records: tuple[LoggedRecord, ...] = Field(max_length=MOST_RECORDS)
    transactions: tuple[TransactionProof, ...] = Field(max_length=MOST_RECORDS)
    anchors: tuple[Anchor, ...] = Field(default=(), max_length=64)

    @field_validator("deal")
    @classmethod
    def _since_1970(cls, deal: Agreement) -> Agreement:
        if deal.expiry.year < 1970:
            raise ValueError("expires before chains count time")
        return deal

    @property
    def standing(self) -> list[tuple[int, EvidenceRecord]]:
        return standing([each.record for each in self.records])

    def write(self) -> bytes:
        """The file's content."""
        content = json_of(self)
        return rfc8785.dumps(content | {"seal": _seal(content)}) + b"\n"

    @classmethod
    def read(cls, file: bytes) -> Self:
        """Raises BadProof unless the file is whole and in its one canonical form. Nothing is verified yet."""
        if len(file) > LARGEST_FILE:
            raise BadProof(f"has {len(file)} bytes, more than {LARGEST_FILE}", field="file")
        try:
            sealed = _Sealed.model_validate_json(file)
        except ValidationError as error:
            problem = InvalidInput.of(error)
            raise BadProof(problem.message, field=f"file {problem.field}".strip()) from None
        export = cls.model_validate({name: getattr(sealed, name) for name in cls.model_fields})
        try:
            written = export.write()
        except rfc8785.CanonicalizationError as error:
            raise BadProof(f"has no canonical form: {error}", field="file") from None
        if sealed.seal != _seal(json_of(export)):
            raise BadProof("does not match the content: the file was changed after it was written", field="seal")
        if written != file:
            raise BadProof("is not in canonical form (RFC 8785 and one newline)", field="file")
        return export


class _Sealed(Export):
    seal: str


class BlockSource(Protocol):
    """A node that tells whole blocks; `connectionchain.rpc.Rpc` is one."""

    async def call(self, method: str, *params: Any) -> Any: ...


def standing(records: Sequence[EvidenceRecord]) -> list[tuple[int, EvidenceRecord]]:
    """The records, with their places, that no later one calls displaced: their blocks are still said to be final."""
    gone = {_place(each) for each in records if each.step.kind is Kind.DISPLACED}
    return [(n, each) for n, each in enumerate(records) if _place(each) not in gone]


async def transaction_proofs(
    records: Sequence[EvidenceRecord], nodes: Mapping[ChainId, BlockSource]
) -> tuple[TransactionProof, ...]:
    """A proof for each transaction that the standing records name, built from its whole block. Raises BadProof if a
    node contradicts itself, and what the node raises."""
    steps = [each.step for _, each in standing(records)]
    wanted = {(step.chain, step.block.hash, step.transaction): None for step in steps}
    return tuple([await prove(nodes[chain], *where) for where in wanted for chain in [where[0]]])


async def prove(node: BlockSource, chain: ChainId, block_hash: str, transaction: str) -> TransactionProof:
    """The proof of one transaction in the block of this hash."""
    block = await node.call("eth_getBlockByHash", block_hash, True)
    receipts: Sequence[Any] | None = await node.call("eth_getBlockReceipts", block_hash)
    if not block or receipts is None:
        raise BadProof("is not known to the node", field=f"block {block_hash}")
    return transaction_proof(chain, block, receipts, transaction)


def _place(record: EvidenceRecord) -> tuple[ChainId, str, str, int]:
    step = record.step
    return step.chain, step.block.hash, step.transaction, step.log_index


def _seal(content: dict[str, Any]) -> str:
    return "0x" + hashlib.sha256(rfc8785.dumps(content)).hexdigest()
