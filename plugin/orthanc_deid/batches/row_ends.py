"""What follows a step of a row: the end, a refusal, a later try."""

import contextlib
import logging
import time

from .. import engine, log, states
from ..engine import END, Outcome
from ..errors import Conflict, Postponed, Stale
from ..pipeline import Job
from ..steps import Ends, Resources, delays


def follow(_job: Job, _resources: Resources) -> Outcome:
    """End the flow: the studies begin by themselves when they are complete."""
    return END


def refuse(job: Job, resources: Resources, reason: str) -> Outcome:
    """End the row with a reason that no other try would change."""
    log.event("row refused", level=logging.WARNING, row=job.study, batch=job.version)
    with contextlib.suppress(Stale, Conflict):
        resources.batches.move(job.study, job.run, states.ROW_REFUSED, reason=reason)
    return END


def postpone(job: Job, resources: Resources, error: Postponed) -> Outcome:
    """Look again later; no attempt is used up."""
    delay_s = delays.until_open(error)
    return _later(job.later(), job.attempt, delay_s, resources, str(error))


def try_again(step: str, job: Job, resources: Resources, why: str, after_s: float) -> Outcome:
    """Enqueue the next attempt, later each time; after the last the row has failed."""
    limits = resources.settings.configuration.limits
    delay_s = delays.after_failure(job, limits, after_s)
    log.event(
        "step failed", level=logging.WARNING, row=job.study, batch=job.version, step=step, attempt=job.attempt,
        error=why, next_attempt_s=delay_s,
    )  # fmt: skip
    if job.attempt >= limits.delivery_attempts:
        with contextlib.suppress(Stale, Conflict):
            resources.batches.move(job.study, job.run, states.ROW_FAILED, reason=f"{step}: {why}")
        return END
    return _later(job.again(), job.attempt + 1, delay_s, resources, f"{step}: {why}")


def _later(job: Job, attempt: int, delay_s: float, resources: Resources, reason: str) -> Outcome:
    try:
        resources.batches.move(
            job.study,
            job.run,
            states.ROW_WORKING,
            reason=reason,
            attempt=attempt,
            next_attempt_at=time.time() + delay_s,
        )
    except (Stale, Conflict):
        return END
    return engine.follow([job], delay_s)


ENDS = Ends(follow, refuse, postpone, try_again)
