"""`doctor`: is everything there that a deal needs? One line for each check, with what to do about it."""

import asyncio
from collections.abc import Awaitable
from datetime import UTC, datetime
from itertools import chain as joined

import typer
from eth_abi.abi import decode
from eth_abi.exceptions import DecodingError
from temporalio.api.operatorservice.v1 import ListSearchAttributesRequest

from connectionchain.cli import options, output
from connectionchain.client.engine import Engine
from connectionchain.client.failures import translated
from connectionchain.client.listing import CHAINS, DEADLINE, PARTIES, STATE
from connectionchain.errors import ConnectionChainError, Refused, Unavailable
from connectionchain.escrow import call
from connectionchain.model import Model
from connectionchain.network import Chain, EvidenceLog, Network
from connectionchain.published import PublishedLog
from connectionchain.rpc import NodeError, Rpc, host
from connectionchain.tlog.checkpoint import open_checkpoint
from connectionchain.tlog.cosignature import WitnessKey, require_quorum
from connectionchain.tlog.note import Key

SLOW_BLOCKS = 20


class Finding(Model):
    """One check's outcome."""

    check: str
    ok: bool
    found: str
    remedy: str = ""


def doctor(network: options.NetworkFile = None, as_json: options.Json = False) -> None:
    """Check the network file, every node, the escrows and the engine. Exits 1 if anything is wrong."""
    found = options.network(network)
    findings = options.run(_examine(found))
    if as_json:
        output.document(findings)
    else:
        rows = [("ok" if each.ok else "FAIL", each.check, each.found, each.remedy) for each in findings]
        output.table(("", "check", "found", "remedy"), rows)
    if not all(each.ok for each in findings):
        raise typer.Exit(1)


async def _examine(network: Network) -> list[Finding]:
    shape = f"{len(network.chains)} chains, {len(network.tokens)} tokens"
    findings = [Finding(check="network file", ok=True, found=shape)]
    chains = [_chain(name, chain, network) for name, chain in network.chains.items()]
    return findings + list(joined.from_iterable(await asyncio.gather(*chains, _engine(network), _log(network))))


async def _chain(name: str, chain: Chain, network: Network) -> list[Finding]:
    findings = []
    for url in chain.rpc:
        findings += await _node(f"{name}: {host(url)}", chain.model_copy(update={"rpc": (url,)}))
    async with Rpc(chain) as rpc:
        return [*findings, await _try(f"{name}: escrow", _escrow(rpc, network))]


async def _node(name: str, chain: Chain) -> list[Finding]:
    async with Rpc(chain) as rpc:
        head = await _try(name, _head(rpc))
        return [head, await _try(f"{name}: finality", _finality(rpc))] if head.ok else [head]


async def _try(check: str, work: Awaitable[str]) -> Finding:
    try:
        return Finding(check=check, ok=True, found=await work)
    except ConnectionChainError as error:
        return Finding(check=check, ok=False, found=error.message, remedy=error.remedy)


async def _head(rpc: Rpc) -> str:
    head = await rpc.block()
    age = (datetime.now(UTC) - head.time).total_seconds()
    if age > max(60, SLOW_BLOCKS * rpc.chain.block_time):
        raise Unavailable(
            f"block {head.number} is {age:.0f} s old", remedy="see whether the node still follows its chain"
        )
    return f"{rpc.chain.id}, block {head.number}, {age:.0f} s old"


async def _finality(rpc: Rpc) -> str:
    policy = rpc.chain.finality.policy
    try:
        final = await rpc.final_block()
    except NodeError as error:
        raise Refused(
            f"the node knows no {policy} block: {error.message}", remedy="set finality.policy to depth"
        ) from None
    return f"{policy}: block {final.number}"


async def _escrow(rpc: Rpc, network: Network) -> str:
    address, expected = rpc.chain.escrow_address, network.attestors
    if await rpc.call("eth_getCode", address, "latest") == "0x":
        raise Refused(f"no contract at {address}", remedy="correct escrow_address, or deploy the escrow")
    try:
        members = decode(["address[]"], bytes.fromhex((await rpc.read(address, call("attestors()")))[2:]))[0]
        threshold = int(await rpc.read(address, call("threshold()")), 16)
    except (NodeError, DecodingError, ValueError):
        raise Refused(f"the contract at {address} is no escrow", remedy="correct escrow_address") from None
    if set(members) != set(expected.members.values()) or threshold != expected.threshold:
        raise Refused(
            f"the escrow trusts {threshold} of {', '.join(members)}", remedy="correct the network file's attestors"
        )
    return f"{address}, {threshold} of {len(members)} attestors as in the network file"


async def _log(network: Network) -> list[Finding]:
    return [await _try("evidence log", _checkpoint(network.log))] if network.log else []


async def _checkpoint(named: EvidenceLog) -> str:
    key, witnesses = Key.parse(named.key), [WitnessKey.parse(each.key) for each in named.witnesses.values()]
    with PublishedLog(named.url) as log:
        note = await log.checkpoint()
    size = open_checkpoint(note, key.name, [key]).size
    cosigned = require_quorum(note, witnesses, named.quorum)
    return f"{named.url}, {size} records, cosigned by {len(cosigned)} of {len(witnesses)} witnesses"


async def _engine(network: Network) -> list[Finding]:
    try:
        engine = await Engine.connect(network.engine)
    except ConnectionChainError as error:
        return [Finding(check="engine", ok=False, found=error.message, remedy=error.remedy)]
    return [
        await _try("engine", _namespace(engine)),
        await _try("search attributes", _attributes(engine)),
    ]


async def _namespace(engine: Engine) -> str:
    async with translated():
        await engine.temporal.count_workflows()
    return f"{engine.temporal.service_client.config.target_host}, namespace {engine.temporal.namespace}"


async def _attributes(engine: Engine) -> str:
    request = ListSearchAttributesRequest(namespace=engine.temporal.namespace)
    async with translated():
        known = await engine.temporal.operator_service.list_search_attributes(request)
    missing = {key.name for key in (STATE, PARTIES, CHAINS, DEADLINE)} - set(known.custom_attributes)
    if missing:
        raise Refused(
            f"missing: {', '.join(sorted(missing))}", remedy="`temporal operator search-attribute create` (see docs)"
        )
    return "all there"
