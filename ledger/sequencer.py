"""Keeps the evidence log going: what is pending gets its place, is signed, and is shown to the witnesses."""

import asyncio
from collections.abc import Sequence

import structlog
from sqlalchemy.exc import DBAPIError

from connectionchain.errors import ConnectionChainError
from ledger.cosigning import WitnessLink, cosign
from ledger.log import Forked, Log

INTERVAL_SECONDS = 0.25
TROUBLE_SECONDS = 2.0
log = structlog.get_logger()


async def keep(evidence: Log, witnesses: Sequence[WitnessLink], quorum: int) -> None:
    """For ever. A witnessed checkpoint follows a commit within INTERVAL_SECONDS and the time that a batch and the
    witnesses take."""
    while True:
        good = await turn(evidence, witnesses, quorum)
        await asyncio.sleep(INTERVAL_SECONDS if good else TROUBLE_SECONDS)


async def turn(evidence: Log, witnesses: Sequence[WitnessLink], quorum: int) -> bool:
    """Once, telling of trouble in the process's own log; whether there was none."""
    try:
        return await keep_up(evidence, witnesses, quorum)
    except Forked as error:
        log.critical("the evidence log was tampered with", error=str(error))
    except (ConnectionChainError, OSError, DBAPIError) as error:
        log.warning("evidence log waits", error=str(error))
    return False


async def keep_up(evidence: Log, witnesses: Sequence[WitnessLink], quorum: int) -> bool:
    """Once; whether the newest checkpoint is witnessed by a quorum."""
    await evidence.advance()
    signed, witnessed = await evidence.checkpoint(witnessed=False), await evidence.checkpoint()
    if signed and witnessed and signed.text == witnessed.text:
        return True
    return await cosign(evidence, witnesses, quorum) is not None
