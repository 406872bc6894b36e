"""The border between steps and engine: runs one step and turns what it raises into an outcome and a state."""

import time

from .. import faults, log
from ..batches import account, find, retrieve, row_ends
from ..engine import END, GO_ON, Outcome
from ..errors import ConfigurationError, Conflict, NotFound, Postponed, Rejected, Retriable, Stale
from ..pipeline import ROW, STUDY, Job
from . import Resources, Step, cleanup, confirm, convert, deidentify, export, identify, study_ends, verify

STEPS: dict[str, Step] = {
    "identify": identify.run,
    "deidentify": deidentify.run,
    "verify": verify.run,
    "convert": convert.run,
    "export": export.run,
    "confirm": confirm.run,
    "cleanup": cleanup.run,
    "find": find.run,
    "retrieve": retrieve.run,
    "account": account.run,
}
ENDS = {STUDY: study_ends.ENDS, ROW: row_ends.ENDS}


def perform(step: str, job: Job, resources: Resources) -> Outcome:
    """Run one step; whatever happens, the study or row is in a named state afterwards."""
    began = time.monotonic()
    try:
        if step == "follow":
            return ENDS[job.subject].follow(job, resources)
        STEPS[step](job, resources)
    except Exception as error:  # noqa: BLE001  # a fault of ours must not lose the study: it is tried again, then failed
        return _after(error, step, job, resources)
    log.event("step finished", **{job.subject: job.study}, step=step, seconds=round(time.monotonic() - began, 3))
    return GO_ON


def _after(error: Exception, step: str, job: Job, resources: Resources) -> Outcome:
    """Turn what a step raised into a state of its subject and what follows."""
    ends = ENDS[job.subject]
    match error:
        case Stale() | Conflict():
            return END
        case Rejected():
            return ends.refuse(job, resources, str(error))
        case Postponed():
            return ends.postpone(job, resources, error)
        case Retriable():
            return ends.try_again(step, job, resources, str(error), error.after_s)
        case NotFound() | ConfigurationError():
            return ends.try_again(step, job, resources, str(error), 0.0)
        case _:
            return ends.try_again(step, job, resources, faults.told(error), 0.0)
