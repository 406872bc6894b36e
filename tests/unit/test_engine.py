import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from orthanc_deid.database import migrate, open_database
from orthanc_deid.engine import Queue
from orthanc_deid.pipeline import DEIDENTIFY, EXPORT, Job
from servers import CHECKOUT, wait_for

JOB = Job(DEIDENTIFY, study=1, version=1, run=1)


class Workers:
    """Worker processes of one test."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url, self.folder = url, folder
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, executor: str) -> None:
        environment = os.environ | {"PYTHONPATH": f"{CHECKOUT / 'plugin'}:{CHECKOUT / 'tests'}"}
        script = str(CHECKOUT / "tests" / "engine_worker.py")
        ready = self.folder / f"ready.{executor}"
        ready.unlink(missing_ok=True)
        self.running[executor] = subprocess.Popen(
            [sys.executable, script, self.url, executor, str(self.folder)], env=environment
        )
        wait_for(ready.exists, 30, "worker is ready")

    def done(self) -> list[list[str]]:
        file = self.folder / "done"
        return [line.split() for line in file.read_text().splitlines()] if file.exists() else []

    def steps(self) -> Counter[str]:
        return Counter(step for _job, step, _executor in self.done())

    def stop(self) -> None:
        for process in self.running.values():
            process.terminate()
            process.wait(30)


@pytest.fixture
def workers(database_url: str, tmp_path: Path) -> Iterator[Workers]:
    engine = open_database(database_url)
    migrate(engine)
    engine.dispose()
    made = Workers(database_url, tmp_path)
    yield made
    made.stop()


@pytest.fixture
def queue(workers: Workers) -> Iterator[Queue]:
    workers.start("w-0")
    made = Queue(workers.url, {"one": 1, "three": 3, "new": 4})
    yield made
    made.close()


def test_a_job_enqueued_twice_runs_its_flow_and_all_that_follows_once(workers: Workers, queue: Queue) -> None:
    queue.enqueue(JOB)
    queue.enqueue(JOB)
    wait_for(lambda: "cleanup" in workers.steps(), 30)
    wait_for(lambda: not queue.live(JOB.prefix), 10)
    queue.enqueue(JOB)
    assert workers.steps() == {
        "identify": 1, "deidentify": 1, "verify": 1, "convert": 1, "export": 2, "confirm": 2, "cleanup": 1, "follow": 5,
    }  # fmt: skip
    assert queue.live(JOB.prefix) == []


def test_ended_jobs_are_purged_and_live_ones_stay(workers: Workers, queue: Queue) -> None:
    queue.enqueue(JOB)
    other = Job(DEIDENTIFY, study=2, version=1, run=1)
    queue.enqueue(other, delay_s=3600)
    wait_for(lambda: "cleanup" in workers.steps(), 30)
    wait_for(lambda: not queue.live(JOB.prefix), 10)
    assert queue.purge(time.time() - 3600) == 0
    assert queue.purge(time.time() + 1) == 5
    assert queue.purge(time.time() + 1) == 0
    assert queue.live(other.prefix) == [other.id]


def test_a_killed_worker_repeats_only_the_step_it_died_in(workers: Workers, queue: Queue) -> None:
    (workers.folder / "kill.deidentify").touch()
    queue.enqueue(JOB)
    assert workers.running["w-0"].wait(30) == -9
    assert queue.running() == {"w-0"}
    workers.start("w-0")
    wait_for(lambda: "cleanup" in workers.steps(), 30)
    steps = workers.steps()
    assert (steps["identify"], steps["deidentify"], steps["verify"], steps["cleanup"]) == (1, 2, 1, 1)


def test_a_worker_that_never_returns_loses_its_jobs_to_another(workers: Workers, queue: Queue) -> None:
    (workers.folder / "kill.verify").touch()
    queue.enqueue(JOB)
    assert workers.running["w-0"].wait(30) == -9
    workers.start("w-1")
    assert queue.take_over("w-0") == 1
    wait_for(lambda: "cleanup" in workers.steps(), 30)
    assert sorted({executor for _job, step, executor in workers.done() if step == "cleanup"}) == ["w-1"]


def test_a_delayed_job_can_be_hastened_and_cancelled(workers: Workers, queue: Queue) -> None:
    queue.enqueue(JOB, delay_s=3600)
    other = Job(DEIDENTIFY, study=2, version=1, run=1)
    queue.enqueue(other, delay_s=3600)
    assert queue.live(JOB.prefix) == [JOB.id]
    queue.cancel(other.prefix)
    assert queue.live(other.prefix) == []
    assert queue.hasten(JOB.prefix) == 1
    wait_for(lambda: "cleanup" in workers.steps(), 30)
    assert all(job.startswith(JOB.prefix) for job, _step, _executor in workers.done())


def most_at_once(done: list[list[str]], destination: str) -> int:
    """Return how many exports to a destination ran at the same time."""
    running = most = 0
    for job, step, _executor in done:
        if f":{destination}:" in job and step in ("export", "exported"):
            running += 1 if step == "export" else -1
            most = max(most, running)
    return most


def test_each_destination_takes_as_many_studies_at_once_as_it_is_allowed(workers: Workers, queue: Queue) -> None:
    (workers.folder / "slow").touch()
    for study in range(6):
        for name in ("one", "three"):
            queue.enqueue(Job(EXPORT, study, 1, 1, destination=name))
    wait_for(lambda: workers.steps()["confirm"] == 12, 60)
    assert most_at_once(workers.done(), "one") == 1
    assert most_at_once(workers.done(), "three") == 3


def test_what_has_priority_comes_first(workers: Workers, queue: Queue) -> None:
    (workers.folder / "slow").touch()
    for study, priority in enumerate((9, 9, 9, 5, 1)):
        queue.enqueue(Job(EXPORT, study, 1, 1, destination="one", priority=priority))
    wait_for(lambda: workers.steps()["confirm"] == 5, 60)
    order = [int(job.split(":")[0]) for job, step, _executor in workers.done() if step == "export"]
    assert order.index(4) < order.index(3) < order.index(2)


def test_jobs_for_a_destination_that_the_next_start_no_longer_knows_are_done(workers: Workers, queue: Queue) -> None:
    queue.enqueue(Job(EXPORT, 1, 1, 1, destination="new"))  # this worker has no queue for four at once
    workers.stop()
    workers.start("w-0")
    wait_for(lambda: workers.steps()["confirm"] == 1, 30)


def test_a_job_that_waits_for_its_destination_is_another_than_the_one_before() -> None:
    job = Job(EXPORT, 1, 1, 1, destination="one")
    assert len({job.id, job.later().id, job.later().later().id, job.again().id}) == 4
    assert job.later().again().id != job.again().id
