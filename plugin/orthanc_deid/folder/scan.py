"""The first pass: reads the headers, says which study each file belongs to and what identifies that study."""

import signal
import warnings
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from pydicom import Dataset, dcmread

from ..confidentiality.identifiers import Identifiers, from_dataset
from ..confidentiality.pseudonyms import Patient
from ..errors import Rejected
from ..packed import unpack
from ..packed.kinds import HEAD, Kind, kind_of, with_preamble
from ..packed.unpack import Source
from .sources import NO_DICOM, Left, Why

WORDS = ("PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "IssuerOfPatientID")
_DICOMDIR = "1.2.840.10008.1.3.10"  # Media Storage Directory Storage


@dataclass(frozen=True)
class Scan:
    """A chunk of files to look at; `kept` are the attributes that the profile leaves as they are."""

    root: Path
    sources: tuple[Source, ...]
    kept: frozenset[int]


@dataclass(frozen=True, slots=True)
class Header:
    """Where an instance belongs, in the source's own ids; empty where it does not say."""

    source: Source
    PatientID: str
    StudyInstanceUID: str
    SeriesInstanceUID: str
    SOPInstanceUID: str
    IssuerOfPatientID: str = ""

    @property
    def patient(self) -> Patient:
        """Who it is about."""
        return Patient(self.IssuerOfPatientID, self.PatientID)


@dataclass(frozen=True)
class Scanned:
    """What a chunk holds; `known` by StudyInstanceUID."""

    headers: list[Header]
    left: list[Left]
    known: dict[str, Identifiers]


class _Directory(Exception):
    """The file is a DICOMDIR: nothing of it is needed, and its records identify everybody."""


def scan(chunk: Scan) -> Scanned:
    """Read the header of each file, without pixels."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches every process; the parent ends this one
    scanned = Scanned([], [], {})
    for source in chunk.sources:
        try:
            ds = _header(chunk.root, source)
            header, known = _looked_at(source, ds, chunk.kept)
        except Rejected as error:
            why = Why.NOT_DICOM if str(error) == NO_DICOM else Why.QUARANTINED
            scanned.left.append(Left(source.shown, str(error), why))
        except _Directory:
            scanned.left.append(Left(source.shown, "a DICOMDIR", Why.IGNORED))
        else:
            scanned.headers.append(header)
            study = header.StudyInstanceUID
            scanned.known[study] = scanned.known.get(study, Identifiers()) | known
    return scanned


def _header(root: Path, source: Source) -> Dataset:
    with unpack.opened(root, source) as stream:
        kind = kind_of(stream.read(HEAD))
        stream.seek(0)
        if kind is Kind.DICOM:
            return _parsed(stream)
    if kind is Kind.BARE:
        return _parsed(BytesIO(with_preamble(unpack.read(root, source))))
    if kind is Kind.ZIP:
        raise Rejected("a ZIP file inside a ZIP file: unpack it first")
    raise Rejected(NO_DICOM)


def _parsed(stream: BinaryIO) -> Dataset:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a library's warning may hold a value
            ds = dcmread(stream, stop_before_pixels=True)
    except Exception as error:  # noqa: BLE001  # pydicom raises many kinds for broken files, and says what it read
        raise Rejected(f"its header cannot be read ({type(error).__name__})") from None
    if str(ds.file_meta.get("MediaStorageSOPClassUID", "")) == _DICOMDIR:
        raise _Directory
    return ds


def read(root: Path, source: Source) -> Dataset:
    """Read the header of one file that was scanned; raise Rejected where it is not what it was."""
    try:
        return _header(root, source)
    except _Directory:
        raise Rejected("it was changed while it was read") from None


def _looked_at(source: Source, ds: Dataset, kept: frozenset[int]) -> tuple[Header, Identifiers]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ids = (_text(ds, word) for word in WORDS)
            return Header(source, *ids), from_dataset(ds, kept=kept)
    except Exception as error:  # noqa: BLE001  # as above: values are converted when they are looked at
        raise Rejected(f"its header cannot be read ({type(error).__name__})") from None


def _text(ds: Dataset, keyword: str) -> str:
    return str(ds.get(keyword) or "").strip("\x00 ")


def joined(parts: list[Scanned]) -> Scanned:
    """Put the chunks together, in the order of the paths."""
    whole = Scanned([], [], {})
    for part in parts:
        whole.headers.extend(part.headers)
        whole.left.extend(part.left)
        for study, known in part.known.items():
            whole.known[study] = whole.known.get(study, Identifiers()) | known
    whole.headers.sort(key=lambda header: header.source)
    return replace(whole, left=sorted(whole.left))
