"""What a file is, told by its first bytes; a dataset without preamble gets the one that PS3.10 demands."""

import struct
from enum import Enum

PREAMBLE = 128  # bytes before "DICM" (PS3.10 7.1)
HEAD = 160  # bytes that are enough to tell
IMPLICIT_LITTLE, EXPLICIT_LITTLE = b"1.2.840.10008.1.2\x00", b"1.2.840.10008.1.2.1\x00"
EXPLICIT_BIG = b"1.2.840.10008.1.2.2\x00"

# Attributes that a dataset can begin with, and their VR: old archives left out preamble and file meta.
_FIRST = {
    0x0000: b"UL", 0x0001: b"UL", 0x0005: b"CS", 0x0006: b"SQ", 0x0008: b"CS", 0x0012: b"DA", 0x0013: b"TM",
    0x0014: b"UI", 0x0016: b"UI", 0x0018: b"UI",
}  # fmt: skip
_META, _IDENTIFYING = 0x0002, 0x0008  # groups
_LONGEST = 128  # bytes of a first value; more is not the beginning of a dataset
_TEXT = frozenset(range(0x20, 0x7F)) | {0}


class Kind(Enum):
    """What is done with a file."""

    DICOM = "DICOM"
    BARE = "DICOM without preamble"
    ZIP = "ZIP"
    OTHER = "other"


def kind_of(head: bytes) -> Kind:
    """Tell by the first `HEAD` bytes."""
    if head[PREAMBLE : PREAMBLE + 4] == b"DICM":
        return Kind.DICOM
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return Kind.ZIP
    return Kind.BARE if _begins_with(head) else Kind.OTHER


def with_preamble(data: bytes) -> bytes:
    """Put preamble and, where that is missing too, file meta before a dataset of the kind BARE."""
    start = bytes(PREAMBLE) + b"DICM"
    if data[:2] == b"\x02\x00":
        return start + data
    return b"".join((start, _meta(_begins_with(data[:HEAD]) or IMPLICIT_LITTLE), data))


def _begins_with(head: bytes) -> bytes | None:
    """Answer the transfer syntax of a dataset or file meta that plausibly begins here; None: neither does."""
    if len(head) < 8:  # noqa: PLR2004  # tag, VR and length
        return None
    group, element, vr, short, length = struct.unpack("<HH2sH", head[:8]) + struct.unpack("<I", head[4:8])
    if group == _META:
        return EXPLICIT_LITTLE if (element, vr) in ((0, b"UL"), (1, b"OB"), (2, b"UI")) else None
    if group != _IDENTIFYING or element not in _FIRST:
        return EXPLICIT_BIG if _begins_big(head) else None
    known = _FIRST[element]
    if vr == known:
        return EXPLICIT_LITTLE if known == b"SQ" or short <= _LONGEST else None
    if known in (b"UL", b"SQ"):
        return IMPLICIT_LITTLE if known == b"SQ" or length == 4 else None  # noqa: PLR2004  # bytes of a UL
    plausible = length <= _LONGEST and not length & 1 and _TEXT.issuperset(head[8 : 8 + length])
    return IMPLICIT_LITTLE if plausible else None


def _begins_big(head: bytes) -> bool:
    """Tell an explicit dataset in big endian, which is retired; no other one is told by so little."""
    group, element, vr, length = struct.unpack(">HH2sH", head[:8])
    return bool(group == _IDENTIFYING and _FIRST.get(element) == vr and length <= _LONGEST)


def _meta(syntax: bytes) -> bytes:
    syntax += b"\x00" * (len(syntax) & 1)
    elements = struct.pack("<HH2sHI2s", 2, 1, b"OB", 0, 2, b"\x00\x01")
    elements += struct.pack("<HH2sH", 2, 0x10, b"UI", len(syntax)) + syntax
    return struct.pack("<HH2sHI", 2, 0, b"UL", 4, len(elements)) + elements
