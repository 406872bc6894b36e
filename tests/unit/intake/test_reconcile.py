import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fake_archive import FakeArchive, FakeStudy
from orthanc_deid import states
from orthanc_deid.database import marks, workers
from orthanc_deid.errors import Retriable
from orthanc_deid.intake.examine import Intake
from orthanc_deid.intake.reconcile import CURSOR, Reconcile
from orthanc_deid.intake.retain import Retainer
from servers import wait_for

QUIET_S = 0.2


def retainer(intake: Intake) -> Retainer:
    return Retainer(intake, Path("/nonexistent"), Path("/nonexistent"))


@pytest.fixture
def reconcile(intake: Intake) -> Reconcile:
    return Reconcile(intake, QUIET_S, retainer(intake))


@pytest.fixture
def running(new_intake: Callable[..., Intake]) -> Iterator[tuple[Intake, Reconcile]]:
    """Answer a loop that looks by itself once an hour only."""
    intake = new_intake(intake={"reconcile_s": 3600.0})
    made = Reconcile(intake, QUIET_S, retainer(intake))
    made.start()
    wait_for(lambda: made.looked_at, 10)
    yield intake, made
    made.stop()


def status(intake: Intake, source: str) -> str | None:
    found = intake.ledger.find(source)
    return found.status if found else None


def hold(archive: FakeArchive, *sources: str) -> None:
    """Add studies whose events are not lost."""
    for source in sources:
        archive.held[source] = FakeStudy([f"{source}1"])
        archive.change("NewStudy", source)
        archive.change("StableStudy", source)


def test_changes_are_read_once_and_page_by_page(intake: Intake, archive: FakeArchive, reconcile: Reconcile) -> None:
    archive.page = 3
    hold(archive, "a", "b", "c")
    reconcile.look()
    assert [status(intake, source) for source in "abc"] == [states.QUEUED] * 3
    assert archive.asked_since == [0, 3]
    assert workers.read_cursor(intake.ledger.engine, CURSOR) == 6
    Reconcile(intake, QUIET_S, retainer(intake)).look()
    assert archive.asked_since == [0, 3, 6]


def test_the_last_word_of_a_page_decides_whether_a_study_is_stable(
    intake: Intake, archive: FakeArchive, reconcile: Reconcile
) -> None:
    hold(archive, "a")
    archive.held["a"].stable = False
    archive.change("NewStudy", "a")
    reconcile.look()
    assert status(intake, "a") == states.WAITING
    archive.change("StableStudy", "a")
    reconcile.look()
    assert status(intake, "a") == states.QUEUED


def test_other_changes_start_nothing(intake: Intake, archive: FakeArchive, reconcile: Reconcile) -> None:
    reconcile.look()
    archive.held["a"] = FakeStudy(["a1"])
    for kind in ("NewInstance", "NewSeries", "StableSeries", "UpdatedMetadata", "Deleted"):
        archive.change(kind, "a")
    reconcile.look()
    assert status(intake, "a") is None


def test_a_sequence_that_begins_anew_is_read_from_its_beginning(
    intake: Intake, archive: FakeArchive, reconcile: Reconcile
) -> None:
    workers.save_cursor(intake.ledger.engine, CURSOR, 5000)
    hold(archive, "a")
    reconcile.look()
    assert status(intake, "a") == states.QUEUED
    assert workers.read_cursor(intake.ledger.engine, CURSOR) == 2


def test_a_study_without_an_event_counts_as_stable_after_a_quiet_time(
    intake: Intake, archive: FakeArchive, reconcile: Reconcile
) -> None:
    archive.held["a"] = FakeStudy(["a1"])
    reconcile.look()
    assert status(intake, "a") is None
    time.sleep(QUIET_S)
    reconcile.look()
    assert status(intake, "a") == states.QUEUED


def test_the_quiet_time_begins_again_when_something_arrives(
    intake: Intake, archive: FakeArchive, reconcile: Reconcile
) -> None:
    archive.held["a"] = FakeStudy(["a1"])
    reconcile.look()
    time.sleep(QUIET_S)
    archive.arrive("a", "a2", last_update="t2")
    reconcile.look()
    assert status(intake, "a") is None
    time.sleep(QUIET_S)
    reconcile.look()
    found = intake.ledger.find("a")
    assert found
    assert (found.status, len(intake.ledger.instances(found.id))) == (states.QUEUED, 2)


def test_a_study_that_vanishes_is_forgotten(intake: Intake, archive: FakeArchive, reconcile: Reconcile) -> None:
    archive.held["a"] = FakeStudy(["a1"])
    archive.change("StableStudy", "b")
    reconcile.look()
    del archive.held["a"]
    time.sleep(QUIET_S)
    reconcile.look()
    assert (status(intake, "a"), status(intake, "b")) == (None, None)
    assert workers.read_cursor(intake.ledger.engine, CURSOR) == 1


def test_what_arrived_during_the_work_is_taken_up_afterwards(
    intake: Intake, archive: FakeArchive, reconcile: Reconcile
) -> None:
    hold(archive, "a")
    reconcile.look()
    archive.arrive("a", "a2", last_update="t2")
    archive.change("StableStudy", "a")
    reconcile.look()
    study = intake.ledger.find("a")
    assert study
    assert (study.status, study.version) == (states.QUEUED, 1)
    for state in (states.DEIDENTIFYING, states.VERIFYING, states.EXPORTING, states.DONE):
        intake.ledger.move(study.id, state, run=1)
    reconcile.look()
    again = intake.ledger.get(study.id)
    assert (again.status, again.version) == (states.QUEUED, 2)


def test_a_study_that_has_left_orthanc_is_not_waited_for(
    intake: Intake, archive: FakeArchive, reconcile: Reconcile
) -> None:
    hold(archive, "a")
    reconcile.look()
    study = intake.ledger.find("a")
    assert study
    intake.ledger.mark_recheck(study.id)
    for state in (states.DEIDENTIFYING, states.VERIFYING, states.EXPORTING, states.DONE):
        intake.ledger.move(study.id, state, run=1)
    del archive.held["a"]
    reconcile.look()
    again = intake.ledger.get(study.id)
    assert (again.status, again.recheck) == (states.DONE, 0)


def test_changes_that_could_not_be_read_are_read_when_orthanc_is_back(
    intake: Intake, archive: FakeArchive, reconcile: Reconcile
) -> None:
    hold(archive, "a")
    archive.away = True
    with pytest.raises(Retriable):
        reconcile.look()
    archive.away = False
    reconcile.look()
    assert status(intake, "a") == states.QUEUED


def test_a_study_whose_project_was_renamed_does_not_hold_up_the_others(
    new_intake: Callable[..., Intake], archive: FakeArchive
) -> None:
    before = new_intake(projects=({"name": "old"},), intake={"automatic": False})
    hold(archive, "a")
    Reconcile(before, QUIET_S, retainer(before)).look()
    assert status(before, "a") == states.WAITING
    after = new_intake(projects=({"name": "new"},))
    archive.change("StableStudy", "a")
    hold(archive, "b")
    Reconcile(after, QUIET_S, retainer(after)).look()
    assert (status(after, "a"), status(after, "b")) == (states.QUEUED, states.QUEUED)  # nothing of it is stored yet


def test_a_hint_makes_the_loop_look_now(running: tuple[Intake, Reconcile], archive: FakeArchive) -> None:
    intake, reconcile = running
    hold(archive, "a")
    reconcile.hint()
    wait_for(lambda: status(intake, "a") == states.QUEUED, 10)


def test_the_loop_outlives_an_orthanc_that_is_away(running: tuple[Intake, Reconcile], archive: FakeArchive) -> None:
    intake, reconcile = running
    hold(archive, "a")
    archive.away = True
    for _ in range(3):
        reconcile.hint()
        time.sleep(0.05)
    archive.away = False
    reconcile.hint()
    wait_for(lambda: status(intake, "a") == states.QUEUED, 10)


def test_a_fault_of_ours_in_one_study_holds_up_no_other(
    intake: Intake, archive: FakeArchive, reconcile: Reconcile, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold(archive, "a", "b")
    before = archive.instance_ids

    def instance_ids(study: str) -> list[str]:
        if study == "a":
            raise KeyError(study)
        return before(study)

    monkeypatch.setattr(archive, "instance_ids", instance_ids)
    reconcile.look()
    assert status(intake, "b") == states.QUEUED
    assert workers.read_cursor(intake.ledger.engine, CURSOR) == 4


@pytest.mark.parametrize(("ended", "asked"), [(0, 1), (2500, 3), (10**6, 20)])
def test_a_sweep_deletes_more_old_jobs_than_are_deleted_at_once(
    intake: Intake, reconcile: Reconcile, monkeypatch: pytest.MonkeyPatch, ended: int, asked: int
) -> None:
    left = [ended]

    def purge(_before: float) -> int:
        left.append(max(0, left[-1] - 1000))
        return left[-2] - left[-1]

    monkeypatch.setattr(intake.queue, "purge", purge)
    reconcile.look()
    assert len(left) - 1 == asked


def test_a_sweep_does_not_come_back_to_what_is_ignored_for_good(
    new_intake: Callable[..., Intake], archive: FakeArchive, monkeypatch: pytest.MonkeyPatch
) -> None:
    intake = new_intake(intake={"sweep_s": 1.0})
    reconcile = Reconcile(intake, 0.0, retainer(intake))
    marks.mark(intake.ledger.engine, {"a": None}, "ann")  # for the day when it comes
    archive.held["a"] = FakeStudy(["a1"])
    reconcile.look()
    examined: list[str] = []
    monkeypatch.setattr(reconcile, "_examine", lambda source, **_: examined.append(source))
    for _ in range(2):
        time.sleep(1.1)
        reconcile.look()
    assert examined == []
