"""Give jobs to the rows of running batches: a bounded number at once, so that a list of any length is begun at once."""

import time
from collections.abc import Sequence
from dataclasses import replace

from .. import log, states
from ..database.batches import PAUSED as PAUSED_BATCH
from ..database.batches import Batch, Batches, BatchRow
from ..database.gates import Gates
from ..engine import Queue
from ..pipeline import PULL, Job, rows_of
from ..steps.pace import PAUSED
from .account import ELSEWHERE

AT_ONCE = 64  # rows of one batch that have a job and do not wait for a later try
WAITS = "waits:"  # begins the reason of what was postponed
QUIET_S = 20.0  # a row and its job are this close together unless a process died between them


def feed(batches: Batches, queue: Queue) -> None:
    """Enqueue rows in the order of their lines; give a job to those that a crash has left without one."""
    for batch in batches.running():
        live = _live(queue, batch)
        open_ = _open(batches, batch, len(live))
        busy = sum(row.id in live and _is_in_line(row) for row in open_)
        waiting = [row for row in open_ if row.id not in live]
        begun = waiting[: max(AT_ONCE - busy, 0)]
        for row in begun:
            _begin(batches, queue, batch, row)
        _revive(batches, queue, batch, [row for row in begun if row.state == states.ROW_QUEUED and _is_quiet(row)])
        _hasten(batches, queue, batch, open_)


def _open(batches: Batches, batch: Batch, live: int) -> list[BatchRow]:
    """Return the rows that are at work, and of those that were not begun as many as may be: a list can be very long."""
    working = batches.rows(batch.id, state=[states.ROW_WORKING])
    queued = batches.rows(batch.id, state=[states.ROW_QUEUED], limit=AT_ONCE + live)
    return sorted([*working, *queued], key=lambda row: row.line)


def _is_in_line(row: BatchRow) -> bool:
    """Tell whether a row with a job stands before others: it is at work, or waits for what they would wait for too."""
    if row.next_attempt_at is None:
        return True
    return row.reason != ELSEWHERE and (row.reason or "").startswith(WAITS)


def _begin(batches: Batches, queue: Queue, batch: Batch, row: BatchRow) -> None:
    if row.state == states.ROW_QUEUED or not _is_quiet(row):
        queue.enqueue(_job(batch, row))  # the same once more changes nothing
    else:
        _begin_anew(batches, queue, batch, row)


def _revive(batches: Batches, queue: Queue, batch: Batch, rows: Sequence[BatchRow]) -> None:
    """Give another job to rows whose first one has ended without a trace: its id does nothing any more."""
    if not rows:
        return
    live = _live(queue, batch)
    for row in rows:
        if row.id not in live and batches.row(row.id) == row:
            _begin_anew(batches, queue, batch, row)


def _begin_anew(batches: Batches, queue: Queue, batch: Batch, row: BatchRow) -> None:
    if batches.touch(row):
        log.event("row without a job", row=row.id, batch=batch.id)
        queue.enqueue(replace(_job(batch, row), waits=int(time.time())))


def _hasten(batches: Batches, queue: Queue, batch: Batch, open_: Sequence[BatchRow]) -> None:
    """Start what waits for something that is over, and nothing else: what has failed waits for good reason."""
    reasons = {row.reason for row in open_}
    over = {PAUSED_BATCH}  # such as one that postponed itself in the moment in which a person let it go on
    if PAUSED in reasons and not Gates(batches.engine).get(batch.source).paused:
        over.add(PAUSED)
    behind: set[int] = set()
    if ELSEWHERE in reasons:
        over.add(ELSEWHERE)
        behind = batches.rows_behind_others(batch.id)
    due = {row.id for row in open_ if row.reason in over and not (row.reason == ELSEWHERE and row.id in behind)}
    if due:
        queue.hasten(rows_of(batch.id), lambda job: _row_of(job) in due)


def _is_quiet(row: BatchRow) -> bool:
    return row.updated_at < time.time() - QUIET_S


def _job(batch: Batch, row: BatchRow) -> Job:
    return Job(PULL, row.id, batch.id, row.run, row.attempt, batch.source, priority=batch.priority)


def _live(queue: Queue, batch: Batch) -> set[int]:
    return {_row_of(job) for job in queue.live(rows_of(batch.id))}


def _row_of(job: str) -> int:
    return int(job.split(":")[2])
