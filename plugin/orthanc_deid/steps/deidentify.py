"""deidentify: every instance through Orthanc's own /anonymize and then through our pass; the original is untouched."""

from collections import Counter

from .. import __version__, states
from ..confidentiality import method
from ..confidentiality.identifiers import Identifiers
from ..confidentiality.plan import plan
from ..confidentiality.profile import Profile
from ..confidentiality.pseudonyms import Pseudonyms
from ..confidentiality.rewrite import new_uid
from ..database.crosswalk import Mapped
from ..database.crosswalk_tables import INSTANCE, SERIES
from ..database.ledger import Instance, Study
from ..errors import NotFound, Rejected, Retriable
from ..pipeline import Job
from . import Resources, known, one_profile, subject
from .instances import Deidentify, Source, deidentify
from .subject import Subject

NOTES = 3  # kinds of notes that become events of the study
CHUNK = 16
CHUNK_S = 300.0  # one chunk may hold sixteen very large instances


def run(job: Job, resources: Resources) -> None:
    """De-identify what is not yet; note each instance as it is stored; refuse the study if one instance fails."""
    study = resources.ledger.guard(job.study, job.run)
    _renew_lost(study, job, resources)
    instances = resources.ledger.instances(job.study)
    waiting = [i for i in instances if i.state == states.INSTANCE_RECEIVED]
    made = [i for i in instances if i.state == states.INSTANCE_DEIDENTIFIED and i.version > study.verified_version]
    if not waiting and not made:
        return
    found = subject.find(study, resources)
    if found.output != study.output:
        raise Rejected("what the list says of the patient has changed since the study was begun: retry it")
    uids = _uids(study.source, resources)
    gone = [i for i in waiting if i.source not in uids]
    if gone:
        raise Rejected(f"{len(gone)} of {len(waiting)} instances are no longer in Orthanc")
    _demand_same_dates(study, [i for i in instances if i.version <= study.verified_version], found.profile, resources)
    instances = one_profile.follow(job, study, found.profile, uids, resources)
    waiting = [i for i in instances if i.state == states.INSTANCE_RECEIVED]
    made = [i for i in made if i.id not in {w.id for w in waiting}]
    kept = plan(found.profile).kept
    first = list({uids[i.source][0]: i.source for i in instances if i.source in uids}.values())
    base = known.of(job.study, first if len(waiting) == len(instances) else sorted(uids), kept, resources)
    if made and known.read(first, kept, resources).without("uids") != base.without("uids"):
        # An earlier try ended before it knew all.
        waiting += [i for i in made if i.source in uids]
    sources = [Source(i.id, i.source, *uids[i.source]) for i in waiting]
    _note(study, found, sources, resources)  # before anything is stored that only the crosswalk tells whose it is
    notes = _until_all_is_known(job, found, sources, base, resources)
    for what, count in notes.most_common(NOTES):
        resources.ledger.move(job.study, states.DEIDENTIFYING, run=job.run, reason=f"{what} ({count} times)")
    _refuse(job, found.profile, resources)


def _note(study: Study, found: Subject, sources: list[Source], resources: Resources) -> None:
    """Note in the crosswalk what series and instances are called."""
    uid = new_uid(found.profile, Pseudonyms(found.project_key))
    series = {source.series_uid for source in sources}
    mapped = [Mapped(SERIES, each, uid(each)) for each in sorted(series)]
    mapped += [Mapped(INSTANCE, source.sop_uid, uid(source.sop_uid)) for source in sources]
    resources.pseudonymizer.note(study.project, found.patient, mapped, subject.still(study, resources))


def _until_all_is_known(
    job: Job, found: Subject, sources: list[Source], base: Identifiers, resources: Resources
) -> Counter[str]:
    """De-identify with what `base` tells, that of one instance a series; again where the others told more.

    So each source is read once, as a rule, and no text is cleaned without the names that stand in any instance.
    """
    kept = plan(found.profile).kept
    while True:
        notes: Counter[str] = Counter()
        chunks = [Deidentify(resources.orthanc.address, found, part, base) for part in known.parts(sources, CHUNK)]
        for done in resources.processes.map(deidentify, chunks, CHUNK_S):
            known.remember(job.study, done.read, kept, done.identifiers)
            resources.ledger.mark_instances(job.study, job.run, done.results)
            notes += done.notes
        present = resources.orthanc.present(resources.ledger.get(job.study).source)
        full = known.of(job.study, [s.orthanc for s in sources if s.orthanc in present], kept, resources)
        if full.without("uids") == base.without("uids"):
            return notes
        again = [(source.number, states.INSTANCE_RECEIVED, None, None) for source in sources]
        resources.ledger.mark_instances(job.study, job.run, again)
        base = full


def _demand_same_dates(study: Study, verified: list[Instance], profile: Profile, resources: Resources) -> None:
    """Refuse to add real dates to shifted ones of the same study, or the other way: together they tell the shift."""
    here = resources.orthanc.present(study.output) if verified and study.output else set()
    stored = next((i.output for i in verified if i.output in here), None)
    if stored is None:
        return
    before = resources.orthanc.tags(stored).get("0028,0303", {}).get("Value")
    now = {tag: value for tag, _vr, value in method.attributes(profile, __version__)}[method.DATES_MODIFIED].decode()
    if before != now:
        raise Rejected(f"the profile leaves dates {now}, those of what is stored already are {before}")


def _refuse(job: Job, profile: Profile, resources: Resources) -> None:
    """Stop a study of which an instance was refused, unless the profile lets the others go on."""
    instances = resources.ledger.instances(job.study)
    refused = [i for i in instances if i.state == states.INSTANCE_QUARANTINED]
    if not refused:
        return
    reasons = sorted({i.reason or "" for i in refused})
    told = f"{len(refused)} of {len(instances)} instances cannot be de-identified: {reasons[0]}"
    if profile.refused == "study" or len(refused) == len(instances):
        raise Rejected(told)
    resources.ledger.move(job.study, states.DEIDENTIFYING, run=job.run, reason=told)


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
