import threading
from collections.abc import Iterator

import pytest

from orthanc_deid import states
from orthanc_deid.database import migrate, open_database
from orthanc_deid.database.batches import Asked, Batch, Batches
from orthanc_deid.errors import Conflict, NotFound, Postponed, Stale

ASKED = Asked(source="pacs", actor="admin")


@pytest.fixture
def batches(database_url: str) -> Iterator[Batches]:
    engine = open_database(database_url)
    migrate(engine)
    yield Batches(engine)
    engine.dispose()


def begun(batches: Batches, lines: int = 1, asked: Asked = ASKED) -> Batch:
    return batches.create(asked, [(2 + k, b"sealed") for k in range(lines)])


def rows(batches: Batches, batch: Batch) -> list[int]:
    return [row.id for row in batches.rows(batch.id)]


def test_a_batch_is_done_with_its_last_row(batches: Batches) -> None:
    batch = begun(batches, 2)
    first, second = rows(batches, batch)
    batches.move(first, 1, states.ROW_DELIVERED, reason="3 of 3 instances")
    assert batches.get(batch.id).state == states.BATCH_RUNNING
    batches.move(second, 1, states.ROW_NOT_FOUND)
    assert batches.get(batch.id).state == states.BATCH_DONE
    assert batches.counts(batch.id) == {"delivered": 1, "not-found": 1}
    with pytest.raises(Stale):
        batches.move(first, 1, states.ROW_WORKING)


def test_what_another_row_fetches_is_a_duplicate(batches: Batches) -> None:
    batch, other = begun(batches, 1), begun(batches, 1)
    (one,), (two,) = rows(batches, batch), rows(batches, other)
    assert [s.state for s in batches.claim(one, 1, [("d1", b"x", 3), ("d1", b"x", 3), ("d2", b"x", None)])] == [
        states.ROW_QUEUED,
        states.ROW_QUEUED,
    ]
    assert [s.state for s in batches.claim(two, 1, [("d2", b"x", None), ("d3", b"x", 1)])] == [
        states.ROW_DUPLICATE,
        states.ROW_QUEUED,
    ]
    assert len(batches.claim(one, 1, [("d1", b"x", 3)])) == 2  # a step that runs twice


def test_what_was_only_looked_for_is_nobodys(batches: Batches) -> None:
    batch, other = begun(batches, 1, Asked(source="pacs", actor="admin", mode="find")), begun(batches, 1)
    (one,), (two,) = rows(batches, batch), rows(batches, other)
    batches.claim(one, 1, [("d1", b"x", 3)])
    assert [s.state for s in batches.claim(two, 1, [("d1", b"x", 3)])] == [states.ROW_QUEUED]


def test_two_rows_that_claim_at_once_do_not_both_get_it(batches: Batches) -> None:
    batch = begun(batches, 8)
    gate = threading.Barrier(8)

    def claim(row: int) -> None:
        gate.wait(10)
        batches.claim(row, 1, [("d", b"x", 1)])

    threads = [threading.Thread(target=claim, args=(row,)) for row in rows(batches, batch)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    claimed = [study.state for row in rows(batches, batch) for study in batches.studies(row)]
    assert sorted(claimed) == [states.ROW_DUPLICATE] * 7 + [states.ROW_QUEUED]


def begin(batches: Batches, row: int, study: int) -> bool:
    return batches.begin_study(row, 1, study, arrived=0, expected=1, orthanc=None)


def test_no_more_than_the_most_studies_are_requested(batches: Batches) -> None:
    batch = begun(batches, 2, Asked(source="pacs", actor="admin", studies_most=2))
    one, two = rows(batches, batch)
    studies = batches.claim(one, 1, [("d0", b"x", 1), ("d1", b"x", 1)])
    batches.note_study(one, 1, studies[0].id, states.ROW_DUPLICATE, arrived=1)  # what is here already does not count
    assert begin(batches, one, studies[1].id)
    assert begin(batches, one, studies[1].id)  # a step that runs twice
    third, fourth = batches.claim(two, 1, [("d2", b"x", 1), ("d3", b"x", 1)])
    assert [begin(batches, two, third.id), begin(batches, two, fourth.id)] == [True, False]
    assert [s.state for s in batches.studies(two)] == [states.ROW_WORKING, states.ROW_SKIPPED]


def test_a_paused_batch_begins_nothing_and_a_cancelled_one_has_ended(batches: Batches) -> None:
    batch = begun(batches, 2)
    first, second = rows(batches, batch)
    batches.set_state(batch.id, states.BATCH_PAUSED)
    with pytest.raises(Postponed, match="batch is paused"):
        batches.guard(first, 1)
    batches.set_state(batch.id, states.BATCH_RUNNING)
    assert batches.guard(first, 1).line == 2
    batches.move(first, 1, states.ROW_DELIVERED)
    batches.set_state(batch.id, states.BATCH_CANCELLED)
    with pytest.raises(Stale):
        batches.guard(second, 1)
    assert batches.counts(batch.id) == {"delivered": 1, "cancelled": 1}
    with pytest.raises(Conflict, match="it has ended"):
        batches.set_state(batch.id, states.BATCH_RUNNING)


def test_what_was_not_delivered_is_asked_for_once_more(batches: Batches) -> None:
    batch = begun(batches, 3)
    first, second, _ = rows(batches, batch)
    batches.claim(first, 1, [("d1", b"x", 1)])
    batches.move(first, 1, states.ROW_PARTIAL)
    batches.move(second, 1, states.ROW_DELIVERED)
    again = batches.again(batch.id, states.ROW_UNDONE)
    assert [(row.id, row.run, row.state) for row in again] == [(first, 2, states.ROW_QUEUED)]
    assert batches.studies(first) == []
    with pytest.raises(Stale):
        batches.guard(first, 1)
    assert batches.get(batch.id).state == states.BATCH_RUNNING


def test_counts_of_instances_leave_out_what_was_here(batches: Batches) -> None:
    batch = begun(batches, 1)
    (row,) = rows(batches, batch)
    one, two = batches.claim(row, 1, [("d1", b"x", 3), ("d2", b"x", 5)])
    batches.note_study(row, 1, one.id, states.ROW_PARTIAL, arrived=2, expected=3, missing=b"sealed")
    batches.note_study(row, 1, two.id, states.ROW_DUPLICATE, arrived=5, expected=5)
    assert batches.instances(batch.id) == (1, 3, 2)


def test_an_unknown_number_is_not_found(batches: Batches) -> None:
    with pytest.raises(NotFound):
        batches.get(7)
    with pytest.raises(NotFound):
        batches.row(7)
    with pytest.raises(NotFound):
        batches.set_state(7, states.BATCH_PAUSED)


def test_batches_come_newest_first_and_page_by_page(batches: Batches) -> None:
    made = [begun(batches).id for _ in range(3)]
    assert [b.id for b in batches.page(2)] == made[:0:-1]
    assert [b.id for b in batches.page(2, made[1])] == [made[0]]


def test_the_same_key_begins_one_batch(batches: Batches) -> None:
    asked = Asked(source="pacs", actor="admin", key="run-7")
    first = batches.create(asked, [(2, b"x")])
    assert batches.create(asked, [(2, b"x"), (3, b"x")]) == first
    assert len(batches.page(10)) == 1
    assert len(batches.rows(first.id)) == 1
    assert begun(batches).id != begun(batches).id


def test_rows_that_are_asked_for_once_more_wait_with_a_paused_batch(batches: Batches) -> None:
    batch = begun(batches, 2)
    first, _ = rows(batches, batch)
    batches.move(first, 1, states.ROW_NOT_FOUND)
    batches.set_state(batch.id, states.BATCH_PAUSED)
    batches.again(batch.id, states.ROW_UNDONE)
    assert batches.get(batch.id).state == states.BATCH_PAUSED
