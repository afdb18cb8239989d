"""Posts the evidence log's checkpoints to a chain, where nobody can take them back."""

from temporalio import activity

from activities.driver import Driver
from activities.failures import typed_failures
from activities.heart import beating
from adapters.base import Anchor, ChainAdapter
from connectionchain.anchors import content, digest
from connectionchain.network import EvidenceLog
from connectionchain.published import PublishedLog
from connectionchain.tlog.checkpoint import open_checkpoint
from connectionchain.tlog.cosignature import WitnessKey, require_quorum
from connectionchain.tlog.note import Key
from ledger.outbox import Fate, Outbox


class Anchorer:
    """Activities of one chain, paid for by its connection node. The log is read as anybody reads it."""

    def __init__(self, chain: ChainAdapter, outbox: Outbox, driver: Driver, log: EvidenceLog) -> None:
        self._chain, self._outbox, self._driver, self._log = chain, outbox, driver, log

    @activity.defn
    @typed_failures
    async def newest_checkpoint(self) -> str:
        """As it is to be posted, or "" while the log is empty. BadProof if its log or a quorum of witnesses did not
        sign it, Unavailable if the log does not answer."""
        key = Key.parse(self._log.key)
        with PublishedLog(self._log.url) as log:
            note = await log.checkpoint()
        checkpoint = open_checkpoint(note, key.name, [key])
        require_quorum(note, [WitnessKey.parse(each.key) for each in self._log.witnesses.values()], self._log.quorum)
        return content(note, key) if checkpoint.size else ""

    @activity.defn
    @typed_failures
    async def anchor(self, checkpoint: str) -> str:
        """Posts it unless somebody has, and waits until that is final; the transaction's id."""
        name = f"{self._chain.chain}/{digest(checkpoint)}/anchor"
        async with beating():
            while (done := await self._chain.anchored(checkpoint, "final")) is None:
                mark = self._chain.mark
                if await self._chain.anchored(checkpoint, "latest") is None:
                    await self._driver.send(name, Anchor(checkpoint))
                await self._chain.news([], mark)
        await self._outbox.finish(name, Fate.FINAL)
        return done
