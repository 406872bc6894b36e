import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from orthanc_deid import processes
from orthanc_deid.errors import Rejected, Retriable
from orthanc_deid.processes import Processes
from pool_work import die, hang, refuse, square
from servers import CHECKOUT, is_running, wait_for


@pytest.fixture
def pool() -> Iterator[Processes]:
    made = Processes(2)
    yield made
    made.close()


class Counted(list[int]):
    """Items that count how many were taken."""

    taken = 0

    def __iter__(self) -> Iterator[int]:
        for item in super().__iter__():
            self.taken += 1
            yield item


def pids(pool: Processes) -> set[int]:
    return {pid for _, pid in pool.map(square, range(20), 30)}


def test_every_result_arrives_once_from_other_processes(pool: Processes) -> None:
    results = list(pool.map(square, range(50), 30))
    assert sorted(square for square, _ in results) == [n * n for n in range(50)]
    assert os.getpid() not in {pid for _, pid in results}
    assert len({pid for _, pid in results}) <= 2


def test_no_items_are_no_work(pool: Processes) -> None:
    assert list(pool.map(square, [], 30)) == []


def test_no_more_than_two_items_a_process_are_under_way(pool: Processes) -> None:
    items = Counted(range(30))
    most = 0
    for done, _ in enumerate(pool.map(square, items, 30)):
        most = max(most, items.taken - done)
    assert 2 <= most <= 4


def test_a_child_that_dies_is_tried_again_later_and_the_next_one_works(pool: Processes) -> None:
    with pytest.raises(Retriable, match="a child process failed"):
        list(pool.map(die, range(10), 30))
    assert len(list(pool.map(square, range(5), 30))) == 5


def test_a_child_that_hangs_is_ended_in_time(pool: Processes) -> None:
    before = pids(pool)
    began = time.monotonic()
    with pytest.raises(Retriable, match=r"a child process failed \(TimeoutError\)"):
        list(pool.map(hang, range(10), 0.5))
    assert time.monotonic() - began < 10
    wait_for(lambda: not any(map(is_running, before)), 10, "the children have ended")
    assert len(list(pool.map(square, range(5), 30))) == 5


def test_what_an_item_raises_is_raised_as_it_is_and_the_children_stay(pool: Processes) -> None:
    before = pids(pool)
    with pytest.raises(Rejected, match=r"^instance 3: no$"):
        list(pool.map(refuse, range(10), 30))
    assert all(map(is_running, before))


def test_close_ends_the_children(pool: Processes) -> None:
    before = pids(pool)
    pool.close()
    wait_for(lambda: not any(map(is_running, before)), 10, "the children have ended")
    pool.close()


def test_idle_children_are_dismissed_and_made_anew(pool: Processes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "IDLE_S", 0.1)
    before = pids(pool)
    wait_for(lambda: not any(map(is_running, before)), 10, "the children have ended")
    assert pids(pool).isdisjoint(before)


def test_children_end_when_their_worker_is_killed(tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": f"{CHECKOUT / 'plugin'}:{CHECKOUT / 'tests'}"}
    script = str(CHECKOUT / "tests" / "pool_work.py")
    worker = subprocess.Popen([sys.executable, script, str(tmp_path)], env=environment, stdin=subprocess.DEVNULL)
    try:
        wait_for(lambda: len(list(tmp_path.iterdir())) == 2, 30, "both children work")
    finally:
        worker.kill()
        worker.wait(10)
    left = [int(path.name) for path in tmp_path.iterdir()]
    wait_for(lambda: not any(map(is_running, left)), 10, "the children have ended")


def test_all_who_share_a_pool_are_told_to_try_again_when_a_child_dies(pool: Processes) -> None:
    found: list[str] = []

    def other() -> None:
        try:
            list(pool.map(hang, [3] * 4, 20))
        except Exception as error:  # noqa: BLE001  # whatever comes is compared
            found.append(type(error).__name__)

    thread = threading.Thread(target=other)
    thread.start()
    time.sleep(1)
    with pytest.raises(Retriable):
        list(pool.map(hang, [3], 1))
    thread.join(30)
    assert found == ["Retriable"]
