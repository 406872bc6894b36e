"""What follows a flow of a study: the next flow, quarantine, another attempt, a later one."""

import contextlib
import logging
import time
from collections.abc import Callable

from .. import engine, log, pipeline, states
from ..engine import END, Outcome
from ..errors import Conflict, Postponed, Stale
from ..pipeline import DELIVER, EXPORT, FINISH, Job
from . import Ends, Resources, cleanup, convert, delays


def follow(job: Job, resources: Resources) -> Outcome:
    """Enqueue what the pipeline names next."""
    after: dict[str | None, Callable[[Job, Resources], Outcome]] = {EXPORT: _start_exports, FINISH: settle}
    then = pipeline.FLOWS[job.flow].then
    if then == DELIVER and not (resources.ledger.get(job.study).hold or convert.wanted(job, resources)):
        then = EXPORT  # each flow waits for the queue's next poll
    if then is None:
        return END
    return after[then](job, resources) if then in after else engine.follow([job.next(then)])


def _start_exports(job: Job, resources: Resources) -> Outcome:
    open_ = [d for d in resources.deliveries.of(job.study) if d.confirmed_version < d.version]
    if not open_:
        cleanup.run(job, resources)  # at once: a flow of its own would wait for the queue's next poll
        return END
    resources.ledger.move(job.study, states.EXPORTING, run=job.run)
    return engine.follow([job.next(EXPORT, d.destination) for d in open_])


def settle(job: Job, resources: Resources) -> Outcome:
    """End the study when no delivery is under way any more: finish, or fail with the first reason."""
    deliveries = resources.deliveries.of(job.study)
    if any(d.state in (states.PENDING, states.SENT) for d in deliveries):
        return END
    failed = cleanup.missing(resources, [d for d in deliveries if d.state == states.UNDELIVERED])
    if failed:
        reason = f"destination {failed[0].destination}: {failed[0].reason}"
        resources.ledger.end(job.study, states.FAILED, run=job.run, reason=reason)
        return END
    return engine.follow([job.next(FINISH)])


def refuse(job: Job, resources: Resources, reason: str) -> Outcome:
    """Quarantine the study, or give up the delivery."""
    log.event("study refused", level=logging.WARNING, study=job.study, flow=job.flow)
    if job.flow == EXPORT:
        return _undelivered(job, resources, reason)
    with contextlib.suppress(Stale, Conflict):
        resources.ledger.move(job.study, states.QUARANTINED, run=job.run, reason=reason)
    return END


def postpone(job: Job, resources: Resources, error: Postponed) -> Outcome:
    """Look again later; no attempt is used up, since nothing was tried."""
    delay_s = delays.until_open(error) if job.flow == EXPORT else delays.while_away(job, error)
    try:
        if job.flow != EXPORT:
            resources.ledger.postpone(job.study, job.run, time.time() + delay_s, str(error))
            return engine.follow([job.later()], delay_s)
        resources.deliveries.mark(
            job.study, job.run, job.destination, states.PENDING,
            next_attempt_at=time.time() + delay_s, reason=str(error),
        )  # fmt: skip
    except (Stale, Conflict):
        return END
    return engine.follow([job.later()], delay_s)


def try_again(step: str, job: Job, resources: Resources, why: str, after_s: float = 0.0) -> Outcome:
    """Enqueue the next attempt, later each time; after the last the study or the delivery has failed."""
    limits = resources.settings.configuration.limits
    delay_s = delays.after_failure(job, limits, after_s)
    reason = f"{step}: {why}"
    log.event(
        "step failed", level=logging.WARNING, study=job.study, step=step, attempt=job.attempt, error=why,
        next_attempt_s=delay_s,
    )  # fmt: skip
    try:
        if job.flow == EXPORT:
            return _deliver_later(job, resources, reason, delay_s)
        if job.attempt >= limits.attempts:
            resources.ledger.move(job.study, states.FAILED, run=job.run, reason=reason)
            return END
        if job.flow != FINISH:
            resources.ledger.again(job.study, job.run, job.attempt + 1, time.time() + delay_s, reason)
    except (Stale, Conflict):
        return END
    return engine.follow([job.again()], delay_s)


def _deliver_later(job: Job, resources: Resources, reason: str, delay_s: float) -> Outcome:
    if job.attempt >= resources.settings.configuration.limits.delivery_attempts:
        return _undelivered(job, resources, reason)
    resources.deliveries.mark(
        job.study, job.run, job.destination, states.PENDING,
        attempt=job.attempt, next_attempt_at=time.time() + delay_s, reason=reason,
    )  # fmt: skip
    return engine.follow([job.again()], delay_s)


def _undelivered(job: Job, resources: Resources, reason: str) -> Outcome:
    try:
        resources.deliveries.mark(
            job.study, job.run, job.destination, states.UNDELIVERED, attempt=job.attempt, reason=reason
        )
        return settle(job, resources)
    except (Stale, Conflict):
        return END


ENDS = Ends(follow, refuse, postpone, try_again)
