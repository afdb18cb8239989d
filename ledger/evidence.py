"""The evidence of every step, appended in the transaction that marks the step final."""

from sqlalchemy import UniqueConstraint
from sqlmodel import Field, SQLModel, col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from connectionchain.evidence import EvidenceRecord


class EvidenceEntry(SQLModel, table=True):
    """One evidence record in canonical JSON; `id` is its place in the order of arrival."""

    __tablename__ = "evidence"
    __table_args__ = (UniqueConstraint("chain", "transaction", "log_index"),)

    id: int | None = Field(default=None, primary_key=True)
    deal: str = Field(index=True)
    chain: str
    transaction: str
    log_index: int
    body: str


async def append(session: AsyncSession, record: EvidenceRecord) -> None:
    """Appends `record` once, however often it is reported."""
    step = record.step
    same = select(EvidenceEntry).where(
        EvidenceEntry.chain == step.chain,
        EvidenceEntry.transaction == step.transaction,
        EvidenceEntry.log_index == step.log_index,
    )
    if (await session.exec(same)).first() is None:
        session.add(
            EvidenceEntry(
                deal=record.deal,
                chain=step.chain,
                transaction=step.transaction,
                log_index=step.log_index,
                body=record.canonical().decode(),
            )
        )


async def records(session: AsyncSession, deal: str) -> list[EvidenceRecord]:
    """All evidence of a deal, in order of arrival."""
    rows = await session.exec(
        select(EvidenceEntry).where(EvidenceEntry.deal == deal).order_by(col(EvidenceEntry.id))
    )
    return [EvidenceRecord.model_validate_json(row.body) for row in rows]
