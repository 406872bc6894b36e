"""Media of a study: DICOMDIR and its files under names of 8 characters, PS3.10 and PS3.12.

The records are those of pydicom. They are made from the header, in which what a record must have (PS3.3 F.5) is
filled first; the files themselves are those of the input, byte for byte. pydicom's FileSet is not used as a whole:
it encodes each file anew and its time grows with the square of their number.
"""

import os
import shutil
import warnings
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import cast

import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.fileset import FileSet
from pydicom.filewriter import write_dataset
from pydicom.uid import UID, ExplicitVRLittleEndian, MediaStorageDirectoryStorage, generate_uid

from ..errors import Rejected
from . import atomic
from .unreadable import UNREADABLE

# What is written into a directory record, and only there, where the instance has no value. The date is a dummy: a
# profile that keeps no dates leaves StudyDate empty, and the directory must have one.
_DUMMIES = {
    "PatientID": "NONE", "StudyDate": "19000101", "StudyTime": "000000", "StudyID": "NONE", "Modality": "OT",
    "ContentDate": "19000101", "ContentTime": "000000", "ContentLabel": "NONE", "CompletionFlag": "PARTIAL",
    "VerificationFlag": "UNVERIFIED", "PresentationCreationDate": "19000101", "PresentationCreationTime": "000000",
    "StructureSetLabel": "NONE", "DoseSummationType": "PLAN", "MIMETypeOfEncapsulatedDocument": "application/pdf",
    "InstanceCreationDate": "19000101",
}  # fmt: skip
_IF_PRESENT = ("RTPlanLabel",)  # its presence makes the record an RT PLAN
_NOT_EMPTY = (
    "ReferencedSeriesSequence", "BlendingSequence", "VerificationDateTime", "HL7InstanceIdentifier",
    "ReferencedImageEvidenceSequence", "ContentSequence",
)  # fmt: skip
_UNIQUE = ("SOPInstanceUID", "SOPClassUID", "SeriesInstanceUID", "StudyInstanceUID")
_ORDER = (*_UNIQUE, "SeriesNumber", "InstanceNumber")


_PREFIXES = {"PATIENT": "PT", "STUDY": "ST", "SERIES": "SE"}
_ITEM_BYTES = 8  # tag and length of an item, PS3.5 7.5


@dataclass(frozen=True)
class _Place:
    """Where an instance stands among the others."""

    path: Path
    number: int  # among the files given, from 1
    instance: str
    series_number: str  # used where the instance has none
    instance_number: str


@dataclass
class _Node:
    """A directory record and what is below it."""

    record: Dataset
    children: dict[str, "_Node"] = field(default_factory=dict)
    source: Path | None = None
    offset: int = 0  # bytes from the begin of the file

    def below(self) -> Iterator["_Node"]:
        """Walk from top to bottom, as the records are written."""
        for child in self.children.values():
            yield child
            yield from child.below()


def media(files: Sequence[Path], out: Path) -> Path:
    """Write the folder `out` with DICOMDIR and every file; whole or not at all.

    Raises
    ------
    Rejected
        A file cannot be listed; the reason gives its number among the files.
    """
    places = _places(files)
    with atomic.folder(out) as temporary, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom quotes values
        root = _Node(Dataset())
        for place in places:
            _add(root, place)
        for path, node in _named(root, ()):
            node.record.ReferencedFileID = list(path)
            _put(cast("Path", node.source), temporary.joinpath(*path))
        uid = generate_uid(entropy_srcs=sorted(place.instance for place in places))
        (temporary / "DICOMDIR").write_bytes(_directory(root, uid))
    return out


def _places(files: Sequence[Path]) -> list[_Place]:
    if not files:
        raise Rejected("there is no file to list in a DICOMDIR")
    headers = [_keys(path, number) for number, path in enumerate(files, 1)]
    seen: dict[str, int] = {}
    for number, header in enumerate(headers, 1):
        if header["SOPInstanceUID"] in seen:
            raise Rejected(f"files {seen[header['SOPInstanceUID']]} and {number} are the same instance")
        seen[header["SOPInstanceUID"]] = number
    order = sorted(range(len(files)), key=lambda at: (*_order(headers[at]), at))
    series: dict[str, list[str]] = defaultdict(list)  # of each study
    instances: dict[str, int] = defaultdict(int)  # of each series
    places = []
    for at in order:
        header = headers[at]
        study, one = header["StudyInstanceUID"], header["SeriesInstanceUID"]
        if instances[one] == 0:
            series[study].append(one)
        instances[one] += 1
        numbers = str(len(series[study])), str(instances[one])
        places.append(_Place(files[at], at + 1, header["SOPInstanceUID"], *numbers))
    return places


def _keys(path: Path, number: int) -> dict[str, str]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            ds = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=list(_ORDER))
            found = {keyword: str(ds.get(keyword) or "") for keyword in _ORDER}
        except UNREADABLE as error:
            raise Rejected(f"file {number} cannot be read ({type(error).__name__})") from None
    missing = [keyword for keyword in _UNIQUE if not found[keyword]]
    if missing:
        raise Rejected(f"file {number} has no {missing[0]}")
    return found


def _order(header: dict[str, str]) -> tuple[str, int, str, int, str]:
    """Sort by number, as every viewer does; what has none is last."""
    return (
        header["StudyInstanceUID"], _integer(header["SeriesNumber"]), header["SeriesInstanceUID"],
        _integer(header["InstanceNumber"]), header["SOPInstanceUID"],
    )  # fmt: skip


def _integer(text: str) -> int:
    return int(text) if text.lstrip("+-").isdecimal() else 2**31


def _add(root: _Node, place: _Place) -> None:
    try:
        header = pydicom.dcmread(place.path, stop_before_pixels=True)
        _complete(header, place)
        # It needs no FileSet, and one makes a temporary folder.
        records = list(FileSet._recordify(cast("FileSet", None), header))  # noqa: SLF001  # nothing public gives records
        node = root
        for record in records:
            _length(record)  # fails here, where the file is known
            node = node.children.setdefault(_key(record), _Node(record))
        node.source = place.path
    except UNREADABLE as error:
        raise Rejected(f"file {place.number} cannot be listed in a DICOMDIR ({type(error).__name__})") from None


def _key(record: Dataset) -> str:
    keyword = {"PATIENT": "PatientID", "STUDY": "StudyInstanceUID", "SERIES": "SeriesInstanceUID"}
    return str(record[keyword.get(record.DirectoryRecordType, "ReferencedSOPInstanceUIDInFile")].value)


def _named(node: _Node, folder: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], _Node]]:
    """Yield the names of folders and file of each instance."""
    for number, child in enumerate(node.children.values()):
        path = (*folder, f"{_PREFIXES.get(child.record.DirectoryRecordType, 'IM')}{number:06d}")
        if child.source:
            yield path, child
        yield from _named(child, path)


def _directory(root: _Node, uid: UID) -> bytes:
    """Encode the directory; each record tells where the next and the first below it begin."""
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.MediaStorageSOPClassUID = MediaStorageDirectoryStorage
    ds.file_meta.MediaStorageSOPInstanceUID = uid
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.FileSetID, ds.FileSetConsistencyFlag, ds.DirectoryRecordSequence = "", 0, []
    ds.OffsetOfTheFirstDirectoryRecordOfTheRootDirectoryEntity = 0
    ds.OffsetOfTheLastDirectoryRecordOfTheRootDirectoryEntity = 0
    offset = len(_encoded(ds))  # the sequence is the last element: this is where its first item begins
    for node in root.below():
        node.offset = offset
        offset += _ITEM_BYTES + _length(node.record)
    first = list(root.children.values())
    ds.OffsetOfTheFirstDirectoryRecordOfTheRootDirectoryEntity = first[0].offset
    ds.OffsetOfTheLastDirectoryRecordOfTheRootDirectoryEntity = first[-1].offset
    for node in (root, *root.below()):
        children = list(node.children.values())
        if children and node is not root:
            node.record.OffsetOfReferencedLowerLevelDirectoryEntity = children[0].offset
        for one, following in pairwise(children):
            one.record.OffsetOfTheNextDirectoryRecord = following.offset
    ds.DirectoryRecordSequence = [node.record for node in root.below()]
    return _encoded(ds)


def _encoded(ds: Dataset) -> bytes:
    buffer = BytesIO()
    pydicom.dcmwrite(buffer, ds, enforce_file_format=True)
    return buffer.getvalue()


def _length(record: Dataset) -> int:
    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = True, False
    return write_dataset(buffer, record)


def _complete(header: Dataset, place: _Place) -> None:
    """Give the header what its directory records must have; in place."""
    numbers = {"SeriesNumber": place.series_number, "InstanceNumber": place.instance_number}
    for keyword, dummy in {**_DUMMIES, **numbers}.items():
        if not _has(header, keyword):
            setattr(header, keyword, dummy)
    for keyword in _IF_PRESENT:
        if keyword in header and not _has(header, keyword):
            setattr(header, keyword, "NONE")
    if "ContentSequence" in header:  # PS3.3 F.5.14: only what modifies the title
        items = [item for item in header.ContentSequence if item.get("RelationshipType") == "HAS CONCEPT MOD"]
        header.ContentSequence = items
    if header.VerificationFlag == "VERIFIED" and not _has(header, "VerificationDateTime"):
        header.VerificationDateTime = _verified(header)
    for keyword in _NOT_EMPTY:
        if keyword in header and not _has(header, keyword):
            delattr(header, keyword)
    if "EncapsulatedDocument" in header:
        header.EncapsulatedDocument = b"\0\0"  # the directory asks only whether there is one


def _has(header: Dataset, keyword: str) -> bool:
    if keyword not in header:
        return False
    element = header[keyword]
    return bool(element.value) if element.VR == "SQ" else element.VM > 0


def _verified(header: Dataset) -> str:
    """Return when the document was verified last, which the document says in an item."""
    observers = header.get("VerifyingObserverSequence") or []
    return max((str(item.get("VerificationDateTime") or "") for item in observers), default="") or "19000101000000"


def _put(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:  # another file system
        shutil.copyfile(source, target)
