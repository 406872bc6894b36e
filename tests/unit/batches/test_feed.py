from collections.abc import Iterator

import pytest
from sqlalchemy import update

from orthanc_deid import engine as durable
from orthanc_deid import states
from orthanc_deid.batches import feed as module
from orthanc_deid.batches.account import ELSEWHERE
from orthanc_deid.batches.feed import feed
from orthanc_deid.database import migrate, open_database
from orthanc_deid.database.batches import PAUSED as PAUSED_BATCH
from orthanc_deid.database.batches import Asked, Batches
from orthanc_deid.database.gates import Gates
from orthanc_deid.database.intake_tables import batch_row
from orthanc_deid.engine import Queue
from orthanc_deid.pipeline import rows_of
from orthanc_deid.steps.pace import PAUSED


@pytest.fixture
def batches(database_url: str) -> Iterator[Batches]:
    engine = open_database(database_url)
    migrate(engine)
    durable.migrate(database_url)
    yield Batches(engine)
    engine.dispose()


@pytest.fixture
def queue(batches: Batches, database_url: str) -> Iterator[Queue]:
    assert batches
    made = Queue(database_url, {"pacs": 2})
    yield made
    made.close()


def begun(batches: Batches, lines: int, source: str = "pacs") -> int:
    return batches.create(Asked(source=source, actor="admin"), [(k + 2, b"x") for k in range(lines)]).id


def test_rows_are_begun_in_their_order_and_not_all_at_once(
    batches: Batches, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "AT_ONCE", 3)
    number = begun(batches, 5)
    for _ in range(2):
        feed(batches, queue)
    first = [row.id for row in batches.rows(number)][:3]
    assert sorted(queue.live(rows_of())) == sorted(f"row:{number}:{row}:1:pull:pacs:1" for row in first)
    queue.cancel(f"row:{number}:{first[0]}:")
    batches.move(first[0], 1, states.ROW_DELIVERED)
    feed(batches, queue)
    assert len(queue.live(rows_of(number))) == 3


def test_rows_of_a_paused_batch_get_no_job(batches: Batches, queue: Queue) -> None:
    number = begun(batches, 2)
    batches.set_state(number, states.BATCH_PAUSED)
    feed(batches, queue)
    assert queue.live(rows_of()) == []


def test_a_row_that_a_crash_left_without_a_job_gets_one(batches: Batches, queue: Queue) -> None:
    number = begun(batches, 1)
    feed(batches, queue)
    (job,) = queue.live(rows_of(number))
    batches.move(batches.rows(number)[0].id, 1, states.ROW_WORKING)
    queue.cancel(job)
    feed(batches, queue)
    assert queue.live(rows_of(number)) == []  # it may be about to be enqueued
    with batches.engine.begin() as connection:
        connection.execute(update(batch_row).values(updated_at=0.0))
    feed(batches, queue)
    assert len(queue.live(rows_of(number))) == 1


def test_rows_that_waited_for_a_paused_archive_go_on_with_it(batches: Batches, queue: Queue) -> None:
    number = begun(batches, 1)
    gates = Gates(batches.engine)
    gates.set_paused("pacs", paused=True, actor="ann")
    (row,) = batches.rows(number)
    batches.move(row.id, 1, states.ROW_WORKING, reason=PAUSED, next_attempt_at=4e9)
    job = module._job(batches.get(number), row).later()  # noqa: SLF001  # as the worker enqueues it
    queue.enqueue(job, 3600)
    feed(batches, queue)
    assert queue.hasten(rows_of(number)) == 1  # still delayed until now
    queue.enqueue(job.later(), 3600)
    gates.set_paused("pacs", paused=False, actor="ann")
    feed(batches, queue)
    assert queue.hasten(rows_of(number)) == 0


def test_a_row_whose_first_job_has_ended_without_a_trace_gets_another(batches: Batches, queue: Queue) -> None:
    number = begun(batches, 1)
    feed(batches, queue)
    queue.cancel(rows_of(number))  # as a database that was away while it began leaves it
    with batches.engine.begin() as connection:
        connection.execute(update(batch_row).values(updated_at=0.0))
    feed(batches, queue)
    assert len(queue.live(rows_of(number))) == 1
    feed(batches, queue)
    assert len(queue.live(rows_of(number))) == 1


def test_two_services_give_a_row_one_job(batches: Batches) -> None:
    begun(batches, 1)
    (row,) = batches.rows(1)
    assert [batches.touch(row), batches.touch(row)] == [True, False]


def test_a_row_that_postponed_itself_while_its_batch_went_on_does_not_wait(batches: Batches, queue: Queue) -> None:
    number = begun(batches, 2)
    one, two = batches.rows(number)
    batches.move(one.id, 1, states.ROW_WORKING, reason=PAUSED_BATCH, next_attempt_at=4e9)
    batches.move(two.id, 1, states.ROW_WORKING, reason="retrieve: away", attempt=2, next_attempt_at=4e9)
    for row in (one, two):
        queue.enqueue(module._job(batches.get(number), row).later(), 3600)  # noqa: SLF001  # as the worker does
    feed(batches, queue)
    assert queue.hasten(rows_of(number)) == 1  # the one that has failed


def test_a_row_goes_on_when_the_other_that_fetched_its_study_has_ended(batches: Batches, queue: Queue) -> None:
    number, other = begun(batches, 1), begun(batches, 1)
    (waits,), (fetches,) = batches.rows(number), batches.rows(other)
    batches.claim(fetches.id, 1, [("d", b"x", 1)])
    batches.claim(waits.id, 1, [("d", b"x", 1)])
    batches.move(waits.id, 1, states.ROW_WORKING, reason=ELSEWHERE, next_attempt_at=4e9)
    queue.enqueue(module._job(batches.get(number), waits).later(), 3600)  # noqa: SLF001  # as the worker does
    feed(batches, queue)
    assert queue.hasten(rows_of(number)) == 1
    queue.enqueue(module._job(batches.get(number), waits).later().later(), 3600)  # noqa: SLF001  # again
    batches.move(fetches.id, 1, states.ROW_FAILED)
    feed(batches, queue)
    assert queue.hasten(rows_of(number)) == 0


def test_a_long_list_does_not_all_wait_in_the_engine_for_a_paused_archive(
    batches: Batches, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "AT_ONCE", 2)
    number = begun(batches, 5)
    Gates(batches.engine).set_paused("pacs", paused=True, actor="ann")
    for reason, jobs in ((PAUSED, 2), ("retrieve: away", 4)):
        feed(batches, queue)
        for row in batches.rows(number)[:2]:
            batches.move(row.id, 1, states.ROW_WORKING, reason=reason, next_attempt_at=4e9)
        feed(batches, queue)
        assert len(queue.live(rows_of(number))) == jobs
