"""Is the log that is shown the one that the chains remember? Asked of one's own nodes."""

from collections.abc import Mapping
from typing import Protocol

from connectionchain import anchors
from connectionchain.audit.logged import shown_checkpoint
from connectionchain.audit.report import Check, Finding
from connectionchain.audit.trust import Trust
from connectionchain.errors import Rejected, Unavailable
from connectionchain.export import Export
from connectionchain.ids import ChainId
from connectionchain.rpc import Rpc
from connectionchain.tlog import merkle
from connectionchain.tlog.errors import BadProof


class Extending(Protocol):
    """Who can prove that one tree of the log extends another: `connectionchain.published.PublishedLog` can."""

    async def consistency(self, old_size: int, size: int) -> list[bytes]: ...


async def check_posted(export: Export, trust: Trust, nodes: Mapping[ChainId, Rpc], log: Extending) -> list[Finding]:
    """On each chain the newest checkpoint that the log anchored and the records' one are of one append-only log."""
    return [
        Finding(check=Check.ANCHOR, where=f"newest anchor on {chain}", what=what)
        for chain, contract in trust.anchors.items()
        if chain in nodes and (what := await _problem(export, trust, nodes[chain], contract, log))
    ]


async def _problem(export: Export, trust: Trust, node: Rpc, contract: str, log: Extending) -> str:
    try:
        newest = await anchors.newest(node, contract, trust.policy.log)
        if newest:
            old, new = sorted((newest.checkpoint, shown_checkpoint(export)), key=lambda each: each.size)
            proof = await log.consistency(old.size, new.size)
            merkle.verify_consistency(old.size, old.root, new.size, new.root, proof)
    except (Rejected, Unavailable) as error:
        return f"could not be checked: {error}"
    except BadProof as error:
        return str(error)
    return ""
