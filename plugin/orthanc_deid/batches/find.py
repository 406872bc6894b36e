"""find: ask the archive which studies a row names; what another row fetches already is a duplicate."""

from .. import states
from ..errors import Stale
from ..pipeline import Job
from ..steps import Resources, pace
from . import question
from .archive import connected, settings_of


def run(job: Job, resources: Resources) -> None:
    """Note what the archive answers; a row that names nothing ends here."""
    row = resources.batches.guard(job.study, job.run)
    batch = resources.batches.get(row.batch_id)
    settings = settings_of(resources.settings.configuration, batch)
    pace.demand_open(settings, resources.gates)
    resources.batches.move(row.id, job.run, states.ROW_WORKING, attempt=job.attempt)
    if resources.batches.studies(row.id):
        return  # asked before this worker was ended
    found = connected(job, batch, resources).find(question.question(resources.seal, row).wanted)
    if not found:
        resources.batches.move(row.id, job.run, states.ROW_NOT_FOUND, reason="the archive has no study of this kind")
        raise Stale("the row has ended")
    studies = [question.close_found(resources.seal, each) for each in found]
    claimed = resources.batches.claim(row.id, job.run, studies)
    if not batch.retrieves:
        told = [each.expected for each in claimed if each.expected is not None]
        counted = f", {sum(told)} instances" if told else ""
        what = "series" if found[0].series_uid else "studies"
        resources.batches.move(row.id, job.run, states.ROW_FOUND, reason=f"{len(claimed)} {what}{counted}")
        raise Stale("the row has ended")
