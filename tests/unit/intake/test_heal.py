import time
from dataclasses import replace

import pytest

from fake_archive import FakeArchive, FakeStudy
from orthanc_deid import states
from orthanc_deid.database.deliveries import Deliveries
from orthanc_deid.database.gates import Gates
from orthanc_deid.database.ledger import Study
from orthanc_deid.intake import heal as healing
from orthanc_deid.intake.examine import Intake, examine
from orthanc_deid.intake.heal import heal
from orthanc_deid.pipeline import DEIDENTIFY, EXPORT, FINISH, Job
from orthanc_deid.steps.pace import PAUSED


@pytest.fixture
def at_work(intake: Intake, archive: FakeArchive, monkeypatch: pytest.MonkeyPatch) -> Study:
    """Answer a study that is queued since long."""
    monkeypatch.setattr(healing, "QUIET_S", -1.0)
    archive.held["a"] = FakeStudy(["i1"])
    examine(intake, "a", stable=True)
    found = intake.ledger.find("a")
    assert found
    return found


def lose_jobs(intake: Intake, study: Study) -> None:
    """Do what a crash between ledger and queue does."""
    intake.queue.cancel(Job(DEIDENTIFY, study.id, study.version, study.run).prefix)


def live(intake: Intake, study: Study) -> list[str]:
    return intake.queue.live(Job(DEIDENTIFY, study.id, study.version, study.run).prefix)


def test_a_study_that_has_its_job_is_left_alone(intake: Intake, at_work: Study) -> None:
    heal(intake)
    assert live(intake, at_work) == [Job(DEIDENTIFY, at_work.id, 1, 1).id]
    assert intake.ledger.get(at_work.id) == at_work


def test_a_study_without_a_job_gets_its_next_attempt(intake: Intake, at_work: Study) -> None:
    lose_jobs(intake, at_work)
    heal(intake)
    heal(intake)
    assert live(intake, at_work) == [Job(DEIDENTIFY, at_work.id, 1, 1, 2).id]
    healed = intake.ledger.get(at_work.id)
    assert (healed.status, healed.attempt, healed.run) == (states.QUEUED, 2, 1)


def test_the_job_of_a_study_that_waits_is_looked_for_when_its_time_has_come(
    intake: Intake, at_work: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    lose_jobs(intake, at_work)
    intake.ledger.postpone(at_work.id, 1, time.time() + 600, "the service of pseudonyms does not answer")
    heal(intake)
    assert live(intake, at_work) == []
    monkeypatch.setattr(healing, "QUIET_S", -700.0)
    heal(intake)
    assert live(intake, at_work) == [Job(DEIDENTIFY, at_work.id, 1, 1, 2).id]


@pytest.mark.parametrize("state", [states.DEIDENTIFYING, states.VERIFYING])
def test_a_study_whose_step_was_lost_is_queued_again(intake: Intake, at_work: Study, state: str) -> None:
    for to in (states.DEIDENTIFYING, state):
        intake.ledger.move(at_work.id, to, run=1)
    lose_jobs(intake, at_work)
    heal(intake)
    assert intake.ledger.get(at_work.id).status == states.QUEUED
    assert len(live(intake, at_work)) == 1


def test_what_changed_just_now_is_not_taken_for_lost(
    intake: Intake, at_work: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(healing, "QUIET_S", 20.0)
    lose_jobs(intake, at_work)
    heal(intake)
    assert live(intake, at_work) == []


def test_a_study_whose_jobs_end_without_a_result_fails(intake: Intake, at_work: Study) -> None:
    attempts = 2 * intake.configuration.limits.attempts + 1
    intake.ledger.again(at_work.id, 1, attempts, None, None)
    lose_jobs(intake, at_work)
    heal(intake)
    failed = intake.ledger.get(at_work.id)
    assert (failed.status, failed.reason) == (states.FAILED, "its jobs end without a result")
    assert live(intake, at_work) == []


def export(intake: Intake, study: Study) -> Deliveries:
    for state in (states.DEIDENTIFYING, states.VERIFYING, states.EXPORTING):
        intake.ledger.move(study.id, state, run=1)
    lose_jobs(intake, study)
    return Deliveries(intake.ledger.engine)


def set_verified(intake: Intake, study: Study) -> None:
    intake.ledger.set_output(study.id, 1, "o")
    intake.ledger.set_verified(study.id, 1, 1)


def test_a_lost_export_is_enqueued_again_for_its_destination(intake: Intake, at_work: Study) -> None:
    deliveries = export(intake, at_work)
    deliveries.mark(at_work.id, 1, "research", states.SENT, attempt=3)
    heal(intake)
    assert live(intake, at_work) == [Job(EXPORT, at_work.id, 1, 1, 4, "research").id]
    assert deliveries.get(at_work.id, "research").attempt == 4


def test_a_delivery_whose_jobs_end_without_a_result_fails(intake: Intake, at_work: Study) -> None:
    deliveries = export(intake, at_work)
    attempts = 2 * intake.configuration.limits.delivery_attempts + 1
    deliveries.mark(at_work.id, 1, "research", states.SENT, attempt=attempts)
    heal(intake)
    failed = deliveries.get(at_work.id, "research")
    assert (failed.state, failed.reason) == (states.UNDELIVERED, "its jobs end without a result")
    assert live(intake, at_work) == []
    heal(intake)
    assert [":finish:" in job for job in live(intake, at_work)] == [True]


def test_a_lost_export_does_not_wait_for_another_destination(intake: Intake, at_work: Study) -> None:
    deliveries = export(intake, at_work)
    waiting = Job(EXPORT, at_work.id, 1, 1, destination="research")
    intake.queue.enqueue(waiting, 3600)
    set_verified(intake, at_work)
    intake.ledger.deliver(at_work.id, ["share"], anew=False, reason="asked", actor="ann")  # and then a crash
    heal(intake)
    heal(intake)
    assert set(live(intake, at_work)) == {waiting.id, Job(EXPORT, at_work.id, 1, 1, 1, "share").id}
    assert deliveries.get(at_work.id, "research").attempt == 0


def test_exports_that_are_being_enqueued_are_not_taken_for_lost(intake: Intake, at_work: Study) -> None:
    export(intake, at_work)
    follows = Job(DEIDENTIFY, at_work.id, 1, 1, 2)
    intake.queue.enqueue(follows)
    heal(intake)
    assert live(intake, at_work) == [follows.id]


def test_a_destination_that_was_asked_for_just_now_is_not_taken_for_lost(
    intake: Intake, at_work: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    export(intake, at_work)
    set_verified(intake, at_work)
    monkeypatch.setattr(healing, "QUIET_S", 0.2)
    time.sleep(0.3)
    intake.ledger.deliver(at_work.id, ["share"], anew=False, reason="asked", actor="ann")
    heal(intake)
    assert live(intake, at_work) == []


def test_when_all_has_arrived_only_the_finish_was_lost(intake: Intake, at_work: Study) -> None:
    export(intake, at_work).mark(at_work.id, 1, "research", states.CONFIRMED, confirmed=1)
    heal(intake)
    job = Job(FINISH, at_work.id, 1, 1)
    assert [name.startswith(job.prefix + FINISH) for name in live(intake, at_work)] == [True]


def test_a_study_at_rest_is_left_alone(intake: Intake, at_work: Study) -> None:
    intake.ledger.move(at_work.id, states.QUARANTINED, run=1, reason="because")
    lose_jobs(intake, at_work)
    heal(intake)
    assert intake.ledger.get(at_work.id).status == states.QUARANTINED
    assert live(intake, at_work) == []


def test_what_waits_for_a_destination_that_was_let_go_on_starts_at_once(intake: Intake, at_work: Study) -> None:
    deliveries = export(intake, at_work)
    job = Job(EXPORT, at_work.id, 1, 1, 1, "research", waits=1)
    intake.queue.enqueue(job, delay_s=3600)
    deliveries.mark(at_work.id, 1, "research", states.PENDING, reason=PAUSED)
    gates = Gates(intake.ledger.engine)
    gates.set_paused("research", paused=True, actor="ann")
    heal(intake)
    assert intake.queue.hasten(job.prefix) == 1, "paused: it is still delayed, and only this call starts it"
    intake.queue.cancel(job.prefix)
    later = replace(job, waits=2)
    intake.queue.enqueue(later, delay_s=3600)
    gates.set_paused("research", paused=False, actor="ann")
    heal(intake)
    assert intake.queue.hasten(later.prefix) == 0, "it was hastened already"
    assert later.id in live(intake, at_work)
