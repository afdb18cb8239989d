"""The roles that are served over HTTP, composed: the evidence log with its sequencer, and a witness."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import httpx
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from connectionchain.errors import InvalidInput, UnknownName
from connectionchain.network import EvidenceLog
from connectionchain.tlog.cosignature import Cosigner, WitnessKey
from connectionchain.tlog.note import Key, Signer
from ledger.database import Database
from ledger.log import Log
from ledger.sequencer import keep, turn
from ledger.witness import Witness
from web.log import log_app
from web.serving import serving
from web.witness import link, witness_app

WITNESS_SECONDS = 5


@asynccontextmanager
async def evidence_log(
    network: EvidenceLog, database: Database, key: Ed25519PrivateKey, host: str, port: int
) -> AsyncIterator[None]:
    """The log that `network` names: sequenced, witnessed and served. InvalidInput if `key` is not its key."""
    signer = Signer(Key.parse(network.key).name, key)
    _check(str(signer.key), network.key, "log")
    log = Log(database, signer)
    await log.create()
    async with httpx.AsyncClient(timeout=WITNESS_SECONDS) as http, serving(log_app(log), host, port):
        witnesses = [link(http, each) for each in network.witnesses.values()]
        await turn(log, witnesses, network.quorum)  # so that there is a checkpoint from the start
        async with _running(keep(log, witnesses, network.quorum)):
            yield


@asynccontextmanager
async def log_witness(
    name: str, network: EvidenceLog, database: Database, key: Ed25519PrivateKey, host: str, port: int
) -> AsyncIterator[None]:
    """The witness that `network` calls `name`, with its memory in `database`. InvalidInput if `key` is not its key."""
    if name not in network.witnesses:
        raise UnknownName(f"the network's log has no witness {name!r}", field="log.witnesses", remedy="add its key")
    vkey = network.witnesses[name].key
    signer = Cosigner(WitnessKey.parse(vkey).name, key)
    _check(str(signer.key), vkey, f"log.witnesses.{name}")
    async with serving(witness_app(Witness(database, signer, [Key.parse(network.key)])), host, port):
        yield


def _check(given: str, named: str, field: str) -> None:
    if given != named:
        raise InvalidInput(f"the key file holds {given}, the network names {named}", field=f"{field}.key")


@asynccontextmanager
async def _running(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
