import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from fake_archive import FakeArchive, FakeStudy
from orthanc_deid import states
from orthanc_deid.batches import question
from orthanc_deid.database import marks, views
from orthanc_deid.database.batches import Asked, Batches
from orthanc_deid.database.deliveries import Deliveries
from orthanc_deid.database.ledger import Study
from orthanc_deid.database.origins import Origin
from orthanc_deid.errors import Conflict, NotFound
from orthanc_deid.intake.examine import Intake, examine, start_by_hand
from orthanc_deid.intake.withdraw import Withdrawals
from orthanc_deid.pipeline import DEIDENTIFY, DELIVER, Job

TO_DONE = (states.DEIDENTIFYING, states.VERIFYING, states.EXPORTING, states.DONE)


def known(intake: Intake, source: str = "a") -> Study:
    found = intake.ledger.find(source)
    assert found
    return found


def finish(intake: Intake, source: str = "a", to: tuple[str, ...] = TO_DONE) -> None:
    for state in to:
        intake.ledger.move(known(intake, source).id, state)


def events(intake: Intake, source: str = "a") -> list[str]:
    return [event["status"] for event in views.one(intake.ledger.engine, source)["events"]]


def test_a_stable_study_is_queued_once_with_its_deliveries(intake: Intake, archive: FakeArchive) -> None:
    archive.held["a"] = FakeStudy(["i1", "i2"])
    examine(intake, "a", stable=True)
    study = known(intake)
    assert (study.status, study.project, study.version, study.run, study.recheck) == ("queued", "default", 1, 1, 0)
    job = Job(DEIDENTIFY, study.id, 1, 1)
    assert intake.queue.live(job.prefix) == [job.id]
    assert [(d.destination, d.state) for d in Deliveries(intake.ledger.engine).of(study.id)] == [
        ("research", states.PENDING)
    ]


def test_a_study_that_still_grows_waits_until_it_is_stable(intake: Intake, archive: FakeArchive) -> None:
    archive.held["a"] = FakeStudy(["i1"], stable=False)
    examine(intake, "a", stable=False)
    examine(intake, "a", stable=False)
    assert (known(intake).status, known(intake).reason) == (states.WAITING, "instances are still arriving")
    archive.arrive("a", "i2", last_update="t2")
    examine(intake, "a", stable=True)
    assert (known(intake).status, known(intake).version) == (states.QUEUED, 1)
    assert events(intake) == ["received", "waiting", "waiting", "queued"]  # the third says by which rule it belongs


def test_without_automatic_processing_a_study_waits_for_a_person(intake: Intake, archive: FakeArchive) -> None:
    by_hand = Intake(
        intake.configuration.model_copy(
            update={"intake": intake.configuration.intake.model_copy(update={"automatic": False})}
        ),
        intake.orthanc,
        intake.ledger,
        intake.queue,
        intake.origins,
    )
    archive.held["a"] = FakeStudy(["i1"])
    for _ in range(2):
        examine(by_hand, "a", stable=True)
    assert (known(intake).status, known(intake).reason) == (states.WAITING, "automatic processing is off")
    assert intake.ledger.to_recheck() == []
    start_by_hand(by_hand, "a", "ann")
    last = views.one(intake.ledger.engine, "a")["events"][-1]
    assert (last["status"], last["actor"], last["reason"]) == ("queued", "ann", "asked for by a person")


def test_the_first_project_whose_modality_agrees_takes_the_study(
    new_intake: Callable[..., Intake], archive: FakeArchive
) -> None:
    intake = new_intake(
        projects=(
            {"name": "mr", "match": {"modality": ("MR",)}},
            {"name": "x-ray", "match": {"modality": ("CT", "DX")}},
            {"name": "ct", "match": {"modality": ("CT",)}},
        )
    )
    for source, modality in (("a", "MR"), ("b", "CT"), ("c", "US")):
        archive.held[source] = FakeStudy([f"{source}1"], modality)
        examine(intake, source, stable=True)
    assert [known(intake, source).project for source in "abc"] == ["mr", "x-ray", ""]
    assert (known(intake, "c").status, known(intake, "c").reason) == (states.IGNORED, "no project matches")
    with pytest.raises(Conflict, match="ignored: no project matches"):
        start_by_hand(intake, "c", "ann")


def test_what_this_software_made_is_never_a_source(intake: Intake, archive: FakeArchive) -> None:
    archive.held["a"] = FakeStudy(["i1"])
    examine(intake, "a", stable=True)
    intake.ledger.set_output(known(intake).id, 1, "out")
    archive.held["out"] = FakeStudy(["o1"], method="Orthanc De-ID 0.1")
    examine(intake, "out", stable=True)
    assert intake.ledger.find("out") is None
    with pytest.raises(Conflict, match="itself the result"):
        start_by_hand(intake, "out", "ann")
    archive.held["elsewhere"] = FakeStudy(["e1"], method="Orthanc De-ID 0.1")
    examine(intake, "elsewhere", stable=True)
    assert known(intake, "elsewhere").reason == "de-identified by this software before"


def test_another_software_s_method_does_not_keep_a_study_out(intake: Intake, archive: FakeArchive) -> None:
    archive.held["a"] = FakeStudy(["i1"], method="Somebody's")
    examine(intake, "a", stable=True)
    assert known(intake).status == states.QUEUED


def test_what_arrives_while_a_study_is_at_work_is_remembered(intake: Intake, archive: FakeArchive) -> None:
    archive.held["a"] = FakeStudy(["i1"])
    examine(intake, "a", stable=True)
    archive.arrive("a", "i2", last_update="t2")
    examine(intake, "a", stable=True)
    assert (known(intake).version, known(intake).run, known(intake).recheck) == (1, 1, 1)
    with pytest.raises(Conflict, match="at work already"):
        start_by_hand(intake, "a", "ann")
    finish(intake)
    assert [study.source for study in intake.ledger.to_recheck()] == ["a"]
    examine(intake, "a", stable=True)
    assert (known(intake).status, known(intake).version, known(intake).run) == (states.QUEUED, 2, 2)


def test_a_done_study_without_news_stays_done(intake: Intake, archive: FakeArchive) -> None:
    archive.held["a"] = FakeStudy(["i1"])
    examine(intake, "a", stable=True)
    finish(intake)
    before = events(intake)
    examine(intake, "a", stable=True)
    start_by_hand(intake, "a", "ann")
    assert (known(intake).status, events(intake)) == (states.DONE, before)


def test_a_late_instance_waits_while_more_arrive(intake: Intake, archive: FakeArchive) -> None:
    archive.held["a"] = FakeStudy(["i1"])
    examine(intake, "a", stable=True)
    finish(intake)
    archive.arrive("a", "i2", last_update="t2")
    examine(intake, "a", stable=False)
    assert known(intake).status == states.DONE
    examine(intake, "a", stable=True)
    assert (known(intake).status, known(intake).version) == (states.QUEUED, 2)
    assert events(intake)[-2:] == ["waiting", "queued"]


def test_a_quarantined_study_is_not_started_by_a_late_instance_but_by_a_person(
    intake: Intake, archive: FakeArchive
) -> None:
    archive.held["a"] = FakeStudy(["i1"])
    examine(intake, "a", stable=True)
    finish(intake, to=(states.DEIDENTIFYING, states.QUARANTINED))
    archive.arrive("a", "i2", last_update="t2")
    examine(intake, "a", stable=True)
    assert known(intake).status == states.QUARANTINED
    assert intake.ledger.to_recheck() == []
    start_by_hand(intake, "a", "ann")
    assert (known(intake).status, known(intake).version) == (states.QUEUED, 2)
    assert len(intake.ledger.instances(known(intake).id)) == 2


def test_an_instance_that_was_deleted_before_it_was_read_is_not_expected(intake: Intake, archive: FakeArchive) -> None:
    archive.held["a"] = FakeStudy(["i1", "i2"])
    examine(intake, "a", stable=True)
    finish(intake, to=(states.CANCELLED,))
    archive.held["a"].instances.remove("i2")
    start_by_hand(intake, "a", "ann")
    assert [instance.source for instance in intake.ledger.instances(known(intake).id)] == ["i1"]


def test_a_study_that_orthanc_does_not_hold_is_not_found(intake: Intake) -> None:
    with pytest.raises(NotFound):
        examine(intake, "a", stable=True)
    with pytest.raises(NotFound):
        start_by_hand(intake, "a", "ann")
    assert intake.ledger.find("a") is None


ARRIVED = "Orthanc De-ID 0.1"


def test_what_was_deidentified_on_arrival_is_delivered_by_its_project(
    new_intake: Callable[..., Intake], archive: FakeArchive
) -> None:
    projects = ({"name": "mr", "match": {"modality": ("MR",)}}, {"name": "rest"})
    intake = replace(new_intake(projects=projects, intake={"on_arrival": True}), arrival_since=100.0)
    for source, modality in (("a", "MR"), ("b", "CT")):
        archive.held[source] = FakeStudy([f"{source}1"], modality, method=ARRIVED, received=101.0)
        examine(intake, source, stable=True)
        study = known(intake, source)
        assert (study.status, study.output, study.verified_version) == (states.QUEUED, source, 1)
        assert intake.queue.live(f"{study.id}:") == [Job(DELIVER, study.id, 1, 1).id]
    assert [known(intake, source).project for source in "ab"] == ["mr", "rest"]


def test_our_mark_on_what_was_stored_before_the_mode_does_not_let_it_out(
    new_intake: Callable[..., Intake], archive: FakeArchive
) -> None:
    intake = replace(new_intake(intake={"on_arrival": True}), arrival_since=100.0)
    archive.held["a"] = FakeStudy(["a1"], method=ARRIVED, received=99.0)
    examine(intake, "a", stable=True)
    assert (known(intake, "a").status, known(intake, "a").reason) == (
        states.IGNORED,
        "de-identified by this software before",
    )
    with pytest.raises(Conflict, match="ignored: de-identified by this software before"):
        start_by_hand(intake, "a", "ann")


def test_what_joins_an_arrived_study_while_the_mode_is_off_does_not_leave(
    new_intake: Callable[..., Intake], archive: FakeArchive
) -> None:
    on = replace(new_intake(intake={"on_arrival": True}), arrival_since=100.0)
    archive.held["a"] = FakeStudy(["a1"], method=ARRIVED, received=101.0)
    examine(on, "a", stable=True)
    study = known(on, "a")
    on.ledger.move(study.id, states.DONE, run=1)
    archive.held["a"].instances.append("a2")
    archive.held["a"].last_update = "later"
    off = replace(on, configuration=new_intake().configuration, arrival_since=float("inf"))
    examine(off, "a", stable=True)
    study = known(on, "a")
    assert (study.status, study.version) == (states.WAITING, 1)
    assert "switched off" in (study.reason or "")
    with pytest.raises(Conflict):
        start_by_hand(off, "a", "ann")
    assert [i.source for i in on.ledger.instances(study.id)] == ["a1"]


def test_what_was_stored_before_waits_while_instances_are_deidentified_on_arrival(
    new_intake: Callable[..., Intake], archive: FakeArchive
) -> None:
    archive.held["a"] = FakeStudy(["i1"])
    intake = new_intake(intake={"on_arrival": True})
    examine(intake, "a", stable=True)
    expected = (states.WAITING, "stored before de-identification on arrival was switched on")
    assert (known(intake).status, known(intake).reason) == expected
    assert intake.ledger.to_recheck() == []
    with pytest.raises(Conflict, match="stored before"):
        start_by_hand(intake, "a", "ann")
    start_by_hand(new_intake(), "a", "ann")
    assert known(intake).status == states.QUEUED


def test_what_arrives_in_the_output_of_an_ended_run_is_not_withdrawn(
    new_intake: Callable[..., Intake], archive: FakeArchive
) -> None:
    before = new_intake()
    archive.held["a"] = FakeStudy(["i1"])
    examine(before, "a", stable=True)
    before.ledger.set_output(known(before).id, 1, "out")
    finish(before, to=(states.CANCELLED,))
    archive.held["out"] = FakeStudy(["arrived"], method="Orthanc De-ID 0.1")
    Withdrawals().look(new_intake(intake={"on_arrival": True}), time.time() + 1)
    assert archive.held["out"].instances == ["arrived"]


def test_a_study_that_a_person_called_processed_is_left_alone_until_a_person_starts_it(
    intake: Intake, archive: FakeArchive
) -> None:
    archive.held["a"] = FakeStudy(["i1"])
    marks.mark(intake.ledger.engine, {"a": None}, "ada")
    archive.arrive("a", "i2", last_update="20261121T090000")
    examine(intake, "a", stable=True)
    assert known(intake).status == states.IGNORED
    number = start_by_hand(intake, "a", "bob")
    assert (known(intake).id, known(intake).status) == (number, states.QUEUED)
    assert len(intake.ledger.instances(number)) == 2


def test_a_marked_study_that_no_project_takes_stays_marked(
    new_intake: Callable[..., Intake], archive: FakeArchive
) -> None:
    intake = new_intake(projects=({"name": "mr", "match": {"modality": ("MR",)}},))
    archive.held["a"] = FakeStudy(["i1"])
    marks.mark(intake.ledger.engine, {"a": None}, "ada")
    with pytest.raises(Conflict, match="no project matches"):
        start_by_hand(intake, "a", "bob")
    assert known(intake).reason == "marked as processed by ada"
    examine(intake, "a", stable=True)
    assert (known(intake).status, known(intake).recheck) == (states.IGNORED, 0)


def test_what_one_list_has_held_no_other_list_releases(intake: Intake, archive: FakeArchive) -> None:
    archive.held["a"] = FakeStudy(["i1"])
    study_uid = str(archive.study("a")["MainDicomTags"].get("StudyInstanceUID", ""))
    intake.origins.note(study_uid, Origin(source="pacs", hold=True))
    intake.origins.note(study_uid, Origin(source="pacs", album="other"))
    examine(intake, "a", stable=True)
    assert known(intake).hold
    found = intake.origins.find(study_uid)
    assert found
    assert found.album == "other"


def test_what_a_batch_is_fetching_begins_when_all_of_it_was_asked_for(intake: Intake, archive: FakeArchive) -> None:
    archive.held["a"] = FakeStudy(["i1"])
    batches = Batches(intake.ledger.engine)
    batch = batches.create(Asked(source="pacs", actor="ann"), [(2, b"x")])
    (row,) = batches.rows(batch.id)
    study_uid = str(archive.study("a")["MainDicomTags"].get("StudyInstanceUID", ""))
    (study,) = batches.claim(row.id, 1, [(question.digest(intake.origins.seal, study_uid), b"x", 2)])
    batches.note_study(row.id, 1, study.id, states.ROW_WORKING, arrived=0, expected=2)
    examine(intake, "a", stable=True)  # silent between two series
    assert (known(intake).status, known(intake).reason) == (states.WAITING, "a batch is fetching it")
    archive.arrive("a", "i2", last_update="t2")
    batches.move(row.id, 1, states.ROW_PARTIAL)
    for waiting in intake.ledger.to_recheck():
        examine(intake, waiting.source, stable=True)
    assert (known(intake).status, known(intake).version, known(intake).recheck) == (states.QUEUED, 1, 0)
