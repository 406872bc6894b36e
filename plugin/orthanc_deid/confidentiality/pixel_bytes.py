"""What stands in pixel data and is no pixel: remarks in JPEG and JPEG 2000, bytes behind the last pixel.

It becomes zeros of the same length, so that no offset changes and every pixel stays as it is. Remarks of a known
encoder about itself stay, and with them the bytes of nearly all compressed images.
"""

import re
from collections.abc import Iterator
from itertools import accumulate

from pydicom import Dataset
from pydicom.dataelem import RawDataElement

from orthanc_deid.errors import Rejected

from . import elements
from .standard.attributes import PIXEL_DATA

Span = tuple[int, int]
Bytes = bytes | memoryview
_UNDEFINED = 0xFFFFFFFF
_JPEG, _JPEG_2000 = b"\xff\xd8", b"\xff\x4f\xff\x51"
# Markers that begin a segment or end the image; behind FF in coded data stand smaller bytes (ITU-T T.81 B.1.1.2, T.87).
_MARKER = re.compile(rb"\xff+([\xc0-\xcf\xd8-\xfe])")
_START, _END, _SCAN, _COMMENT = 0xD8, 0xD9, 0xDA, 0xFE
_APPLICATIONS = range(0xE0, 0xF0)
_PADDING = 1  # byte that fills an odd length
_JFIF = 14  # bytes of its payload before a thumbnail
# Application segments that a decoder needs: colour transforms and profiles.
_NEEDED = {0xE2: (b"ICC_PROFILE",), 0xE8: (b"SPIFF", b"mrfx", b"\x00\x00\x00\x01"), 0xEE: (b"Adobe",)}
_ENCODER = re.compile(
    rb"[\x00 ]*(?:Creat(?:ed by|or): ?|Created by )?(?:Kakadu-v?[\w.]+|(?:GDCM/)?OpenJPEG version [\w.]+|Lavc[\w.]+"
    rb"|JasPer Version [\w.]+|LEAD Technologies,? Inc\.? ?[Vv][\w.]+|Aware,? Inc\.?"
    rb"|CREATOR: gd-jpeg v[\w.]+ \(using IJG JPEG v\d+\), quality = \d+)[\x00 \n]*"
)
_TILE, _TILE_DATA, _CODESTREAM_END, _J2K_COMMENT = 0xFF90, 0xFF93, 0xFFD9, 0xFF64
_SAMPLES, _PHOTOMETRIC, _FRAMES = 0x00280002, 0x00280004, 0x00280008
_ROWS, _COLUMNS, _BITS_ALLOCATED = 0x00280010, 0x00280011, 0x00280100
_SUBSAMPLED = {"YBR_FULL_422": 2.0, "YBR_PARTIAL_422": 2.0, "YBR_PARTIAL_420": 1.5}  # samples a pixel


def scrub(ds: Dataset) -> bool:
    """Empty what is no pixel in a dataset's own Pixel Data; answer whether there was anything.

    Raises
    ------
    Rejected
        The segments of a JPEG or JPEG 2000 image cannot be followed.
    """
    elem = ds.get_item(PIXEL_DATA)
    if not isinstance(elem, RawDataElement) or not elem.value:
        return False
    spans = list(_spans(ds, elem))
    value = elem.value
    wrong = [(start, end) for start, end in spans if end - start > _PADDING and any(value[start:end])]
    if not wrong:
        return False
    new = bytearray(value)
    for start, end in wrong:
        new[start:end] = bytes(end - start)
    elements.put(ds, elem._replace(value=bytes(new)))
    return True


def _spans(ds: Dataset, elem: RawDataElement) -> Iterator[Span]:
    value: Bytes = elem.value or b""
    if elem.length == _UNDEFINED:
        yield from _in_fragments(value)
    else:
        size = _pixels_size(ds)
        if size is not None and size < len(value):
            yield size, len(value)


def _pixels_size(ds: Dataset) -> int | None:
    """Answer the bytes that the pixels need (PS3.5 8.1.1), None where the dataset does not say."""
    try:
        rows, columns, bits = (int(_value(ds, tag)) for tag in (_ROWS, _COLUMNS, _BITS_ALLOCATED))
        samples = _SUBSAMPLED.get(_value(ds, _PHOTOMETRIC), float(_value(ds, _SAMPLES) or 1))
        frames = int(_value(ds, _FRAMES) or 1)
    except ValueError:
        return None
    return -(-int(rows * columns * samples * frames * bits) // 8)


def _value(ds: Dataset, tag: int) -> str:
    raw = ds.get_item(tag)
    return str(elements.converted(ds, raw).value or "") if raw is not None else ""


def _in_fragments(value: Bytes) -> Iterator[Span]:
    for stream in _streams(value):
        joined = value[slice(*stream[0])] if len(stream) == 1 else b"".join(value[a:b] for a, b in stream)
        begins = [0, *accumulate(b - a for a, b in stream)]
        for start, end in _remarks(joined):
            for (at, _), first, last in zip(stream, begins, begins[1:], strict=False):
                if start < last and end > first:
                    yield at + max(start - first, 0), at + min(end, last) - first


def _streams(value: Bytes) -> Iterator[list[Span]]:
    """Yield the fragments of each image; the first item is the offset table (PS3.5 A.4)."""
    found: list[Span] = []
    for start, end in list(elements.fragments(value))[1:]:
        if found and bytes(value[start : start + 4]).startswith((_JPEG, _JPEG_2000)):
            yield found
            found = []
        found.append((start, min(end, len(value))))
    if found:
        yield found


def _remarks(stream: Bytes) -> Iterator[Span]:
    begin = bytes(stream[:4])
    if begin.startswith(_JPEG_2000):
        yield from _jpeg_2000(stream)
    elif begin.startswith(_JPEG):
        yield from _jpeg(stream)


def _jpeg(stream: Bytes) -> Iterator[Span]:
    at = len(_JPEG)
    while match := _MARKER.search(stream, at):
        marker, at = match[1][0], match.end()
        if marker == _END:
            yield at, len(stream)
            return
        if marker == _START:
            continue
        end = at + _length(stream, at)
        if marker == _COMMENT and not _ENCODER.fullmatch(stream, at + 2, end):
            yield at + 2, end
        elif marker in _APPLICATIONS:
            yield from _application(marker, bytes(stream[at + 2 : end]), at + 2, end)
        at = end


def _application(marker: int, payload: bytes, start: int, end: int) -> Iterator[Span]:
    if marker == _APPLICATIONS[0] and payload.startswith(b"JFIF\x00"):
        yield min(start + _JFIF, end), end
    elif not payload.startswith(_NEEDED.get(marker, ())):
        yield start, end


def _jpeg_2000(stream: Bytes) -> Iterator[Span]:
    """Follow the headers of the image and of each tile-part (ISO/IEC 15444-1 A.4)."""
    at, tile, size = 2, 0, 0
    while at + 2 <= len(stream):
        marker = int.from_bytes(stream[at : at + 2], "big")
        if marker == _CODESTREAM_END:
            yield at + 2, len(stream)
            return
        if marker == _TILE_DATA:
            if not size:
                return  # the last one goes on to the end
            at = tile + size
            continue
        if marker == _TILE:
            tile, size = at, int.from_bytes(stream[at + 6 : at + 10], "big")
        end = at + 2 + _length(stream, at + 2)
        if marker == _J2K_COMMENT and not _ENCODER.fullmatch(stream, at + 6, end):
            yield at + 6, end
        at = end


def _length(stream: Bytes, at: int) -> int:
    """Read the length of a segment, which counts itself."""
    length = int.from_bytes(stream[at : at + 2], "big")
    if length < len(b"LL") or at + length > len(stream):
        raise Rejected("its compressed pixels have a segment of no length")
    return length
