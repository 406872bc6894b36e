import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from orthanc_deid.supervisor import BackOff, Child

PLUGIN = Path(__file__).parents[2] / "plugin"
SLEEP = """
import os, sys, time
sys.path.insert(0, {plugin!r})
{before}
with open({pid!r}, "a") as file:
    print(os.getpid(), file=file)
time.sleep(60)
"""
WITH_PARENT = "from orthanc_deid.supervisor import die_with_parent; die_with_parent()"


def program(pids: Path, before: str = WITH_PARENT) -> list[str]:
    return [sys.executable, "-c", SLEEP.format(plugin=str(PLUGIN), before=before, pid=str(pids))]


def wait_for(condition: Callable[[], bool], seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "did not come true in time"
        time.sleep(0.02)


def written(pids: Path) -> list[int]:
    return [int(line) for line in pids.read_text().splitlines()] if pids.exists() else []


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.fixture
def pids(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "pids"
    yield path
    for pid in filter(is_running, written(path)):
        os.kill(pid, signal.SIGKILL)


def test_a_child_that_dies_is_started_again(pids: Path) -> None:
    child = Child(program(pids), name="x", back_off=BackOff(first=0.05))
    child.start()
    wait_for(lambda: len(written(pids)) == 1)
    os.kill(written(pids)[0], signal.SIGKILL)
    wait_for(lambda: len(written(pids)) == 2)
    assert child.pid == written(pids)[1]
    child.stop()
    assert not is_running(written(pids)[1])
    assert child.pid is None


def test_a_child_that_ignores_sigterm_is_killed(pids: Path) -> None:
    child = Child(program(pids, "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)"), name="x")
    child.start()
    wait_for(lambda: len(written(pids)) == 1)
    began = time.monotonic()
    child.stop(0.3)
    assert 0.3 <= time.monotonic() - began < 3
    assert not is_running(written(pids)[0])


def test_a_program_that_is_not_there_is_tried_again_and_can_be_stopped() -> None:
    child = Child(["/nowhere"], name="x", back_off=BackOff(first=0.01))
    child.start()
    time.sleep(0.1)
    child.stop()
    assert child.pid is None
    assert child.starts == 0


def test_a_stop_before_the_start_starts_nothing(pids: Path) -> None:
    child = Child(program(pids), name="x")
    child.stop()
    child.start()
    time.sleep(0.2)
    assert written(pids) == []


def test_a_stop_ends_the_wait_for_the_next_start() -> None:
    child = Child(["/bin/false"], name="x", back_off=BackOff(first=30))
    child.start()
    wait_for(lambda: child.starts == 1)
    began = time.monotonic()
    child.stop()
    assert time.monotonic() - began < 2


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_child_ends_when_its_parent_does(pids: Path, number: signal.Signals) -> None:
    starter = (
        f"import sys, time; sys.path.insert(0, {str(PLUGIN)!r}); from orthanc_deid.supervisor import Child; "
        f"c = Child({program(pids)!r}, name='x'); c.start(); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", starter]) as parent:
        try:
            wait_for(lambda: len(written(pids)) == 1)
        finally:
            parent.send_signal(number)
        parent.wait(5)
    wait_for(lambda: not is_running(written(pids)[0]), 3)


def test_a_process_with_another_stdin_than_a_pipe_stays_alive() -> None:
    code = (
        f"import sys; sys.path.insert(0, {str(PLUGIN)!r}); {WITH_PARENT}; import time; time.sleep(0.3); print('alive')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], stdin=subprocess.DEVNULL, capture_output=True, timeout=10, check=True
    )
    assert done.stdout.strip() == b"alive"


def test_the_wait_doubles_to_its_bound_and_is_forgotten_after_a_long_life() -> None:
    back_off, waits, wait = BackOff(), [], 0.0
    for _ in range(9):
        wait = back_off.next(wait, lived=1)
        waits.append(wait)
    assert waits == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]
    assert back_off.next(30, lived=61) == 0.5
