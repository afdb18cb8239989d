"""What can go wrong, one small class a kind: `strike` makes it happen, and returns when it is over and mended."""

from tests.chaos.faults.base import Fault
from tests.chaos.faults.chains import DroppedMempool, FeeSpike, ReorgDropping, ReorgKeeping
from tests.chaos.faults.machine import ClockSkew, DatabaseLoss, DiskFull
from tests.chaos.faults.programs import FreezeWorker, KillAttestor, KillChain, KillEngine, KillUnheard, KillWorker
from tests.chaos.faults.rpc import (
    RpcDelays,
    RpcDrops,
    RpcDuplicates,
    RpcGarbage,
    RpcLags,
    RpcServerErrors,
    RpcWrongChain,
)

FAULTS: tuple[type[Fault], ...] = (
    KillWorker,
    KillUnheard,
    KillAttestor,
    KillEngine,
    KillChain,
    FreezeWorker,
    DatabaseLoss,
    DiskFull,
    ClockSkew,
    ReorgDropping,
    ReorgKeeping,
    DroppedMempool,
    FeeSpike,
    RpcDelays,
    RpcDrops,
    RpcDuplicates,
    RpcLags,
    RpcServerErrors,
    RpcGarbage,
    RpcWrongChain,
)
BY_KIND = {each.kind: each for each in FAULTS}
