"""In which attributes two instances of the same UIDs differ, whatever their encoding."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydicom import Dataset
from pydicom.datadict import keyword_for_tag
from pydicom.dataelem import DataElement

from ..confidentiality import encode

PIXEL_DATA = 0x7FE00010
PIXELS = "PixelData"
# About the encoding or the way it came: not what it says.
PASSING = frozenset({0x00080005, 0x00080054, 0x00080056, 0xFFFCFFFC})
MOST_BYTES = 512 << 20  # of decoded pixels that are compared


@dataclass(frozen=True)
class Pair:
    """The files of what is stored and of what came."""

    stored: bytes
    arrived: bytes


def differing(pair: Pair) -> list[str]:
    """Return keywords of the attributes that differ, tags of those without; pixels decoded where encodings differ.

    Raises
    ------
    Rejected
        One of the files cannot be read.
    """
    stored, arrived = encode.decode(pair.stored), encode.decode(pair.arrived)
    found = [tag for tag in sorted({*stored.keys(), *arrived.keys()}) if not _is_passing(tag)]
    found = [tag for tag in found if _differs(stored, arrived, tag)]
    if PIXEL_DATA in found and _has_same_pixels(stored, arrived):
        found = [tag for tag in found if tag != PIXEL_DATA]
    return [keyword_for_tag(tag) or f"{tag >> 16:04X},{tag & 0xFFFF:04X}" for tag in found]


def _is_passing(tag: int) -> bool:
    return tag in PASSING or tag & 0xFFFF == 0  # group lengths, PS3.5 7.2


def _differs(stored: Dataset, arrived: Dataset, tag: int) -> bool:
    if (tag in stored) != (tag in arrived):
        return True
    try:
        return not _is_same(stored[tag], arrived[tag])
    except Exception:  # noqa: BLE001  # pydicom raises many kinds for broken values
        return bool(stored.get_item(tag) != arrived.get_item(tag))


def _is_same(stored: DataElement, arrived: DataElement) -> bool:
    if "SQ" in (stored.VR, arrived.VR):
        return stored.VR == arrived.VR and list(map(_flat, stored.value)) == list(map(_flat, arrived.value))
    return _plain(stored.value) == _plain(arrived.value)


def _flat(item: Dataset) -> list[Any]:
    return list(_elements(item))


def _elements(item: Dataset) -> Iterator[Any]:
    for elem in item:
        if not _is_passing(elem.tag):
            yield int(elem.tag), list(map(_flat, elem.value)) if elem.VR == "SQ" else _plain(elem.value)


def _plain(value: Any) -> str | bytes:  # noqa: ANN401  # of any VR
    """Return a value without padding; bytes as the text they may be: an implicit encoding does not tell."""
    if isinstance(value, memoryview):
        value = bytes(value)
    if isinstance(value, bytes):
        return value.rstrip(b"\0 ")
    parts = value if isinstance(value, list) or hasattr(value, "append") else [value]
    text = "\\".join("" if part is None else str(part).strip("\0 ") for part in parts)
    return text.encode("utf-8", "surrogateescape")


def _has_same_pixels(stored: Dataset, arrived: Dataset) -> bool:
    """Compare decoded pixels where only the transfer syntaxes say that they must look different."""
    if stored.file_meta.TransferSyntaxUID == arrived.file_meta.TransferSyntaxUID:
        return False
    try:
        if any(_decoded_bytes(ds) > MOST_BYTES for ds in (stored, arrived)):
            return False
        first, second = stored.pixel_array, arrived.pixel_array
        return bool(first.shape == second.shape and (first == second).all())
    except Exception:  # noqa: BLE001  # no decoder, broken pixels: a person decides
        return False


def _decoded_bytes(ds: Dataset) -> int:
    frames = int(ds.get("NumberOfFrames") or 1)
    samples = int(ds.get("SamplesPerPixel") or 1)
    return frames * int(ds.Rows) * int(ds.Columns) * samples * (int(ds.BitsAllocated) + 7) // 8
