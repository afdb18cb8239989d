"""What is done when a chain replaces a block that was final: affected deals pause, evidence keeps both facts."""

import structlog
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from adapters.base import Incident
from connectionchain.evidence import EvidenceRecord, Kind
from ledger import evidence
from ledger.database import Database

log = structlog.get_logger()


class IncidentDesk:
    """Not an activity: the block follower calls it, whatever the workflows are doing."""

    def __init__(self, client: Client, database: Database) -> None:
        self._client, self._database = client, database

    async def report(self, incident: Incident) -> None:
        """Records that the steps are displaced, then asks their deals to pause. Safe to repeat."""
        affected = await self._record(incident)
        for deal in {each.deal for each in affected}:
            log.error("deal affected by a replaced final block", deal=deal, chain=incident.chain)
            await self._pause(deal, f"{incident.chain} replaced its final block {incident.number}")

    async def _record(self, incident: Incident) -> list[EvidenceRecord]:
        async with self._database.write() as session:
            records = [
                each
                async for each in evidence.of_chain(session, incident.chain)
                if each.escrow_id in incident.entries
                and each.step.block.number >= incident.number
                and each.step.kind is not Kind.DISPLACED
            ]
            for each in records:
                step = each.step.model_copy(update={"kind": Kind.DISPLACED})
                await evidence.append(session, each.model_copy(update={"step": step, "attestors": ()}))
        return records

    async def _pause(self, deal: str, reason: str) -> None:
        try:
            await self._client.get_workflow_handle(deal).signal("pause", reason)
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:  # it has ended: the evidence must do
                raise
