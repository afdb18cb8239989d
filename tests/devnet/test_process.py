import asyncio
import sys
import time
from pathlib import Path

import psutil
import pytest

from connectionchain.errors import Unavailable
from devnet.process import Child, kill, spawn, stop, until_ready
from devnet.record import Recorded

SLEEP = "import time; time.sleep(60)"


def start(code: str, log: Path, *, outlive: bool = False) -> Child:
    return spawn("the child", [sys.executable, "-c", code], log, outlive=outlive)


async def never() -> bool:
    return False


async def test_until_ready__returns_once_it_answers(tmp_path: Path) -> None:
    sign = tmp_path / "ready"
    child = start(f"open({str(sign)!r}, 'w').close(); {SLEEP}", tmp_path / "log")

    async def answers() -> bool:
        return sign.exists()

    await until_ready(child, answers)
    assert child.alive
    await stop([child])
    assert not child.alive


async def test_until_ready__a_death_is_told_at_once_with_the_last_words(tmp_path: Path) -> None:
    child = start("raise SystemExit('no such chain')", tmp_path / "log")
    begin = time.monotonic()
    with pytest.raises(Unavailable, match="the child ended while starting:\nno such chain"):
        await until_ready(child, never, timeout=30)
    assert time.monotonic() - begin < 10


async def test_until_ready__gives_up_after_the_timeout(tmp_path: Path) -> None:
    child = start(SLEEP, tmp_path / "log")
    with pytest.raises(Unavailable, match=r"did not answer within 0\.1 s"):
        await until_ready(child, never, timeout=0.1)
    await stop([child])


async def test_stop__kills_what_ignores_the_request(tmp_path: Path) -> None:
    log = tmp_path / "log"
    child = start(f"import signal; signal.signal(15, signal.SIG_IGN); print('deaf', flush=True); {SLEEP}", log)

    async def deaf() -> bool:
        return "deaf" in child.last_words()

    await until_ready(child, deaf)
    await stop([child], grace=0.2)
    assert not child.alive


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a child with its killed parent")
@pytest.mark.parametrize("outlive", [False, True])
async def test_killed_parent__takes_along_what_may_not_outlive_it(tmp_path: Path, outlive: bool) -> None:
    log, inner = tmp_path / "log", tmp_path / "inner"
    code = (
        "import sys; from pathlib import Path; from devnet.process import spawn;"
        f"child = spawn('inner', [sys.executable, '-c', {SLEEP!r}], Path({str(inner)!r}), outlive={outlive});"
        f"print(child.process.pid, flush=True); {SLEEP}"
    )
    parent = start(code, log)

    async def spawned() -> bool:
        return bool(parent.last_words())

    await until_ready(parent, spawned)
    child = Child("inner", psutil.Process(int(parent.last_words())), inner)
    await kill([parent])
    await asyncio.to_thread(psutil.wait_procs, [child.process], timeout=0.5 if outlive else 10)
    assert child.alive == outlive
    await stop([child])


async def test_record__never_takes_a_stranger_with_a_reused_pid_for_ours(tmp_path: Path) -> None:
    child = start(SLEEP, tmp_path / "log")
    ours = Recorded(pid=child.process.pid, started=child.started, log=child.log)
    found = ours.find("the child")
    assert found
    assert found.process.pid == child.process.pid
    assert ours.model_copy(update={"started": child.started - 60}).find("the child") is None
    await stop([child])
    assert ours.find("the child") is None
