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
from ..confidentiality.pseudonyms import Pseudonyms
from ..confidentiality.rewrite import rewrite
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


@dataclass(frozen=True)
class Collect:
    """A chunk of source instances whose identifiers are wanted."""

    address: Address
    instances: tuple[str, ...]


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


def deidentify(chunk: Deidentify) -> Deidentified:
    """De-identify and store each instance; one that cannot be is named with its reason and the rest goes on."""
    orthanc = _orthanc(chunk.address)
    pseudonyms = _pseudonyms(chunk.subject.project_key)
    done = _each(lambda source: _deidentify_one(orthanc, pseudonyms, chunk.subject, source), chunk.sources)
    known = Identifiers()
    for _result, found in done:
        known |= found or Identifiers()
    read = [source.orthanc for source, (_, found) in zip(chunk.sources, done, strict=True) if found is not None]
    return Deidentified([result for result, _ in done], read, known)


def collect(chunk: Collect) -> Identifiers:
    """Return every identifier that stands in any of the instances."""
    orthanc = _orthanc(chunk.address)
    known = Identifiers()
    for part in _each(lambda instance: _collect_one(orthanc, instance), chunk.instances):
        known |= part
    return known


def search(chunk: Search) -> Counter[str]:
    """Count, by attribute and kind of identifier, the outputs in which something is left."""
    orthanc = _orthanc(chunk.address)
    found: Counter[str] = Counter()
    for findings in _each(lambda instance: _search_one(orthanc, instance, chunk.known), chunk.instances):
        found.update(findings)
    return found


def _collect_one(orthanc: Orthanc, instance: str) -> Identifiers:
    source = orthanc.file(instance)
    try:
        with _pass:
            return from_dataset(encode.decode(source))
    except Rejected:
        # Orthanc reads some files that pydicom does not; its own reading is slower, one request at a time.
        return from_tags(orthanc.tags(instance))


def _search_one(orthanc: Orthanc, instance: str, known: Identifiers) -> set[str]:
    output = orthanc.file(instance)
    with _pass:
        return {f"{finding.kind} in {finding.tag}" for finding in residual.search(output, known)}


def _deidentify_one(
    orthanc: Orthanc, pseudonyms: Pseudonyms, subject: Subject, source: Source
) -> tuple[Result, Identifiers | None]:
    found = None
    try:
        file = orthanc.file(source.orthanc)
        with _pass:
            original = encode.decode(file)
            found = from_dataset(original)
        output = orthanc.replace(_deidentified(orthanc, pseudonyms, subject, source, original))
    except NotFound:
        return (source.number, states.INSTANCE_QUARANTINED, None, "the instance is no longer in Orthanc"), found
    except Rejected as error:
        return (source.number, states.INSTANCE_QUARANTINED, None, str(error)), found
    return (source.number, states.INSTANCE_DEIDENTIFIED, output, None), found


def _deidentified(
    orthanc: Orthanc, pseudonyms: Pseudonyms, subject: Subject, source: Source, original: Dataset
) -> bytes:
    uids = {
        "study_uid": pseudonyms.uid(subject.study_uid),
        "series_uid": pseudonyms.uid(source.series_uid),
        "sop_uid": pseudonyms.uid(source.sop_uid),
    }
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
            already_mapped=frozenset(uids.values()),
            original=lambda: original,
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
