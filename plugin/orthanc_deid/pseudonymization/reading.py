"""Reads attributes of a study's first instance, for sources of pseudonyms: in Orthanc, or of a dataset.

A name is a keyword, or for a private attribute group, element without its block, and creator: `000B,01,CHUV_DEV_TML`.
What is not there, or stands there twice with different values, is ''.
"""

import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pydicom import Dataset
from pydicom.datadict import tag_for_keyword
from pydicom.dataelem import DataElement
from pydicom.multival import MultiValue

from ..errors import NotFound
from ..orthanc_rest import Orthanc

_BLOCKS = range(0x10, 0x100)  # PS3.5 7.8.1
_PADDING = "\x00 "


@dataclass(frozen=True, repr=False)
class Reading:
    """Reads one instance; knows the Orthanc that holds it, which may know more of its patient."""

    orthanc: Orthanc
    read: Callable[[str], str]

    def __call__(self, name: str) -> str:
        """Return the text of an attribute."""
        return self.read(name)


def of_orthanc(orthanc: Orthanc, instance: str) -> Reading:
    """Answer what reads an instance in Orthanc; raise NotFound where it is gone."""
    tags = orthanc.tags(instance)

    def creator(tag: int) -> str:
        return _text(tags.get(_key(tag), {})).strip(_PADDING)

    def value(tag: int) -> str:
        found = tags.get(_key(tag))
        if found is None or found.get("Type") == "Sequence":
            return ""
        # Null or TooLong: Orthanc does not show what has no VR that it knows, and what is long.
        text = _text(found) if found.get("Type") == "String" else _raw(orthanc, instance, tag)
        return text.strip(_PADDING)

    return Reading(orthanc, lambda name: _one(value(tag) for tag in _places(name, creator)))


def of_dataset(ds: Dataset) -> Callable[[str], str]:
    """Answer what reads a dataset of pydicom's."""

    def value(tag: int) -> str:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a library's warning may hold a value
            return _value(ds[tag]) if tag in ds else ""

    return lambda name: _one(value(tag) for tag in _places(name, value))


def _places(name: str, creator: Callable[[int], str]) -> list[int]:
    """Return the tags that a name can mean in one dataset: a creator may have reserved several blocks."""
    parts = name.split(",", 2)
    if len(parts) == 1:
        tag = tag_for_keyword(name)
        return [] if tag is None else [tag]
    group, element = int(parts[0], 16) << 16, int(parts[1], 16)
    return [group | block << 8 | element for block in _BLOCKS if creator(group | block) == parts[2]]


def _one(values: Iterable[str]) -> str:
    found = {value for value in values if value}
    return found.pop() if len(found) == 1 else ""


def _key(tag: int) -> str:
    return f"{tag >> 16:04x},{tag & 0xFFFF:04x}"


def _text(found: Mapping[str, Any]) -> str:
    value = found.get("Value")
    return value if isinstance(value, str) else ""


def _raw(orthanc: Orthanc, instance: str, tag: int) -> str:
    try:
        data = orthanc.call("GET", f"/instances/{instance}/content/{tag >> 16:04x}-{tag & 0xFFFF:04x}")
    except NotFound:
        return ""
    return data.decode("ascii", "replace")


def _value(element: DataElement) -> str:
    value = element.value
    if element.VR == "SQ" or value is None:
        return ""
    if isinstance(value, bytes):
        return value.decode("ascii", "replace").strip(_PADDING)
    if isinstance(value, MultiValue):
        return "\\".join(map(str, value))
    return str(value).strip(_PADDING)
