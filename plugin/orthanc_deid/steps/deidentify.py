"""deidentify: every instance through Orthanc's own /anonymize and then through our pass; the original is untouched."""

from .. import states
from ..database.ledger import Study
from ..errors import NotFound, Rejected, Retriable
from ..pipeline import Job
from . import Resources, known, subject
from .instances import Deidentify, Source, deidentify

CHUNK = 16
CHUNK_S = 300.0  # one chunk may hold sixteen very large instances


def run(job: Job, resources: Resources) -> None:
    """De-identify what is not yet; note each instance as it is stored; refuse the study if one instance fails."""
    study = resources.ledger.guard(job.study, job.run)
    _renew_lost(study, job, resources)
    waiting = resources.ledger.instances(job.study, state=states.INSTANCE_RECEIVED)
    if not waiting:
        return
    found = subject.find(study, resources)
    uids = _uids(study.source, resources)
    gone = [i for i in waiting if i.source not in uids]
    if gone:
        raise Rejected(f"{len(gone)} of {len(waiting)} instances are no longer in Orthanc")
    sources = [Source(i.id, i.source, *uids[i.source]) for i in waiting]
    chunks = [Deidentify(resources.orthanc.address, found, part) for part in known.parts(sources, CHUNK)]
    for done in resources.processes.map(deidentify, chunks, CHUNK_S):
        known.remember(job.study, done.read, done.identifiers)
        resources.ledger.mark_instances(job.study, job.run, done.results)
    refused = resources.ledger.instances(job.study, state=states.INSTANCE_QUARANTINED)
    if refused:
        reasons = sorted({i.reason or "" for i in refused})
        raise Rejected(f"{len(refused)} of {len(waiting)} instances cannot be de-identified: {reasons[0]}")


def _renew_lost(study: Study, job: Job, resources: Resources) -> None:
    """Have outputs made again that are still to be verified or sent and that somebody has deleted."""
    open_ = [d.confirmed_version for d in resources.deliveries.of(study.id) if d.confirmed_version < d.version]
    least = min([study.verified_version, *open_])
    stored = resources.ledger.instances(study.id, state=states.INSTANCE_DEIDENTIFIED)
    needed = [i for i in stored if i.version > least]
    if not needed or not study.output:
        return
    present = resources.orthanc.present(study.output)
    resources.ledger.renew(study.id, job.run, [i for i in needed if i.output not in present])


def _uids(source: str, resources: Resources) -> dict[str, tuple[str, str]]:
    """Map the Orthanc id of each instance to its SeriesInstanceUID and SOPInstanceUID."""
    try:
        series_uids = {s["ID"]: s["MainDicomTags"]["SeriesInstanceUID"] for s in resources.orthanc.series(source)}
        return {
            i["ID"]: (series_uids[i["ParentSeries"]], i["MainDicomTags"]["SOPInstanceUID"])
            for i in resources.orthanc.instances(source)
        }
    except NotFound:
        raise Rejected("the source study is no longer in Orthanc") from None
    except KeyError:
        raise Retriable("a series arrived at this moment") from None
