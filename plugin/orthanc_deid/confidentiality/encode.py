"""DICOM files in memory: bytes to dataset and back, with nothing of the old file but what the dataset holds."""

import struct
import warnings
import zlib
from io import BytesIO

from pydicom import Dataset, dcmread
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import correct_ambiguous_vr, write_data_element
from pydicom.tag import BaseTag
from pydicom.uid import UID

from orthanc_deid.errors import Rejected

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
    ds = dcmread(BytesIO(data))
    if not ds:
        raise Rejected("the file holds no dataset")
    syntax = ds.file_meta.get("TransferSyntaxUID")
    if not isinstance(syntax, UID) or syntax.is_private or not syntax.is_transfer_syntax:
        raise Rejected("the file does not say a transfer syntax of the standard")
    if _is_cut(ds, len(data), deflated=syntax.is_deflated):
        raise Rejected("the file ends inside an attribute")
    return ds


def _is_cut(ds: Dataset, size: int, *, deflated: bool) -> bool:
    """Tell whether the last attribute lacks bytes, or a header of which pydicom is silent follows it."""
    last = ds.get_item(max(ds.keys()))
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
    meta = _meta(ds, syntax)
    body = _Writer(implicit=syntax.is_implicit_VR, little=syntax.is_little_endian).dataset(ds)
    if syntax.is_deflated:
        deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        packed = deflate.compress(body) + deflate.flush()
        body = packed + b"\x00" * (len(packed) & 1)
    return b"".join((bytes(128), b"DICM", meta, body))


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
    """Writes elements of bytes itself and leaves values that were converted to pydicom."""

    def __init__(self, *, implicit: bool, little: bool) -> None:
        self.implicit, self.little = implicit, little
        order = "<" if little else ">"
        self.tag_and_length = struct.Struct(order + "HHI")
        self.short = struct.Struct(order + "HH2sH")
        self.long = struct.Struct(order + "HH2sHI")

    def dataset(self, ds: Dataset) -> bytes:
        """Encode a dataset or the content of an item."""
        # Bytes of another encoding, as inside UN: every value is converted and written anew.
        foreign = ds.original_encoding not in ((self.implicit, self.little), (None, None)) or any(
            isinstance(elem, RawDataElement) and elem.is_implicit_VR != self.implicit for elem in ds.values()
        )
        if foreign:
            ds = correct_ambiguous_vr(ds, self.little)
        parts: list[bytes] = []
        for tag in sorted(ds.keys()):
            if not tag & 0xFFFF:
                continue  # group lengths are of the file that was (PS3.5 7.2)
            elem = ds[tag] if foreign else ds.get_item(tag)
            if isinstance(elem, RawDataElement) and (self.implicit or elem.VR):
                self.raw(elem, parts)
            elif elem.VR == "SQ":
                self.sequence(ds[tag], parts)
            else:
                parts.append(self.converted(ds, ds[tag]))
        return b"".join(parts)

    def raw(self, elem: RawDataElement, parts: list[bytes]) -> None:
        """Encode an element of bytes; an encapsulated value is OB (PS3.5 A.4) and gets back its delimiter."""
        value = elem.value or b""
        if elem.length == _UNDEFINED:
            parts += (self.head(elem.tag, "OB", _UNDEFINED), value, self.tag_and_length.pack(0xFFFE, 0xE0DD, 0))
            return
        if len(value) & 1:
            value += b" " if elem.VR in _TEXT_PADDED else b"\x00"
        parts += (self.head(elem.tag, elem.VR, len(value)), value)

    def head(self, tag: BaseTag, vr: str | None, length: int) -> bytes:
        """Encode tag, VR and length."""
        group, element = tag >> 16, tag & 0xFFFF
        if self.implicit:
            return self.tag_and_length.pack(group, element, length)
        if vr in _LONG_VRS or length > _LONGEST_SHORT:
            known = vr if vr in _LONG_VRS else "UN"  # PS3.5 6.2.2: too long for its VR
            return self.long.pack(group, element, str(known).encode("ascii"), 0, length)
        return self.short.pack(group, element, str(vr).encode("ascii"), length)

    def sequence(self, elem: DataElement, parts: list[bytes]) -> None:
        """Encode a sequence with the lengths of its items, in a defined length itself."""
        content: list[bytes] = []
        for item in elem.value:
            body = self.dataset(item)
            content += (self.tag_and_length.pack(0xFFFE, 0xE000, len(body)), body)
        length = sum(map(len, content))
        parts += (self.head(elem.tag, "SQ", length), *content)

    def converted(self, ds: Dataset, elem: DataElement) -> bytes:
        """Encode a value by pydicom, in the dataset's character set."""
        out = DicomBytesIO()
        out.is_implicit_VR, out.is_little_endian = self.implicit, self.little
        write_data_element(out, elem, ds.get("SpecificCharacterSet", "iso8859"))
        return bytes(out.getvalue())
