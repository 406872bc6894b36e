"""Give jobs to the rows of running batches: a bounded number at once, so that a list of any length is begun at once."""

import time

from .. import log, states
from ..database.batches import Batch, Batches, BatchRow
from ..database.gates import Gates
from ..engine import Queue
from ..pipeline import PULL, Job, rows_of
from ..steps.pace import PAUSED

AT_ONCE = 64  # rows of one batch that have a job and do not wait for a later try
QUIET_S = 20.0  # a row and its job are this close together unless a process died between them


def feed(batches: Batches, queue: Queue) -> None:
    """Enqueue rows in the order of their lines; give a job to those that a crash has left without one."""
    for batch in batches.running():
        live = {_row_of(job) for job in queue.live(rows_of(batch.id))}
        open_ = batches.rows(batch.id, state=states.ROW_OPEN)
        busy = sum(row.id in live and row.next_attempt_at is None for row in open_)
        waiting = [row for row in open_ if row.id not in live]
        for row in waiting[: max(AT_ONCE - busy, 0)]:
            queue.enqueue(_job(batch, row))
        if any(row.reason == PAUSED for row in open_) and not Gates(batches.engine).get(batch.source).paused:
            queue.hasten(rows_of(batch.id))  # a person has let the archive go on


def _job(batch: Batch, row: BatchRow) -> Job:
    job = Job(PULL, row.id, batch.id, row.run, row.attempt, batch.source, priority=batch.priority)
    if row.state == states.ROW_QUEUED:
        return job  # the same once more changes nothing
    if row.updated_at < time.time() - QUIET_S:
        log.event("row without a job", row=row.id, batch=batch.id)
        return Job(PULL, row.id, batch.id, row.run, row.attempt, batch.source, int(time.time()), batch.priority)
    return job


def _row_of(job: str) -> int:
    return int(job.split(":")[2])
