"""What the child processes of a worker do with chunks of instances: collect identifiers, de-identify, search."""

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

from pydicom import Dataset

from .. import __version__, states
from ..confidentiality import encode, native, residual
from ..confidentiality.identifiers import Identifiers, from_dataset, from_tags
from ..confidentiality.plan import plan
from ..confidentiality.pseudonyms import Pseudonyms
from ..confidentiality.rewrite import new_uid, rewrite
from ..errors import NotFound, Rejected
from ..orthanc_rest import Address, Orthanc
from .subject import Subject

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")


@dataclass(frozen=True)
class Source:
    """One identified instance: our number, its Orthanc id and its UIDs."""

    number: int
    orthanc: str
    series_uid: str
    sop_uid: str


@dataclass(frozen=True)
class Deidentify:
    """A chunk to de-identify."""

    address: Address
    subject: Subject
    sources: tuple[Source, ...]
    known: Identifiers  # of the study, as far as it was read


@dataclass(frozen=True)
class Collect:
    """A chunk of source instances whose identifiers are wanted, but for those in attributes that stay."""

    address: Address
    instances: tuple[str, ...]
    kept: frozenset[int]


@dataclass(frozen=True)
class Search:
    """A chunk of outputs to search for what must not be there."""

    address: Address
    instances: tuple[str, ...]
    known: Identifiers


Result = tuple[int, str, str | None, str | None]  # instance number, state, output, reason


@dataclass(frozen=True)
class Deidentified:
    """What became of a chunk, and the identifiers that stood in those of its sources that could be read."""

    results: list[Result]
    read: list[str]
    identifiers: Identifiers
    notes: Counter[str]


def deidentify(chunk: Deidentify) -> Deidentified:
    """De-identify and store each instance; one that cannot be is named with its reason and the rest goes on."""
    orthanc = _orthanc(chunk.address)
    notes: Counter[str] = Counter()
    done = _each(lambda source: _deidentify_one(orthanc, chunk, source, notes), chunk.sources)
    known = Identifiers()
    for _result, found in done:
        known |= found or Identifiers()
    read = [source.orthanc for source, (_, found) in zip(chunk.sources, done, strict=True) if found is not None]
    return Deidentified([result for result, _ in done], read, known, notes)


def collect(chunk: Collect) -> Identifiers:
    """Return every identifier that stands in any of the instances."""
    orthanc = _orthanc(chunk.address)
    known = Identifiers()
    for part in _each(lambda instance: _collect_one(orthanc, instance, chunk.kept), chunk.instances):
        known |= part
    return known


def search(chunk: Search) -> dict[str, set[str]]:
    """Answer the outputs in which something is left, with attributes and kinds of identifier."""
    orthanc = _orthanc(chunk.address)
    found = _each(lambda instance: _search_one(orthanc, instance, chunk.known), chunk.instances)
    return {instance: findings for instance, findings in zip(chunk.instances, found, strict=True) if findings}


def _collect_one(orthanc: Orthanc, instance: str, kept: frozenset[int]) -> Identifiers:
    source = orthanc.file(instance)
    try:
        with _pass:
            return from_dataset(encode.decode(source), kept=kept)
    except Rejected:
        # Orthanc reads some files that pydicom does not; its own reading is slower, one request at a time.
        return from_tags(orthanc.tags(instance), kept=kept)


def _search_one(orthanc: Orthanc, instance: str, known: Identifiers) -> set[str]:
    output = orthanc.file(instance)
    with _pass:
        return {f"{finding.kind} in {finding.tag}" for finding in residual.search(output, known)}


def _deidentify_one(
    orthanc: Orthanc, chunk: Deidentify, source: Source, notes: Counter[str]
) -> tuple[Result, Identifiers | None]:
    found = None
    try:
        file = orthanc.file(source.orthanc)
        with _pass:
            original = encode.decode(file)
            found = from_dataset(original, kept=plan(chunk.subject.profile).kept)
        output = orthanc.replace(_deidentified(orthanc, chunk, source, original, chunk.known | found, notes))
    except NotFound:
        return (source.number, states.INSTANCE_QUARANTINED, None, "the instance is no longer in Orthanc"), found
    except Rejected as error:
        return (source.number, states.INSTANCE_QUARANTINED, None, str(error)), found
    return (source.number, states.INSTANCE_DEIDENTIFIED, output, None), found


def _deidentified(  # noqa: PLR0913  # where from, what, and what is known
    orthanc: Orthanc, chunk: Deidentify, source: Source, original: Dataset, known: Identifiers, notes: Counter[str]
) -> bytes:
    subject, pseudonyms = chunk.subject, _pseudonyms(chunk.subject.project_key)
    uid = new_uid(subject.profile, pseudonyms)
    uids = {"study_uid": uid(subject.study_uid), "series_uid": uid(source.series_uid), "sop_uid": uid(source.sop_uid)}
    payload = native.payload(
        subject.profile,
        patient_id=pseudonyms.patient_id(subject.patient),
        patient_name=pseudonyms.patient_name(subject.patient),
        **uids,
    )
    anonymized = orthanc.anonymized(source.orthanc, payload)
    with _pass:
        ds = rewrite(
            native.with_pixels(encode.decode(anonymized), original),
            subject.profile,
            pseudonyms,
            subject.patient,
            version=__version__,
            known=known,
            already_mapped=frozenset(uids.values()),
            original=lambda: original,
            notes=notes,
        )
        return encode.encode(ds)


# While one thread of a child waits for Orthanc the other works; the pass itself silences warnings process-wide.
REQUESTS_AT_ONCE = 2
_threads = ThreadPoolExecutor(REQUESTS_AT_ONCE)
_pass = threading.Lock()


def _each(function: Callable[[ItemT], ResultT], items: Sequence[ItemT]) -> list[ResultT]:
    return list(_threads.map(function, items))


@lru_cache(maxsize=4)
def _orthanc(address: Address) -> Orthanc:
    return Orthanc(address)


@lru_cache(maxsize=64)
def _pseudonyms(key: bytes) -> Pseudonyms:
    return Pseudonyms(key)
