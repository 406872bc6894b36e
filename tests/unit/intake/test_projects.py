"""One source study in several projects: each row is looked at, started, held and kept by itself."""

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from fake_archive import FakeArchive, FakeStudy
from orthanc_deid import states
from orthanc_deid.database import marks, views
from orthanc_deid.database.conflicts import Conflicts
from orthanc_deid.database.deliveries import Deliveries
from orthanc_deid.database.ledger import Ledger, Study
from orthanc_deid.database.origins import Origin
from orthanc_deid.database.studies import address_of
from orthanc_deid.errors import ConfigurationError, Conflict, NotFound
from orthanc_deid.intake.examine import Intake, examine, examine_row, start_by_hand
from orthanc_deid.intake.retain import Retainer
from orthanc_deid.intake.unprocessed import Place, Wanted, look
from orthanc_deid.pipeline import DEIDENTIFY, Job
from orthanc_deid.settings import Configuration
from orthanc_deid.steps.subject import orthanc_id

NewIntake = Callable[..., Intake]
UID = "1.2.61"  # of the study "a"
PEERS = tuple({"kind": "orthanc-peer", "name": name, "url": "http://127.0.0.1:1/"} for name in ("one", "two"))
A = {"name": "a", "also": ("b",), "destinations": ("one",), "match": {"modality": ("CT",)}}
B = {"name": "b", "destinations": ("two",), "match": {"modality": ("MR",)}}
C = {"name": "c", "match": {"modality": ("US",)}}
TO_DONE = (states.DEIDENTIFYING, states.VERIFYING, states.EXPORTING, states.DONE)
ALONE = A | {"also": ()}


@pytest.fixture
def intake(new_intake: NewIntake, archive: FakeArchive) -> Intake:
    archive.held["a"] = FakeStudy(["i1", "i2"])
    return new_intake(projects=(A, B, C), destinations=PEERS)


def rows(intake: Intake) -> dict[str, Study]:
    """Return the rows of the study "a" by their projects."""
    return {study.project: study for study in intake.ledger.of_source("a")}


def states_of(intake: Intake) -> dict[str, str]:
    return {project: study.status for project, study in rows(intake).items()}


def recheck(intake: Intake) -> None:
    for study in intake.ledger.to_recheck():
        examine_row(intake, study, stable=True)


def finish(intake: Intake, study: Study, to: tuple[str, ...] = TO_DONE) -> None:
    """End a study as its steps would."""
    ledger, run = intake.ledger, intake.ledger.get(study.id).run
    for state in to:
        ledger.move(study.id, state, run=run)
    if to == TO_DONE:
        ledger.set_output(study.id, run, f"output-of-{study.project}")
        made = [(i.id, "deidentified", f"{study.project}-{i.source}", None) for i in ledger.instances(study.id)]
        ledger.mark_instances(study.id, run, made)
        ledger.set_verified(study.id, run, ledger.get(study.id).version)
        for delivery in Deliveries(ledger.engine).of(study.id):
            Deliveries(ledger.engine).mark(study.id, run, delivery.destination, states.CONFIRMED, confirmed=2)


def test_a_study_has_a_row_in_each_project_with_its_own_job_and_destinations(intake: Intake) -> None:
    examine(intake, "a", stable=True)
    found = rows(intake)
    assert [(name, s.status, s.source, s.version, s.run) for name, s in found.items()] == [
        ("a", states.QUEUED, "a", 1, 1), ("b", states.QUEUED, "a", 1, 1),
    ]  # fmt: skip
    assert (found["a"].address, found["b"].address) == ("a", orthanc_id("a", "b"))
    for name, destination in (("a", "one"), ("b", "two")):
        assert intake.queue.live(f"{found[name].id}:") == [Job(DEIDENTIFY, found[name].id, 1, 1).id]
        assert [d.destination for d in Deliveries(intake.ledger.engine).of(found[name].id)] == [destination]
    examine(intake, "a", stable=True)
    assert len(rows(intake)) == 2


def test_answers_tell_the_rows_of_a_study_apart_and_name_each_other(intake: Intake) -> None:
    examine(intake, "a", stable=True)
    further = address_of("a", "b")
    first, second = views.one(intake.ledger.engine, "a"), views.one(intake.ledger.engine, further)
    assert (first["address"], first["source"], first["project"]) == ("a", "a", "a")
    assert (second["address"], second["source"], second["project"]) == (further, "a", "b")
    assert first["also"] == [{"project": "b", "address": further, "status": "queued"}]
    assert second["also"] == [{"project": "a", "address": "a", "status": "queued"}]
    assert (first["belongs"], second["belongs"]) == ("a: match: modality", "b: also of a")
    page, _ = views.studies(intake.ledger.engine, project="b")
    assert [(study["address"], study["source"]) for study in page] == [(further, "a")]


def test_a_kill_between_the_start_of_the_first_and_of_the_further_study_loses_none(intake: Intake) -> None:
    first = intake.ledger.add("a", "a")
    intake.ledger.compare(first.id, ["i1", "i2"], "t1")
    intake.ledger.start(first.id, "a", ["one"], also={"b": "also of a"})  # and here the service is killed
    assert states_of(intake) == {"a": states.QUEUED, "b": states.RECEIVED}
    recheck(intake)
    assert states_of(intake) == {"a": states.QUEUED, "b": states.QUEUED}
    assert len(intake.ledger.instances(rows(intake)["b"].id)) == 2


def test_services_that_do_it_at_once_make_one_row(intake: Intake) -> None:
    first = intake.ledger.add("a", "a")
    ledgers = [Ledger(intake.ledger.engine) for _ in range(4)]
    threads = [threading.Thread(target=each.join, args=(first.id, {"b": "also of a"})) for each in ledgers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert [study.project for study in intake.ledger.further("a")] == ["b"]


def test_a_late_instance_is_the_next_version_of_every_row(intake: Intake, archive: FakeArchive) -> None:
    examine(intake, "a", stable=True)
    finish(intake, rows(intake)["a"])
    archive.arrive("a", "i3", last_update="t2")
    examine(intake, "a", stable=True)
    assert [(s.version, s.recheck) for s in rows(intake).values()] == [(2, 0), (1, 1)]  # the second is at work
    assert intake.ledger.last_updates(["a"]) == {"a": None}  # so that a sweep finds it, whatever is lost
    finish(intake, rows(intake)["b"])
    recheck(intake)
    assert [(s.version, s.run, s.status) for s in rows(intake).values()] == [(2, 2, "queued"), (2, 2, "queued")]
    assert intake.ledger.last_updates(["a"]) == {"a": "t2"}


def test_what_ends_otherwise_in_one_project_holds_up_no_other(intake: Intake, archive: FakeArchive) -> None:
    examine(intake, "a", stable=True)
    finish(intake, rows(intake)["a"], to=(states.DEIDENTIFYING, states.QUARANTINED))
    intake.ledger.cancel(rows(intake)["b"].id, "ann")
    assert states_of(intake) == {"a": states.QUARANTINED, "b": states.CANCELLED}
    start_by_hand(intake, address_of("a", "b"), "ann")
    assert states_of(intake) == {"a": states.QUARANTINED, "b": states.QUEUED}
    archive.arrive("a", "i3", last_update="t2")
    finish(intake, rows(intake)["b"])
    examine(intake, "a", stable=True)
    assert states_of(intake) == {"a": states.QUARANTINED, "b": states.QUEUED}


def test_a_project_that_is_added_later_gets_the_study_at_the_next_look(
    new_intake: NewIntake, archive: FakeArchive
) -> None:
    before = new_intake(projects=(ALONE, B), destinations=PEERS)
    archive.held["a"] = FakeStudy(["i1"])
    examine(before, "a", stable=True)
    finish(before, rows(before)["a"])
    after = new_intake(projects=(A, B), destinations=PEERS)
    start_by_hand(after, "a", "ann")
    assert states_of(after) == {"a": states.DONE, "b": states.QUEUED}


@pytest.mark.parametrize("ended", [states.CANCELLED, states.IGNORED])
def test_what_a_person_has_stopped_gets_no_further_project_by_itself(
    new_intake: NewIntake, archive: FakeArchive, ended: str
) -> None:
    before = new_intake(projects=(ALONE, B), destinations=PEERS)
    archive.held["a"] = FakeStudy(["i1"])
    if ended == states.IGNORED:
        marks.mark(before.ledger.engine, {"a": None}, "ann")
    else:
        examine(before, "a", stable=True)
        before.ledger.cancel(rows(before)["a"].id, "ann")
    after = new_intake(projects=(A, B), destinations=PEERS)
    archive.arrive("a", "i2", last_update="t2")
    examine(after, "a", stable=True)
    assert list(states_of(after).values()) == [ended]


def test_a_person_may_ask_for_one_more_project(intake: Intake) -> None:
    examine(intake, "a", stable=True)
    number = start_by_hand(intake, "a", "ann", "c")
    assert states_of(intake) == dict.fromkeys("abc", states.QUEUED)
    assert intake.ledger.get(number).address == address_of("a", "c")
    assert views.one(intake.ledger.engine, address_of("a", "c"))["belongs"] == "c: asked for by a person"
    for asked in ("a", address_of("a", "b")):  # whichever row is named
        with pytest.raises(Conflict, match="at work already"):
            start_by_hand(intake, asked, "ann", "a")
    with pytest.raises(ConfigurationError, match="no project is called d"):
        start_by_hand(intake, "a", "ann", "d")
    assert len(rows(intake)) == 3


def test_what_no_project_takes_may_be_given_to_one(intake: Intake, archive: FakeArchive) -> None:
    archive.held["a"].modality = "SR"
    examine(intake, "a", stable=True)
    start_by_hand(intake, "a", "ann", "c")
    assert states_of(intake) == {"": states.IGNORED, "c": states.QUEUED}


def test_nothing_of_our_own_is_given_to_a_further_project(intake: Intake, archive: FakeArchive) -> None:
    archive.held["made"] = FakeStudy(["m1"], method="Orthanc De-ID 0.1")
    examine(intake, "made", stable=True)
    with pytest.raises(Conflict, match="de-identified before"):
        start_by_hand(intake, "made", "ann", "c")
    with pytest.raises(NotFound):
        start_by_hand(intake, "gone", "ann", "c")
    assert intake.ledger.further("made") == intake.ledger.further("gone") == []


def test_the_first_project_never_becomes_one_that_has_the_study_already(
    new_intake: NewIntake, archive: FakeArchive
) -> None:
    by_hand = {"intake": {"automatic": False}}
    archive.held["a"] = FakeStudy(["i1"])
    start_by_hand(new_intake(projects=(ALONE, B), destinations=PEERS, **by_hand), "a", "ann", "b")
    changed = new_intake(projects=({"name": "b"},))
    examine(changed, "a", stable=True)
    first, further = changed.ledger.of_source("a")
    assert (first.status, first.reason) == (
        states.WAITING, "project b has it as a further study already: that one counts",
    )  # fmt: skip
    with pytest.raises(Conflict, match="project b has it as a further study already"):
        changed.ledger.start(first.id, "b", [])
    assert further.status == states.QUEUED


@pytest.mark.parametrize("sealed", ["a", "b"])
def test_a_sealed_project_is_refused_and_the_other_goes_on(intake: Intake, sealed: str) -> None:
    closed = replace(intake, is_sealed=lambda project: project == sealed)
    examine(closed, "a", stable=True)
    recheck(closed)
    other = "b" if sealed == "a" else "a"
    assert states_of(closed) == {sealed: states.IGNORED, other: states.QUEUED}
    assert rows(closed)[sealed].reason == (
        f"project {sealed} is sealed: its key was destroyed, nothing more can be made for it"
    )
    with pytest.raises(Conflict, match="is sealed"):
        start_by_hand(closed, rows(closed)[sealed].address, "ann")


def test_a_further_project_that_the_configuration_no_longer_names_waits(intake: Intake) -> None:
    first = intake.ledger.add("a", "a")
    intake.ledger.join(first.id, {"gone": "asked for by a person"})
    examine(intake, "a", stable=True)
    waiting = rows(intake)["gone"]
    assert (waiting.status, waiting.recheck) == (states.WAITING, 1)
    assert "no project is called gone" in (waiting.reason or "")
    assert states_of(intake)["a"] == states.QUEUED


def test_a_list_gives_a_study_to_one_more_project_with_its_own_pseudonym(intake: Intake, archive: FakeArchive) -> None:
    archive.held["a"].patient = "MRN-1"
    examine(intake, "a", stable=True)
    for study in rows(intake).values():
        finish(intake, study)
    intake.origins.note(UID, Origin(source="pacs", project="a", pseudonym="A-1"))
    intake.origins.note_further(UID, Origin(source="pacs", project="c", pseudonym="C-1", patient="mrn 1"))
    intake.ledger.mark_recheck(rows(intake)["a"].id)
    recheck(intake)
    recheck(intake)
    found = rows(intake)
    assert states_of(intake) == {"a": states.DONE, "b": states.DONE, "c": states.QUEUED}
    origins = {project: intake.origins.get(study.origin) for project, study in found.items()}
    assert origins["c"]
    assert origins["c"].pseudonym == "C-1"
    assert origins["b"] is None  # what a list says for one project is not for another
    assert views.one(intake.ledger.engine, found["c"].address)["belongs"] == "c: named by a list"


def test_a_list_that_means_another_patient_of_that_uid_gives_nothing(intake: Intake, archive: FakeArchive) -> None:
    archive.held["a"].patient = "MRN-1"
    intake.origins.note_further(UID, Origin(project="c", patient="MRN-2"))
    examine(intake, "a", stable=True)
    assert sorted(states_of(intake)) == ["a", "b"]


def test_what_is_held_is_held_in_every_project(intake: Intake) -> None:
    intake.origins.note(UID, Origin(source="pacs", hold=True))
    examine(intake, "a", stable=True)
    assert [study.hold for study in rows(intake).values()] == [1, 1]


def test_a_conflict_holds_up_every_project_and_a_replacement_reaches_each(intake: Intake, archive: FakeArchive) -> None:
    examine(intake, "a", stable=True)
    for study in rows(intake).values():
        finish(intake, study)
    conflicts = Conflicts(intake.ledger.engine)
    conflicts.add(rows(intake)["a"].id, "i1", "file")
    archive.arrive("a", "i3", last_update="t2")
    examine(intake, "a", stable=True)
    assert {s.reason for s in rows(intake).values()} == {"1 instance came again with another content: see conflicts"}
    assert [views.one(intake.ledger.engine, s.address)["conflicts"] for s in rows(intake).values()] == [1, 1]
    (one,) = conflicts.page()
    conflicts.take(one.id, "ann")
    conflicts.replaced(one.id, {"i1", "i2", "i3"})
    recheck(intake)
    assert [(s.status, s.version) for s in rows(intake).values()] == [("queued", 3), ("queued", 3)]
    for study in rows(intake).values():
        made = [i.source for i in intake.ledger.instances(study.id, state=states.INSTANCE_RECEIVED)]
        assert made == ["i1", "i2", "i3"]


def test_nothing_is_replaced_while_one_project_is_at_work(intake: Intake) -> None:
    examine(intake, "a", stable=True)
    conflicts = Conflicts(intake.ledger.engine)
    conflicts.add(rows(intake)["a"].id, "i1", "file")
    (one,) = conflicts.page()
    conflicts.take(one.id, "ann")
    finish(intake, rows(intake)["a"])
    with pytest.raises(Conflict, match="it is at work"):
        conflicts.replaced(one.id, {"i1", "i2"})


def test_a_study_that_waits_in_one_of_its_projects_is_unprocessed_and_may_be_marked(
    new_intake: NewIntake, archive: FakeArchive
) -> None:
    by_hand = new_intake(projects=(A, B), destinations=PEERS, intake={"automatic": False})
    archive.held["a"] = FakeStudy(["i1"])
    start_by_hand(by_hand, "a", "ann")
    for study in rows(by_hand).values():
        finish(by_hand, study)
    assert look(by_hand, Wanted(), Place(), 10) == ([], None)
    archive.arrive("a", "i2", last_update="t2")
    by_hand.ledger.mark_recheck(rows(by_hand)["b"].id)
    recheck(by_hand)
    found, _ = look(by_hand, Wanted(project="b"), Place(), 10)
    assert [(each.source, each.status, each.project) for each in found] == [("a", states.WAITING, "b")]
    assert look(by_hand, Wanted(project="a"), Place(), 10)[0] == []
    marks.mark(by_hand.ledger.engine, {"a": None}, "ann")
    assert states_of(by_hand) == {"a": states.DONE, "b": states.IGNORED}


def test_a_project_that_comes_after_sources_were_deleted_waits_for_them(intake: Intake, archive: FakeArchive) -> None:
    examine(intake, "a", stable=True)
    for study in rows(intake).values():
        finish(intake, study)
    archive.held["a"].instances.remove("i1")
    intake.ledger.join(rows(intake)["a"].id, {"c": "named by a list"})
    recheck(intake)
    waiting = rows(intake)["c"]
    assert (waiting.status, waiting.reason) == (
        states.WAITING,
        "1 of 2 instances of the study are no longer in this Orthanc: send them again, or process it as it is",
    )
    start_by_hand(intake, waiting.address, "ann")
    assert states_of(intake)["c"] == states.QUEUED


class Deleting(FakeArchive):
    """An archive from which retention deletes."""

    def delete(self, level: str, resource: str) -> None:
        assert level == "instances"
        for study in self.held.values():
            if resource in study.instances:
                study.instances.remove(resource)

    def get(self, path: str) -> dict[str, str]:
        assert path.endswith("/statistics")
        return {"DiskSize": "1000"}


def test_a_source_is_kept_until_every_project_is_done(intake: Intake, tmp_path: Path) -> None:
    archive = Deleting(held={"a": FakeStudy(["i1", "i2"])})
    values = intake.configuration.model_dump(mode="python") | {"retention": {"sources": {"after_days": 0.0}}}
    ruled = replace(intake, configuration=Configuration.model_validate(values), orthanc=archive)  # type: ignore[arg-type]  # a stand-in
    retainer = Retainer(ruled, tmp_path, tmp_path / "results")
    examine(ruled, "a", stable=True)
    finish(ruled, rows(ruled)["a"])
    assert retainer.plan() == []
    finish(ruled, rows(ruled)["b"])
    assert [(r.study, r.what) for r in retainer.plan()] == [(rows(ruled)["a"].id, "source")]
    planned = retainer.plan()
    ruled.ledger.join(rows(ruled)["a"].id, {"c": "asked for by a person"})
    assert (retainer.run(10), archive.held["a"].instances) == ([], ["i1", "i2"])
    recheck(ruled)
    finish(ruled, rows(ruled)["c"])
    archive.held["output-of-c"] = FakeStudy(["c-i1", "c-i2"])  # it has no destination: here is the only one
    assert retainer.run(10) == planned
    assert archive.held["a"].instances == []
    assert [study.removed for study in rows(ruled).values()] == [1, 1, 1]
    assert retainer.plan() == []
