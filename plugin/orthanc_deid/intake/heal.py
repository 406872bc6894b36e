"""Mend what a crash left between ledger and engine: every study at work has a job, every job a living worker."""

import time
from collections.abc import Sequence
from dataclasses import replace

from .. import log, states
from ..database import workers
from ..database.deliveries import Deliveries, Delivery
from ..database.gates import Gates
from ..database.ledger import Study
from ..errors import Conflict, Stale
from ..pipeline import DEIDENTIFY, EXPORT, FINISH, Job
from ..steps.pace import PAUSED
from .examine import Intake, first_job, priority

QUIET_S = 20.0  # a change of state and its job are this close together unless a process died between them
DEAD_S = 30.0  # a worker that was silent for so long is dead; if it is only slow, the engine fences it


def heal(intake: Intake) -> None:
    """Take over the jobs of dead workers; give a job to studies that have none."""
    ages = workers.ages(intake.ledger.engine)
    for executor in intake.queue.running():
        if ages.get(executor, DEAD_S) >= DEAD_S:
            log.event("jobs of a dead worker taken over", count=intake.queue.take_over(executor))
    quiet_since = time.time() - QUIET_S
    for study in intake.ledger.in_states(states.ACTIVE, updated_before=quiet_since):
        # Thousands may wait for a source of pseudonyms: their jobs are looked for when their time has come.
        if (study.next_attempt_at or 0) <= quiet_since:
            _heal_one(intake, study)
    _hasten_resumed(intake)


def _hasten_resumed(intake: Intake) -> None:
    """Start what still waits for a destination that a person has let go on: it postponed itself in that moment."""
    gates = Gates(intake.ledger.engine)
    paused: dict[str, bool] = {}
    for delivery in Deliveries(intake.ledger.engine).open_at(state=states.PENDING):
        if delivery.reason != PAUSED:
            continue
        if delivery.destination not in paused:
            paused[delivery.destination] = bool(gates.get(delivery.destination).paused)
        if not paused[delivery.destination]:
            study = intake.ledger.get(delivery.study_id)
            run = Job(EXPORT, study.id, study.version, study.run)
            intake.queue.hasten(run.exports_to(delivery.destination))


def _heal_one(intake: Intake, study: Study) -> None:
    run = Job(DEIDENTIFY, study.id, study.version, study.run)
    live = intake.queue.live(run.prefix)
    if live:
        if study.status == states.EXPORTING:
            _heal_beside(intake, study, live)
        return
    log.event("study without a job", study=study.id, state=study.status)
    try:
        if study.status == states.EXPORTING:
            _heal_export(intake, study)
        elif study.attempt > 2 * intake.configuration.limits.attempts:
            intake.ledger.move(study.id, states.FAILED, run=study.run, reason="its jobs end without a result")
        else:
            intake.ledger.again(study.id, study.run, study.attempt + 1, None, study.reason)
            intake.queue.enqueue(first_job(intake, study, study.attempt + 1))
    except (Stale, Conflict):
        return


def _heal_beside(intake: Intake, study: Study, live: Sequence[str]) -> None:
    """Give a job to deliveries that have none while others wait, which may take days."""
    run = Job(EXPORT, study.id, study.version, study.run)
    if not all(job.startswith(f"{run.prefix}{EXPORT}:") for job in live):
        return  # one that enqueues exports is at work
    for delivery in _open(intake, study):
        is_quiet = delivery.updated_at < time.time() - QUIET_S
        if is_quiet and not any(job.startswith(run.exports_to(delivery.destination)) for job in live):
            log.event("delivery without a job", study=study.id)
            _export_again(intake, study, delivery)


def _open(intake: Intake, study: Study) -> list[Delivery]:
    found = Deliveries(intake.ledger.engine).of(study.id)
    return [d for d in found if d.state in (states.PENDING, states.SENT)]


def _export_again(intake: Intake, study: Study, delivery: Delivery) -> None:
    deliveries = Deliveries(intake.ledger.engine)
    if delivery.attempt > 2 * intake.configuration.limits.delivery_attempts:
        reason = "its jobs end without a result"
        deliveries.mark(study.id, study.run, delivery.destination, states.UNDELIVERED, reason=reason)
        return
    deliveries.mark(
        study.id, study.run, delivery.destination, delivery.state, attempt=delivery.attempt + 1,
        reason=delivery.reason,
    )  # fmt: skip
    job = Job(EXPORT, study.id, study.version, study.run, delivery.attempt + 1, delivery.destination)
    intake.queue.enqueue(replace(job, priority=priority(intake, study.project)))


def _heal_export(intake: Intake, study: Study) -> None:
    open_ = _open(intake, study)
    for delivery in open_:
        _export_again(intake, study, delivery)
    if not open_:
        # `finish` refuses what is not confirmed, so nothing can slip through here.
        intake.queue.enqueue(Job(FINISH, study.id, study.version, study.run, int(time.time())))
