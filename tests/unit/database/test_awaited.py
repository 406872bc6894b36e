import time
from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from orthanc_deid.database import migrate, open_database
from orthanc_deid.database.awaited import NEVER, Awaited, Waiting
from orthanc_deid.database.ledger import Ledger
from orthanc_deid.database.manifests import Announced, Manifest, Manifests
from orthanc_deid.sealed import Seal

UID, OTHER_UID = "1.2.826.0.1.3680043.10.1337.1", "1.2.826.0.1.3680043.10.1337.2"


@pytest.fixture
def database(database_url: str) -> Iterator[Engine]:
    made = open_database(database_url)
    migrate(made)
    yield made
    made.dispose()


@pytest.fixture
def waiting(database: Engine) -> Waiting:
    return Waiting(database)


def begin(database: Engine, source: str = "a", ask: str = "pacs-1", present: int = 2) -> Awaited:
    study = Ledger(database).add(source, "default")
    return Waiting(database).begin(study.id, time.time() + 3600, ask, present)


def test_a_second_beginning_keeps_the_first_deadline(database: Engine, waiting: Waiting) -> None:
    first = begin(database)
    assert waiting.begin(first.study_id, first.deadline_at + 100, "pacs-1", 3) == first
    other = waiting.begin(first.study_id, first.deadline_at + 100, "pacs-2", 3)
    assert (other.ask, other.deadline_at) == ("pacs-2", first.deadline_at + 100)
    assert waiting.find(first.study_id) == other


def test_what_is_due_is_claimed_once_and_again_when_the_claim_has_ended(database: Engine, waiting: Waiting) -> None:
    rows = [begin(database, source) for source in "abc"]
    begin(database, "quiet", ask="")
    assert waiting.due() == ["pacs-1"]
    taken = waiting.claim("pacs-1", 2, 60)
    rest = Waiting(database).claim("pacs-1", 9, 60)
    assert sorted(row.study_id for row in taken + rest) == [row.study_id for row in rows]
    assert (len(taken), waiting.due(), waiting.claim("pacs-1", 0, 60)) == (2, [], [])
    assert waiting.wake(rows[0].study_id, time.time() - 1)
    assert waiting.claim("pacs-1", 9, 60, but=[rows[0].study_id]) == []
    assert [row.study_id for row in waiting.claim("pacs-1", 9, 60)] == [rows[0].study_id]


def test_an_answer_about_other_instances_is_not_taken(database: Engine, waiting: Waiting) -> None:
    row = begin(database)
    waiting.note_present(row.study_id, 3)
    assert not waiting.answer(row.study_id, 2, expected=2, missing=None, reason=None, at=NEVER)
    assert waiting.answer(row.study_id, 3, expected=4, missing=1, reason=None, at=NEVER)
    found = waiting.find(row.study_id)
    assert found
    assert (found.present, found.expected, found.missing, found.next_look_at) == (3, 4, 1, NEVER)
    assert found.asked_at is not None
    waiting.note_present(row.study_id, 4)
    found = waiting.find(row.study_id)
    assert found
    assert (found.expected, found.missing, found.asked_at) == (4, None, None)


def test_a_look_that_somebody_has_hastened_is_not_put_off(database: Engine, waiting: Waiting) -> None:
    row = begin(database)
    waiting.wake(row.study_id, row.next_look_at - 1)
    waiting.look_at(row, NEVER)
    assert waiting.due() == ["pacs-1"]


def test_what_is_missing_is_requested_by_one_process_only(database: Engine, waiting: Waiting) -> None:
    row = begin(database)
    assert waiting.request(row, row.deadline_at + 10)
    assert not Waiting(database).request(row, row.deadline_at + 20)
    found = waiting.find(row.study_id)
    assert found
    assert (found.requests, found.deadline_at) == (1, row.deadline_at + 10)


def test_after_a_restart_all_are_examined_and_unanswered_questions_are_asked(
    database: Engine, waiting: Waiting
) -> None:
    asked, held = begin(database, "a"), begin(database, "b")
    waiting.claim("pacs-1", 9, 600)
    waiting.answer(held.study_id, 2, expected=3, missing=None, reason=None, at=NEVER)
    waiting.wake_all()
    assert {study.id for study in Ledger(database).to_recheck()} == {asked.study_id, held.study_id}
    assert [row.study_id for row in waiting.claim("pacs-1", 9, 600)] == [asked.study_id]


def test_what_ends_the_waiting_of_a_study_ends_its_row(database: Engine, waiting: Waiting) -> None:
    started, cancelled, ended = begin(database, "a"), begin(database, "b"), begin(database, "c")
    ledger = Ledger(database)
    for row in (started, cancelled):
        ledger.move(row.study_id, "waiting", reason="213 of 240 instances")
        assert waiting.find(row.study_id)
    ledger.start(started.study_id, "default", ())
    ledger.cancel(cancelled.study_id, "ann")
    waiting.end(ended.study_id)
    assert [waiting.find(row.study_id) for row in (started, cancelled, ended)] == [None, None, None]
    assert not waiting.wake(started.study_id, 0.0)


def test_a_manifest_is_found_by_its_study_and_replaced_by_the_next(database: Engine) -> None:
    manifests = Manifests(database, Seal(bytes(32)))
    assert manifests.find(UID) is None
    assert manifests.note([Manifest(UID, 3), Manifest(OTHER_UID, 1, ["1.2.3"])], "ann") == [False, False]
    assert manifests.find(UID) == Announced(3, None)
    assert manifests.find(OTHER_UID) == Announced(1, frozenset({manifests.digest("1.2.3")}))
    assert manifests.note([Manifest(UID, 2, ["1.2.4", "1.2.5"])], "bob") == [True]
    assert manifests.find(UID + "\0") == Announced(2, frozenset(map(manifests.digest, ("1.2.4", "1.2.5"))))


def test_one_study_announced_twice_in_a_list_is_the_last_one(database: Engine) -> None:
    manifests = Manifests(database, Seal(bytes(32)))
    assert manifests.note([Manifest(UID, 3), Manifest(UID, 4)], "ann") == [False, True]
    assert manifests.find(UID) == Announced(4, None)


def test_no_uid_stands_in_the_database(database: Engine) -> None:
    Manifests(database, Seal(bytes(32))).note([Manifest(UID, 1, [OTHER_UID])], "ann")
    with database.connect() as connection:
        stored = str(connection.exec_driver_sql("SELECT * FROM manifest").all())
    assert "ann" in stored
    assert [uid for uid in (UID, OTHER_UID) if uid in stored] == []
