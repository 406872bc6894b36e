"""find: ask the archive which studies a row names; what another row fetches already is a duplicate."""

from .. import states
from ..confidentiality.pseudonyms import normal
from ..errors import Rejected, Stale
from ..pacs.base import Found
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
    asked = question.question(resources.seal, row)
    found = connected(job, settings, resources).find(asked.wanted)
    if not found:
        resources.batches.move(row.id, job.run, states.ROW_NOT_FOUND, reason="the archive has no study of this kind")
        raise Stale("the row has ended")
    if asked.pseudonym:
        _demand_one_patient(found)
    studies = [question.close_found(resources.seal, each) for each in found]
    claimed = resources.batches.claim(row.id, job.run, studies)
    if not batch.retrieves:
        told = [each.expected for each in claimed if each.expected is not None]
        counted = f", {sum(told)} instances" if told else ""
        what = "series" if found[0].series_uid else "studies"
        resources.batches.move(row.id, job.run, states.ROW_FOUND, reason=f"{len(claimed)} {what}{counted}")
        raise Stale("the row has ended")


def _demand_one_patient(found: list[Found]) -> None:
    """Refuse a row with a pseudonym where what matches is not of one patient, as far as the archive tells."""
    patients = {normal(each.patient_id) for each in found}
    if len(patients) > 1:
        raise Rejected(f"what matches is of {len(patients)} patients, and the line gives one pseudonym")
