"""Two binary elements of GE, made anew from the few values a converter reads; every other byte is left out.

The User Defined Data (0043,xx2A) is a copy of the raw data header, with the time of the scan; the Protocol Data Block
(0025,xx1B) is a compressed list of settings, with the exam's number and typed descriptions. Without them dcm2niix
finds neither the phase encoding direction nor the slice timing of older GE series. What it reads of them was taken
from its version 1.0.20260724.
"""

import gzip
import re
import struct
import zlib
from collections.abc import Callable

from .csa import cleaned_bytes

Clean = Callable[[str], str]

_OFFSET_AT = 24  # where the User Defined Data says where the header begins
_HEADER = 916  # bytes of the header up to the last one that is read
_VERSIONS = (5.0, 40.0)
_SHIFTED_FROM = 25.002  # from this version on, fields moved by
_SHIFT = 0x4C
_MOST = 1 << 20  # bytes of a protocol; real ones have a few thousand

_LINE = re.compile(rb'([A-Z][A-Z0-9_]{0,31}) "([^"]{0,2000})"')
_NUMBERS = re.compile(rb"[-+0-9.;, ]{0,2000}")
# A key stays that holds one of these: dcm2niix searches for them as parts of a text.
_KEPT = (b"SLICEORDER", b"VIEWORDER", b"MBACCEL", b"NOSLC", b"DELACQ", b"PHASEDELAYS1")
_OPTIONS = frozenset({b"ASSET", b"ARC", b"DIFF", b"EDR", b"EPI", b"FC", b"FMRI", b"HB", b"MPh", b"MPhVar", b"SPF"})


def user_data(data: bytes, _clean: Clean) -> bytes | None:
    """Answer the User Defined Data of GEMS_PARM_01 with only the flags of an echo planar scan; None if unreadable."""
    if len(data) < _HEADER:
        return None
    (start,) = struct.unpack_from("<H", data, _OFFSET_AT)
    if len(data) < start + _HEADER or start < _OFFSET_AT + 2:
        return None
    (version,) = struct.unpack_from("<f", data, start)
    if not _VERSIONS[0] <= version <= _VERSIONS[1]:
        return None
    output = bytearray(len(data))
    for at, size in ((_OFFSET_AT, 2), (start, 4), *_flags(start, version)):
        output[at : at + size] = data[at : at + size]
    return bytes(output)


def _flags(start: int, version: float) -> list[tuple[int, int]]:
    """Answer place and size of the flags: echo planar, phase polarity, direction of the views."""
    moved = _SHIFT if version >= _SHIFTED_FROM else 0
    views = 0x0394 - (0x008C if moved else 0)
    return [(start + moved + at, 2) for at in (0x3A, 0x30, views)]


def protocol(data: bytes, clean: Clean) -> bytes | None:
    """Answer the Protocol Data Block of GEMS_SERS_01 with only settings of timing and order; None if unreadable.

    The sequence's title goes through `clean`.
    """
    text = _unpacked(data)
    if text is None or not _LINE.search(text):
        return None
    kept = [line for match in _LINE.finditer(text) if (line := _line(match[1], match[2], clean))]
    packed = gzip.compress(b"\n" + b"".join(kept), mtime=0)
    return struct.pack("<I", len(packed)) + packed + bytes(len(packed) & 1)


def _unpacked(data: bytes) -> bytes | None:
    size = int.from_bytes(data[:4], "little")
    unpack = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
    try:
        text = unpack.decompress(data[4 : 4 + size], _MOST)
    except zlib.error:
        return None
    return text if unpack.eof else None


def _line(key: bytes, value: bytes, clean: Clean) -> bytes | None:
    new = _value(key, value, clean)
    return None if new is None else key + b' "' + new + b'"\n'


def _value(key: bytes, value: bytes, clean: Clean) -> bytes | None:
    if key == b"IOPT":
        return b", ".join(word for word in value.split(b", ") if word in _OPTIONS)
    if key == b"PSEQ":
        return cleaned_bytes(value, clean)
    if any(part in key for part in _KEPT) and (_NUMBERS.fullmatch(value) or value == b"Minimum"):
        return value
    return None
