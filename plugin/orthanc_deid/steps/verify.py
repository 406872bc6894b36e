"""verify: search the stored output for the study's own identifiers; nothing leaves before this has passed."""

from collections import Counter

from .. import states
from ..confidentiality.identifiers import Identifiers
from ..confidentiality.plan import plan
from ..database.ledger import Instance, Study
from ..errors import Rejected
from ..pipeline import Job
from ..results import cache
from . import Resources, subject
from . import known as identifiers
from .instances import Search, search

CHUNK = 32
CHUNK_S = 300.0


def run(job: Job, resources: Resources) -> None:
    """Search every output that was not searched yet; a hit removes these outputs and quarantines the study."""
    study = resources.ledger.guard(job.study, job.run)
    resources.ledger.move(job.study, states.VERIFYING, run=job.run)
    instances = resources.ledger.instances(job.study)
    profile = subject.profile(study, resources)
    new = [i for i in instances if i.version > study.verified_version]
    if profile.refused == "instance":
        new = [i for i in new if i.state != states.INSTANCE_QUARANTINED]
    outputs = [i.output for i in new if i.state == states.INSTANCE_DEIDENTIFIED and i.output]
    if len(outputs) != len(new):
        raise Rejected(f"{len(outputs)} of {len(new)} instances are de-identified")
    if len(set(outputs)) != len(outputs):
        raise Rejected("two instances have the same output")
    present = resources.orthanc.present(study.source)
    gone = [(i.id, i.output) for i in new if i.source not in present]
    if gone:
        _withdraw(job, resources, gone)
        raise Rejected(f"{len(gone)} of {len(new)} instances were deleted before their outputs were verified")
    here = [i.source for i in instances if i.source in present]
    known = identifiers.of(job.study, here, plan(profile).kept, resources)
    found = _found(outputs, known, job, resources)
    if found:
        _withdraw(job, resources, [(i.id, i.output) for i in new])
        what, count = Counter(kind for kinds in found.values() for kind in kinds).most_common(1)[0]
        raise Rejected(f"identity left in {count} of {len(outputs)} instances: {what}")
    earlier = [i for i in instances if i.version <= study.verified_version and i.source in present]
    _search_earlier(job, study, earlier, known, resources)
    searched = {*outputs}
    kept = [i.output for i in instances if i.output and (i.version <= study.verified_version or i.output in searched)]
    _index_anew(study.output or "", kept, resources)
    resources.ledger.set_verified(job.study, job.run, study.version)


def _found(outputs: list[str], known: Identifiers, job: Job, resources: Resources) -> dict[str, set[str]]:
    """Search outputs; answer those in which something is left, with its kinds and attributes."""
    found: dict[str, set[str]] = {}
    chunks = [Search(resources.orthanc.address, part, known) for part in identifiers.parts(outputs, CHUNK)]
    for hits in resources.processes.map(search, chunks, CHUNK_S):
        resources.ledger.guard(job.study, job.run)
        found |= hits
    return found


def _search_earlier(job: Job, study: Study, earlier: list[Instance], known: Identifiers, resources: Resources) -> None:
    """Search what was verified before for what late instances tell; after a hit all is made and sent again.

    Raises
    ------
    Rejected
        Something was found: only a person may delete what a destination holds already.
    """
    here = resources.orthanc.present(study.output) if earlier and study.output else set()
    found = _found([i.output for i in earlier if i.output in here], known, job, resources)
    if not found:
        return
    for output in found:
        resources.orthanc.delete("instances", output)
    for entry in cache.entries(resources.converters.folder):
        if entry.study == job.study:  # made of them
            cache.remove(entry)
    resources.ledger.supersede(job.study, job.run, earlier)  # all, for a person deletes a study as a whole
    raise Rejected(
        f"late instances tell what is left in {len(found)} that were verified before: where a destination holds the"
        " study delete it there, then retry"
    )


def _index_anew(output: str, clean: list[str], resources: Resources) -> None:
    """Have Orthanc read the main attributes of patient, study and series anew, from the instances that came first.

    It keeps those of the first file that it stored, also where that was made again with more to be cleaned away; names
    of files and labels are made from them, and other systems query them.
    """
    place = {instance: at for at, instance in enumerate(clean)}
    series = [[i for i in each["Instances"] if i in place] for each in resources.orthanc.series(output)]
    firsts = [min(held, key=place.__getitem__) for held in series if held]
    for instance in sorted(firsts, key=place.__getitem__, reverse=True):  # the last one decides for the study
        resources.orthanc.call("POST", f"/instances/{instance}/reconstruct", b"{}")


def _withdraw(job: Job, resources: Resources, outputs: list[tuple[int, str | None]]) -> None:
    """Delete outputs that hold an identity: something that looks de-identified and is not must not stay."""
    for _number, output in outputs:
        if output:
            resources.orthanc.delete("instances", output)
    results = [(number, states.INSTANCE_RECEIVED, None, None) for number, _output in outputs]
    resources.ledger.mark_instances(job.study, job.run, results)
