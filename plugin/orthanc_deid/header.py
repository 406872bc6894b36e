"""The few attributes of an instance that the door decides by, read without loading numpy into Orthanc."""

import struct
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import Any

# What pydicom imports where it finds it; none is needed to read a header.
UNWANTED = ("numpy", "requests", "PIL", "gdcm", "pylibjpeg", "openjpeg", "libjpeg", "rle", "jpeg_ls", "tqdm")

MEDIA_STORAGE_SOP_CLASS_UID, TRANSFER_SYNTAX_UID = 0x00020002, 0x00020010
IMAGE_TYPE, SOP_CLASS_UID = 0x00080008, 0x00080016
IMPLICIT_LITTLE, EXPLICIT_BIG, DEFLATED = "1.2.840.10008.1.2", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99"
INFLATED_MOST = 2**20  # bytes; group 0008 is far smaller, and a deflated file may hold a bomb
PATIENT_ID, METHOD = 0x00100020, 0x00120063  # METHOD: DeidentificationMethod
STUDY_UID, SERIES_UID, SOP_UID = 0x0020000D, 0x0020000E, 0x00080018
# What Orthanc tells instances apart by, in its order, and the method.
IDENTIFYING = (PATIENT_ID, STUDY_UID, SERIES_UID, SOP_UID)
WANTED = frozenset((*IDENTIFYING, METHOD))
# Explicit VRs with a length of four bytes (PS3.5 7.1.2).
LONG = frozenset((b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"))
UNDEFINED, SHORTEST = 0xFFFFFFFF, 8  # bytes of the shortest attribute
ITEM_GROUP, ENDS = 0xFFFE, frozenset((0xFFFEE00D, 0xFFFEE0DD))
# By byte order: group, element, VR and length; group, element and length; a length.
HEADS = {o: (struct.Struct(o + "HH2sH"), struct.Struct(o + "HHI"), struct.Struct(o + "I")) for o in "<>"}


class NotDicom(ValueError):
    """The bytes have no "DICM" after the preamble (PS3.10 7.1)."""


@dataclass(frozen=True)
class Header:
    """SOP classes that the instance claims (file meta and dataset) and the values of ImageType.

    `start` is the offset in bytes of the dataset, behind the file meta information.
    """

    sop_classes: frozenset[str]
    image_type: tuple[str, ...]
    syntax: str = ""
    start: int = 0


@dataclass(frozen=True)
class Identity:
    """Which instance it is (PatientID and the UIDs of study, series and instance), and DeidentificationMethod."""

    uids: bytes
    method: bytes


@contextmanager
def without(*names: str) -> Iterator[None]:
    """Let imports of these modules fail inside the block."""
    before = {name: sys.modules[name] for name in names if name in sys.modules}
    sys.modules.update(dict.fromkeys(names))  # type: ignore[arg-type]  # None is Python's own mark for "not there"
    try:
        yield
    finally:
        for name in names:
            del sys.modules[name]
        sys.modules.update(before)


def load_reader(site_packages: str) -> Callable[[bytes], Header]:
    """Import pydicom from `site_packages` and answer the function that reads a header.

    The folder is on sys.path only for that moment: Orthanc's Python shall not find anything else in it.
    """
    sys.path.insert(0, site_packages)
    try:
        with without(*UNWANTED):
            from pydicom.filereader import read_dataset
    finally:
        sys.path.remove(site_packages)
    return lambda dicom: read_header(dicom, read_dataset)


def load_small_pydicom() -> None:
    """Load pydicom without numpy and decoders into a process that never looks at pixels: 55 MB less."""
    with without(*UNWANTED):
        import pydicom  # noqa: F401  # for what it leaves in sys.modules


def read_header(dicom: bytes, read_dataset: Callable[..., Any]) -> Header:
    """Read file meta and group 0008; nothing behind it is looked at.

    Raises
    ------
    NotDicom
        The bytes are no DICOM file.
    Exception
        Whatever pydicom raises for a broken file.
    """
    if dicom[128:132] != b"DICM":
        raise NotDicom
    file = BytesIO(dicom)  # shares the memory of `dicom`
    file.seek(132)
    meta = read_dataset(file, is_implicit_VR=False, is_little_endian=True, stop_when=_after_file_meta)
    syntax, start = "".join(_values(meta, TRANSFER_SYNTAX_UID)), file.tell()
    if syntax == DEFLATED:
        file = BytesIO(zlib.decompressobj(-zlib.MAX_WBITS).decompress(file.read(), INFLATED_MOST))
    dataset = read_dataset(
        file,
        is_implicit_VR=syntax == IMPLICIT_LITTLE,
        is_little_endian=syntax != EXPLICIT_BIG,
        stop_when=_after_group_8,
        specific_tags=[IMAGE_TYPE, SOP_CLASS_UID],
    )
    sop_classes = {*_values(meta, MEDIA_STORAGE_SOP_CLASS_UID), *_values(dataset, SOP_CLASS_UID)}
    if not (syntax and sop_classes):
        raise ValueError("no transfer syntax or no SOP class")
    return Header(frozenset(sop_classes), _values(dataset, IMAGE_TYPE), syntax, start)


def read_identity(dicom: bytes, header: Header) -> Identity | None:
    """Read which instance it is; None where it does not say so, or is not encoded as PS3.5 demands.

    By hand: pydicom takes four times as long, and it is done for every instance.
    """
    data, at = dicom, header.start
    if header.syntax == DEFLATED:
        data, at = zlib.decompressobj(-zlib.MAX_WBITS).decompress(dicom[at:], INFLATED_MOST), 0
    order = ">" if header.syntax == EXPLICIT_BIG else "<"
    found = _Scan(data, order, explicit=header.syntax != IMPLICIT_LITTLE).run(at)
    if found is None or not found.get(SOP_UID):
        return None
    return Identity(b"|".join(found.get(tag, b"") for tag in IDENTIFYING), found.get(METHOD, b""))


class _Scan:
    """Walks over attributes up to SeriesInstanceUID; an IndexError or struct.error: the file ends before."""

    def __init__(self, data: bytes, order: str, *, explicit: bool) -> None:
        self._data, self._explicit = data, explicit
        self._short, self._long, self._length = HEADS[order]

    def run(self, at: int) -> dict[int, bytes] | None:
        """Answer the values of WANTED that are there; None where attributes are not in ascending order."""
        found: dict[int, bytes] = {}
        last, most = 0, len(self._data) - SHORTEST
        while at <= most:
            tag, length, at = self._head(at)
            if tag <= last:
                return None
            last = tag
            if tag > SERIES_UID:
                return found
            if tag in WANTED:
                found[tag] = self._data[at : at + length].strip(b" \0")
            at = self._after_sequence(at) if length == UNDEFINED else at + length
        return found if at == len(self._data) else None

    def _head(self, at: int) -> tuple[int, int, int]:
        """Read tag and length in bytes, and where the value begins (PS3.5 7.1)."""
        if not self._explicit:
            group, element, length = self._long.unpack_from(self._data, at)
            return group << 16 | element, length, at + 8
        group, element, vr, length = self._short.unpack_from(self._data, at)
        if group == ITEM_GROUP:
            return group << 16 | element, self._length.unpack_from(self._data, at + 4)[0], at + 8
        if vr in LONG:
            return group << 16 | element, self._length.unpack_from(self._data, at + 8)[0], at + 12
        return group << 16 | element, length, at + 8

    def _after_sequence(self, at: int) -> int:
        """Answer where a sequence of undefined length ends, which begins at `at` (PS3.5 7.5)."""
        open_ = 1  # sequences and items of undefined length that have not ended
        while open_:
            tag, length, at = self._head(at)
            if tag in ENDS:
                open_ -= 1
            elif length == UNDEFINED:
                open_ += 1
            else:
                at += length
        return at


def _after_file_meta(tag: int, _vr: str | None, _length: int) -> bool:
    return tag >> 16 != 2  # noqa: PLR2004  # the group of the file meta information


def _after_group_8(tag: int, _vr: str | None, _length: int) -> bool:
    return tag >> 16 > 8  # noqa: PLR2004  # the group of what identifies the instance's kind


def _values(dataset: Any, tag: int) -> tuple[str, ...]:  # noqa: ANN401  # pydicom is loaded later
    """Split the raw bytes: no conversion, so no warning that shows a value, and a wrong VR does not matter."""
    if tag not in dataset:
        return ()
    value = dataset.get_item(tag).value
    text = value.decode("latin-1") if isinstance(value, bytes) else ""
    return tuple(part for word in text.split("\\") if (part := word.strip(" \0")))
