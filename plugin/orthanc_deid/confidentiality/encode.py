"""DICOM files in memory: bytes to dataset and back, with nothing of the old file but what the dataset holds."""

import struct
import warnings
import zlib
from functools import lru_cache
from io import BytesIO
from typing import cast

from pydicom import Dataset, dcmread
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import correct_ambiguous_vr, write_data_element
from pydicom.tag import BaseTag
from pydicom.uid import UID

from orthanc_deid.errors import Rejected

from .elements import end_of_fragments, put
from .standard.attributes import PIXEL_DATA

# Of this software; made once, PS3.5 B.2.
IMPLEMENTATION_CLASS = "2.25.203166331487062353164402371325013268117"
IMPLEMENTATION_VERSION = "ORTHANC-DEID"

_UNDEFINED = 0xFFFFFFFF
_HEADER = 8  # bytes of the shortest tag, VR and length
_LONG_VRS = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"})
_TEXT_PADDED = frozenset(
    {"AE", "AS", "CS", "DA", "DS", "DT", "IS", "LO", "LT", "PN", "SH", "ST", "TM", "UC", "UR", "UT"}
)
_LONGEST_SHORT = 0xFFFF
_COPIED = 1 << 16  # bytes of the longest value that is copied while a file is read


def decode(data: bytes) -> Dataset:
    """Read a DICOM file; values stay bytes until somebody looks at them.

    Raises
    ------
    Rejected
        It is not a DICOM file, or it ends too early.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a library's warning may hold a value
            return _read(data)
    except Rejected:
        raise
    except Exception as error:  # noqa: BLE001  # pydicom raises many kinds for broken files, and says what it read
        raise Rejected(f"not readable as a DICOM file ({type(error).__name__})") from None


def _read(data: bytes) -> Dataset:
    ds = dcmread(BytesIO(data), defer_size=_COPIED)
    if not ds:
        raise Rejected("the file holds no dataset")
    syntax = ds.file_meta.get("TransferSyntaxUID")
    if not isinstance(syntax, UID) or syntax.is_private or not syntax.is_transfer_syntax:
        raise Rejected("the file does not say a transfer syntax of the standard")
    if syntax.is_deflated or not _take_long_values(ds, data):
        ds = dcmread(BytesIO(data))
    if _is_cut(ds, len(data), deflated=syntax.is_deflated):
        raise Rejected("the file ends inside an attribute")
    return ds


def _take_long_values(ds: Dataset, data: bytes) -> bool:
    """Add the values that pydicom passed over, those of pixels as a view of `data`; False where one has no end."""
    for tag, elem in list(ds.items()):
        if not isinstance(elem, RawDataElement) or elem.value is not None or not elem.length:
            continue
        end = elem.value_tell + elem.length if elem.length != _UNDEFINED else end_of_fragments(data, elem.value_tell)
        if end is None:
            return False
        value = memoryview(data)[elem.value_tell : end]
        # Nobody reads pixels here; a view of them is joined to the output as bytes are.
        put(ds, elem._replace(value=cast("bytes", value) if tag == PIXEL_DATA else bytes(value)))
    return True


def _is_cut(ds: Dataset, size: int, *, deflated: bool) -> bool:
    """Tell whether the last attribute lacks bytes, or a header of which pydicom is silent follows it."""
    last = ds.get_item(max(ds.keys(), key=int))
    if not isinstance(last, RawDataElement) or last.length == _UNDEFINED:
        return False
    return last.length != len(last.value or b"") or (
        not deflated and 0 < size - last.value_tell - last.length < _HEADER
    )


def encode(ds: Dataset) -> bytes:
    """Write a DICOM file in the dataset's transfer syntax, with an empty preamble and file meta made anew.

    Raises
    ------
    Rejected
        The dataset cannot be written: no SOP Instance UID, or a value that fits no encoding.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a library's warning may hold a value
            return _written(ds)
    except Rejected:
        raise
    except Exception as error:  # noqa: BLE001  # pydicom raises many kinds for values of a wrong form, and names them
        raise Rejected(f"the result cannot be written ({type(error).__name__})") from None


def _written(ds: Dataset) -> bytes:
    syntax = UID(ds.file_meta.TransferSyntaxUID)
    writer = _Writer(implicit=syntax.is_implicit_VR, little=syntax.is_little_endian)
    writer.dataset(ds)
    if syntax.is_deflated:
        deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        packed = deflate.compress(b"".join(writer.parts)) + deflate.flush()
        writer.parts = [packed, b"\x00" * (len(packed) & 1)]
    return b"".join((bytes(128), b"DICM", _meta(ds, syntax), *writer.parts))


def _meta(ds: Dataset, syntax: UID) -> bytes:
    """Make group 2 (PS3.10 7.1): explicit little endian, with its length first."""
    parts = [struct.pack("<HH2sHIH", 2, 1, b"OB", 0, 2, 0x0100)]
    for element, vr, text in (
        (0x0002, b"UI", _uid(ds, 0x00080016)),
        (0x0003, b"UI", _uid(ds, 0x00080018)),
        (0x0010, b"UI", str(syntax)),
        (0x0012, b"UI", IMPLEMENTATION_CLASS),
        (0x0013, b"SH", IMPLEMENTATION_VERSION),
    ):
        value = text.encode("ascii")
        value += (b"\x00" if vr == b"UI" else b" ") * (len(value) & 1)
        parts.append(struct.pack("<HH2sH", 2, element, vr, len(value)) + value)
    group = b"".join(parts)
    return struct.pack("<HH2sHI", 2, 0, b"UL", 4, len(group)) + group


def _uid(ds: Dataset, tag: int) -> str:
    found = ds.get_item(tag)
    value = found.value if found is not None else None
    text = value.decode("ascii", "replace") if isinstance(value, bytes) else str(value or "")
    text = text.strip("\x00 ")
    if not text or set(text) - set("0123456789."):
        raise Rejected("the dataset has no valid SOP Class UID and SOP Instance UID")
    return text


class _Writer:
    """Collects the parts of a file: elements of bytes as they are, values that were converted by pydicom."""

    def __init__(self, *, implicit: bool, little: bool) -> None:
        self.implicit, self.little = implicit, little
        self.parts: list[bytes | memoryview] = []  # joined once: the pixels are copied once
        self.item = struct.Struct(("<" if little else ">") + "HHI")

    def dataset(self, ds: Dataset) -> int:
        """Add a dataset or the content of an item; answer its bytes."""
        if ds.original_encoding not in ((self.implicit, self.little), (None, None)):
            return self.foreign(ds)
        begin, length = len(self.parts), 0
        for tag, elem in sorted(ds.items(), key=_number):
            if not tag & 0xFFFF:
                continue  # group lengths are of the file that was (PS3.5 7.2)
            if not isinstance(elem, RawDataElement):
                length += self.sequence(elem) if elem.VR == "SQ" else self.converted(ds, elem)
            elif elem.is_implicit_VR != self.implicit:
                del self.parts[begin:]
                return self.foreign(ds)
            elif self.implicit or elem.VR:
                length += self.raw(elem)
            else:
                length += self.converted(ds, ds[tag])
        return length

    def foreign(self, ds: Dataset) -> int:
        """Add a dataset of another encoding, as inside UN: every value is converted and written anew."""
        ds = correct_ambiguous_vr(ds, self.little)
        length = 0
        for tag in sorted(ds.keys()):
            if tag & 0xFFFF:
                elem = ds[tag]
                length += self.sequence(elem) if elem.VR == "SQ" else self.converted(ds, elem)
        return length

    def raw(self, elem: RawDataElement) -> int:
        """Add an element of bytes; an encapsulated value is OB (PS3.5 A.4) and gets back its delimiter."""
        value = elem.value or b""
        if elem.length == _UNDEFINED:
            head, end = self.head(elem.tag, "OB", _UNDEFINED), self.item.pack(0xFFFE, 0xE0DD, 0)
            self.parts += (head, value, end)
            return len(head) + len(value) + len(end)
        length = len(value)
        if length & 1:
            length += 1
            head = self.head(elem.tag, elem.VR, length)
            self.parts += (head, value, b" " if elem.VR in _TEXT_PADDED else b"\x00")
        else:
            head = self.head(elem.tag, elem.VR, length)
            self.parts += (head, value)
        return len(head) + length

    def head(self, tag: BaseTag, vr: str | None, length: int) -> bytes:
        """Encode tag, VR and length."""
        return _head(int(tag), None if self.implicit else vr, length, "<" if self.little else ">")

    def sequence(self, elem: DataElement) -> int:
        """Add a sequence with the lengths of its items, in a defined length itself."""
        at, length = len(self.parts), 0
        self.parts.append(b"")
        for item in elem.value:
            begin = len(self.parts)
            self.parts.append(b"")
            body = self.dataset(item)
            self.parts[begin] = self.item.pack(0xFFFE, 0xE000, body)
            length += _HEADER + body
        head = self.parts[at] = self.head(elem.tag, "SQ", length)
        return len(head) + length

    def converted(self, ds: Dataset, elem: DataElement) -> int:
        """Add a value by pydicom, in the dataset's character set."""
        out = DicomBytesIO()
        out.is_implicit_VR, out.is_little_endian = self.implicit, self.little
        write_data_element(out, elem, ds.get("SpecificCharacterSet", "iso8859"))
        self.parts.append(bytes(out.getvalue()))
        return len(self.parts[-1])


def _number(pair: tuple[BaseTag, object]) -> int:
    """Answer a plain number: comparing pydicom's tags costs more than all else here."""
    return int(pair[0])


@lru_cache(maxsize=1 << 14)
def _head(tag: int, vr: str | None, length: int, order: str) -> bytes:
    """Encode tag, VR (None in implicit) and length; remembered, as slices and frames repeat theirs."""
    group, element = tag >> 16, tag & 0xFFFF
    if vr is None:
        return struct.pack(order + "HHI", group, element, length)
    if vr in _LONG_VRS or length > _LONGEST_SHORT:
        known = vr if vr in _LONG_VRS else "UN"  # PS3.5 6.2.2: too long for its VR
        return struct.pack(order + "HH2sHI", group, element, known.encode("ascii"), 0, length)
    return struct.pack(order + "HH2sH", group, element, vr.encode("ascii"), length)
