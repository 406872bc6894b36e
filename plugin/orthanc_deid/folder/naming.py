"""What the patients of a folder are called: asked once for each study, before anything is written."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from itertools import groupby
from pathlib import Path

from pydicom import Dataset

from ..confidentiality.pseudonyms import Patient, normal
from ..errors import Rejected
from .scan import Header, read
from .sources import Left, Why

SHARED = "the pseudonym is given to another patient of this folder too: each patient needs one of his own"
DIFFERENT = "the source of pseudonyms gives the patient another one in another study: correct it"
CHANGED = "it was changed while it was read"

Answer = Patient | str  # with what he is called, or why he is called nothing


# Answers for one study: by its patient, and by the header of its first file where that is needed.
Namer = Callable[[Patient, Callable[[], Dataset]], Answer]


@dataclass(frozen=True, repr=False)
class Named:
    """The patients of a folder: with what they are called, or why they are not; by `Patient.normal`."""

    called: Mapping[str, Patient]
    refused: Mapping[str, str]

    def of(self, headers: Sequence[Header]) -> list[Patient]:
        """Return the patients of some files, each once, in a fixed order."""
        return [self.called[key] for key in sorted({header.patient.normal for header in headers})]

    def split(self, headers: Sequence[Header]) -> tuple[list[Header], list[Left]]:
        """Part the files that have a pseudonym from those that have none."""
        good = [header for header in headers if header.patient.normal in self.called]
        left = [
            Left(header.source.shown, self.refused[header.patient.normal], Why.QUARANTINED)
            for header in headers
            if header.patient.normal not in self.called
        ]
        return good, left


def name(root: Path, headers: Sequence[Header], namer: Namer) -> Named:
    """Ask what everybody is called; who has no PatientID is passed on, and refused with his file."""
    nameless = {header.patient.normal: header.patient for header in headers if not header.PatientID}
    found: dict[str, Answer] = {}
    for header in _firsts([header for header in headers if header.PatientID]):
        _add(found, header.patient.normal, _answer(root, header, namer))
    shared = _shared(found)
    refused = {key: answer if isinstance(answer, str) else SHARED for key, answer in found.items() if key in shared}
    called = {key: answer for key, answer in found.items() if isinstance(answer, Patient) and key not in shared}
    return Named(called | nameless, refused)


def called(of: Mapping[str, Patient], patient: Patient) -> Patient:
    """Return a patient with what he is called; raise Rejected for one that nobody has asked for."""
    if patient.normal not in of:
        raise Rejected(CHANGED)
    return of[patient.normal]


def _answer(root: Path, header: Header, namer: Namer) -> Answer:
    try:
        return namer(header.patient, cache(partial(read, root, header.source)))
    except Rejected as error:  # the file was changed, or taken away
        return str(error)


def _firsts(headers: Sequence[Header]) -> Iterator[Header]:
    """Yield the first file of each patient's studies."""

    def study(header: Header) -> tuple[str, str]:
        return header.patient.normal, header.StudyInstanceUID

    for _study, group in groupby(sorted(headers, key=lambda header: (*study(header), header.source)), study):
        yield next(group)


def _add(found: dict[str, Answer], key: str, answer: Answer) -> None:
    """Note an answer; of two studies of one patient both must be named, and the same."""
    before = found.get(key)
    if before is None or (isinstance(before, Patient) and isinstance(answer, str)):
        found[key] = answer
    elif isinstance(before, Patient) and isinstance(answer, Patient) and _told(before) != _told(answer):
        found[key] = DIFFERENT


def _shared(found: Mapping[str, Answer]) -> set[str]:
    """Return who cannot be named: no answer, or another patient's pseudonym."""
    owners: dict[str, list[str]] = {}
    for key, answer in found.items():
        if isinstance(answer, Patient):
            owners.setdefault(normal(answer.assigned), []).append(key)
    alone = {keys[0] for keys in owners.values() if len(keys) == 1}
    return found.keys() - alone


def _told(patient: Patient) -> tuple[str, int | None]:
    return normal(patient.assigned), patient.offset_days
