"""Elements of a dataset as bytes: pydicom's own ways convert more than the pass needs."""

from collections.abc import Iterator

from pydicom import Dataset
from pydicom.dataelem import DataElement, RawDataElement, convert_raw_data_element

_HEADER = 8  # bytes of an item's tag and length
_ITEM, _DELIMITER = b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0"


def converted(ds: Dataset, raw: DataElement | RawDataElement) -> DataElement:
    """Answer an element with its value converted and leave it in the dataset as it is; raises what pydicom raises."""
    if isinstance(raw, DataElement):
        return raw
    return convert_raw_data_element(raw, encoding=ds.original_character_set, ds=ds)


def put(ds: Dataset, elem: DataElement | RawDataElement) -> None:
    """Set an element as it is; Dataset's own way converts raw private values and costs 4 times as much."""
    ds._dict[elem.tag] = elem  # noqa: SLF001  # no public way leaves the value raw


def fragments(data: bytes | memoryview, at: int = 0) -> Iterator[tuple[int, int]]:
    """Yield where each item of an encapsulated value begins and should end (PS3.5 A.4, always little endian)."""
    while data[at : at + 4] == _ITEM:
        start = at + _HEADER
        at = start + int.from_bytes(data[at + 4 : start], "little")
        yield start, at


def end_of_fragments(data: bytes, at: int) -> int | None:
    """Answer where the delimiter of an encapsulated value stands; None where it has none."""
    for _, end in fragments(data, at):
        at = end
    return at if data[at : at + 4] == _DELIMITER else None
