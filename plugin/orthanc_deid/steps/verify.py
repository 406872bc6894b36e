"""verify: search the stored output for the study's own identifiers; nothing leaves before this has passed."""

import threading
from collections import Counter, OrderedDict

from .. import states
from ..confidentiality.identifiers import Identifiers
from ..errors import NotFound, Rejected
from ..pipeline import Job
from . import Resources
from .instances import Collect, Search, collect, search

CHUNK = 32
CHUNK_S = 600.0


def run(job: Job, resources: Resources) -> None:
    """Search every output that was not searched yet; a hit removes these outputs and quarantines the study."""
    study = resources.ledger.guard(job.study, job.run)
    resources.ledger.move(job.study, states.VERIFYING, run=job.run)
    instances = resources.ledger.instances(job.study)
    new = [i for i in instances if i.version > study.verified_version]
    outputs = [i.output for i in new if i.state == states.INSTANCE_DEIDENTIFIED and i.output]
    if len(outputs) != len(new):
        raise Rejected(f"{len(outputs)} of {len(new)} instances are de-identified")
    if len(set(outputs)) != len(outputs):
        raise Rejected("two instances have the same output")
    present = _present(study.source, resources)
    gone = [(i.id, i.output) for i in new if i.source not in present]
    if gone:
        _withdraw(job, resources, gone)
        raise Rejected(f"{len(gone)} of {len(new)} instances were deleted before their outputs were verified")
    known = _known(job, [i.source for i in instances if i.source in present], resources)
    found: Counter[str] = Counter()
    chunks = [Search(resources.orthanc.address, part, known) for part in _parts(outputs)]
    for hits in resources.processes.map(search, chunks, CHUNK_S):
        resources.ledger.guard(job.study, job.run)
        found += hits
    if found:
        _withdraw(job, resources, [(i.id, i.output) for i in new])
        what, count = found.most_common(1)[0]
        raise Rejected(f"identity left in {count} of {len(outputs)} instances: {what}")
    resources.ledger.set_verified(job.study, job.run, study.version)


def _present(source: str, resources: Resources) -> set[str]:
    try:
        return set(resources.orthanc.instance_ids(source))
    except NotFound:
        return set()


def _withdraw(job: Job, resources: Resources, outputs: list[tuple[int, str | None]]) -> None:
    """Delete outputs that hold an identity: something that looks de-identified and is not must not stay."""
    for _number, output in outputs:
        if output:
            resources.orthanc.delete("instances", output)
    results = [(number, states.INSTANCE_RECEIVED, None, None) for number, _output in outputs]
    resources.ledger.mark_instances(job.study, job.run, results)


# Identifiers stay in memory only; after a restart they are read again.
_cache: OrderedDict[tuple[int, int], Identifiers] = OrderedDict()
_cache_lock = threading.Lock()
CACHED_STUDIES = 8


def _known(job: Job, sources: list[str], resources: Resources) -> Identifiers:
    key = (job.study, job.version)
    with _cache_lock:
        if key in _cache:
            return _cache[key]
    known = Identifiers()
    chunks = [Collect(resources.orthanc.address, part) for part in _parts(sources)]
    for part in resources.processes.map(collect, chunks, CHUNK_S):
        known |= part
    with _cache_lock:
        _cache[key] = known
        while len(_cache) > CACHED_STUDIES:
            _cache.popitem(last=False)
    return known


def _parts(items: list[str]) -> list[tuple[str, ...]]:
    return [tuple(items[k : k + CHUNK]) for k in range(0, len(items), CHUNK)]
