"""account: what has arrived of a row, instance by instance; what has not is requested again, and then told."""

import time
from collections import Counter
from dataclasses import replace

from .. import states
from ..database.batches import Batch, RowStudy
from ..errors import Postponed, Retriable
from ..pacs.base import Archive
from ..pipeline import Job
from ..steps import Resources
from . import further, present, question
from .archive import connected, settings_of

LOOK_S = 1.0
ELSEWHERE = "waits: another row fetches the same study"
ELSEWHERE_S, ELSEWHERE_MOST_S = 5.0, 600.0  # between two looks; the service hastens them when the other row has ended
TAKEN_OVER = "waits: more studies are to be fetched by this row"
# Where the studies of one row ended differently the first of these is told.
ORDER = (
    states.ROW_PARTIAL, states.ROW_REFUSED, states.ROW_DELIVERED, states.ROW_SKIPPED, states.ROW_DUPLICATE,
)  # fmt: skip


def run(job: Job, resources: Resources) -> None:
    """Count each study that was requested; end the row, or have what is missing requested once more.

    Raises
    ------
    Retriable
        Instances are missing, and the archive is asked again.
    Postponed
        Another row fetches a study of this one; or it has ended without that, and this row is to do it.
    """
    row = resources.batches.guard(job.study, job.run)
    batch = resources.batches.get(row.batch_id)
    settings = settings_of(resources.settings.configuration, batch)
    archive = connected(job, settings, resources)
    missing = 0
    for study in resources.batches.studies(row.id):
        if study.state == states.ROW_WORKING:
            missing += _count(study, job, batch, archive, settings.arrive_s, resources)
    requests = row.requests + 1
    if missing and requests < settings.attempts:
        resources.batches.move(row.id, job.run, states.ROW_WORKING, requests=requests)
        raise Retriable(f"{missing} instances have not arrived: they are requested again")
    _close(job, resources)
    _demand_nobodys_left(job, batch, archive, resources)
    _end(job, batch, resources, requests)


def _count(  # noqa: PLR0913  # what counting needs
    study: RowStudy, job: Job, batch: Batch, archive: Archive, arrive_s: float, resources: Resources
) -> int:
    """Wait while instances arrive, and note what did; answer how many are missing (at least)."""
    found = question.found(resources.seal, study)
    if batch.target:
        resources.batches.note_study(
            job.study, job.run, study.id, states.ROW_DELIVERED, arrived=0, expected=study.expected
        )
        return 0
    compared = present.compare(found, study.expected, archive, resources)
    quiet_since = time.monotonic()
    # Where the archive does not say how many there are the quiet time decides.
    while not compared.is_whole and time.monotonic() - quiet_since < arrive_s:
        resources.batches.guard(job.study, job.run)
        time.sleep(LOOK_S)
        before = compared.here.count
        compared = replace(compared, here=present.look(found, compared.instances, resources))
        if compared.here.count != before:
            quiet_since = time.monotonic()
    left = [i.sop_uid for i in compared.missing]
    short = max((compared.expected or 1) - compared.arrived, 0) if compared.instances is None else len(left)
    resources.batches.note_study(
        job.study, job.run, study.id, states.ROW_WORKING if short else states.ROW_DELIVERED, arrived=compared.arrived,
        expected=compared.expected, missing=resources.seal.close(left) if left else None,
        orthanc=compared.here.orthanc,
    )  # fmt: skip
    return short


def _close(job: Job, resources: Resources) -> None:
    """Call partial what is still open."""
    for study in resources.batches.studies(job.study):
        if study.state == states.ROW_WORKING:
            resources.batches.note_study(
                job.study, job.run, study.id, states.ROW_PARTIAL, arrived=study.arrived, expected=study.expected,
                missing=study.missing, orthanc=study.orthanc,
            )  # fmt: skip


def _demand_nobodys_left(job: Job, batch: Batch, archive: Archive, resources: Resources) -> None:
    """Wait for the rows that fetch duplicates of this one; have this row fetch what they have not.

    The studies of this row have ended by now, so that two rows never wait for each other.
    """
    taken = False
    for study in resources.batches.studies(job.study):
        if study.state != states.ROW_DUPLICATE or study.arrived:
            continue
        if not batch.target and _is_here(study, job, batch, archive, resources):
            continue
        if resources.batches.is_fetched_by_another(study, batch.target):
            raise Postponed(ELSEWHERE, min(ELSEWHERE_S * 2.0**job.waits, ELSEWHERE_MOST_S))
        taken = resources.batches.take_over(job.study, job.run, study.id) == states.ROW_QUEUED or taken
    if taken:
        resources.batches.move(job.study, job.run, states.ROW_WORKING, requests=0)
        raise Postponed(TAKEN_OVER, 0.0)


def _is_here(study: RowStudy, job: Job, batch: Batch, archive: Archive, resources: Resources) -> bool:
    """Tell whether what another row has fetched is here as a whole, and note so, and which project this row names."""
    found = question.found(resources.seal, study)
    compared = present.compare(found, study.expected, archive, resources)
    here = compared.here
    if not here.count or not compared.is_whole:
        return False
    row = resources.batches.row(job.study)
    further.note_further(found, further.origin_of(batch, row, found, resources), here.orthanc, resources)
    resources.batches.note_study(
        job.study, job.run, study.id, states.ROW_DUPLICATE, arrived=here.count, expected=compared.expected,
        orthanc=here.orthanc,
    )  # fmt: skip
    return True


def _end(job: Job, batch: Batch, resources: Resources, requests: int) -> None:
    """End the row in the state of its studies."""
    studies = resources.batches.studies(job.study)
    held = {study.state for study in studies}
    state = next(each for each in ORDER if each in held)
    resources.batches.move(job.study, job.run, state, reason=_told(batch, studies), requests=requests)


def _told(batch: Batch, studies: list[RowStudy]) -> str:
    """Say in counts what came of the studies of a row."""
    parts = []
    fetched = [s for s in studies if s.state in (states.ROW_DELIVERED, states.ROW_PARTIAL)]
    if fetched and batch.target:
        parts.append("moved: what arrives there is not counted here")
    elif fetched:
        arrived, expected = sum(s.arrived for s in fetched), [s.expected for s in fetched]
        known = all(count is not None for count in expected)
        of = f"of {sum(count or 0 for count in expected)} " if known else ""
        parts.append(f"{arrived} {of}instances" + ("" if known else "; the archive does not say how many there are"))
    if any(s.state == states.ROW_PARTIAL for s in fetched):
        parts.append("the rest was not sent, or was refused at the door")
    counts = Counter(s.state for s in studies)
    if counts[states.ROW_DUPLICATE]:
        parts.append(f"{counts[states.ROW_DUPLICATE]} of {len(studies)} here already or being fetched by another row")
    if counts[states.ROW_SKIPPED]:
        parts.append(f"{counts[states.ROW_SKIPPED]} beyond the most studies that were asked for")
    return "; ".join(parts)
