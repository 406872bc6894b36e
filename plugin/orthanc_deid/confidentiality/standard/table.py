"""PS3.15 Table E.1-1: the Basic Profile's letter of each attribute and what an option does instead."""

from collections.abc import Iterator, Mapping
from functools import cache
from types import MappingProxyType
from typing import NamedTuple

from pydicom._dicom_dict import DicomDictionary

from . import table_data

EDITION = table_data.EDITION

# Rows without a letter in any option because their edition is newer than the source of the options.
ONLY_BASIC = frozenset(int(word, 16) for word in table_data.ONLY_BASIC.split())

_MODIFIED_DATES = "Retain Longitudinal Temporal Information Modified Dates"
_PRIVATE_MASK = 0x0001


class Group(NamedTuple):
    """A row of the table that stands for whole groups; its Basic letter is X, its option's letter is C."""

    text: str  # as the standard prints it, without parentheses
    name: str
    option: str
    group: int
    element: int
    group_mask: int
    element_mask: int

    def covers(self, tag: int) -> bool:
        """Tell whether the row speaks about a tag."""
        return (tag >> 16 & self.group_mask, tag & self.element_mask) == (self.group, self.element)


class Row(NamedTuple):
    """One row of the table with the standard's letters: D, Z, X, U and combinations; K and C in the options."""

    tag: int | None  # None for a row of whole groups
    text: str  # "0010,0010" or "60xx,3000"
    name: str  # the keyword
    basic: str
    options: Mapping[str, str]  # only those with a letter


@cache
def basic() -> Mapping[int, str]:
    """Answer tag -> letter of the Basic Profile column: D, Z, X, U and their combinations."""
    return MappingProxyType({tag: letter for letter, text in table_data.BASIC.items() for tag in _tags(text)})


@cache
def option(name: str) -> Mapping[int, str]:
    """Answer tag -> `keep`, `clean`, `shift` or `age` for an option; a tag that is missing keeps its Basic action.

    Rows of whole groups are in `groups`. The options that look at pixels have no column.
    """
    words = table_data.OPTIONS.get(name, {})
    return MappingProxyType({tag: what for what, text in words.items() for tag in _tags(text)})


@cache
def groups() -> tuple[Group, ...]:
    """Answer the rows of whole groups: curves, overlays, private attributes."""
    return tuple(Group(*row) for row in table_data.GROUPS)


@cache
def newer() -> Mapping[int, tuple[str, str]]:
    """Answer tag -> VR and keyword of the rows that pydicom's dictionary does not have."""
    lines = (line.split() for line in table_data.NAMES.strip().splitlines())
    return MappingProxyType({int(tag, 16): (vr, keyword) for tag, vr, keyword in lines})


def name(tag: int) -> str:
    """Answer the keyword of an attribute of the table or the dictionary; empty when neither has it."""
    known = DicomDictionary.get(tag)
    return known[4] if known else newer().get(tag, ("", ""))[1]


def letters(tag: int) -> Mapping[str, str]:
    """Answer option -> the standard's letter, K or C, for one attribute."""
    return {name: _letter(name, option(name)[tag]) for name in table_data.OPTIONS if tag in option(name)}


def rows() -> Iterator[Row]:
    """Yield every row of the table in the order of the tags; private attributes come last."""
    found = [
        (tag, Row(tag, f"{tag >> 16:04X},{tag & 0xFFFF:04X}", name(tag), basic()[tag], letters(tag))) for tag in basic()
    ]
    for row in groups():
        place = 1 << 32 if row.group_mask == _PRIVATE_MASK else row.group << 16 | row.element
        found.append((place, Row(None, row.text, row.name, "X", {row.option: "C"})))
    yield from (row for _, row in sorted(found, key=lambda pair: pair[0]))


def in_removed_group(tag: int) -> bool:
    """Tell whether a tag is removed by its group: private (odd), curves (50xx), overlays (60xx).

    The standard lists Overlay Data and Comments only; without them the rest of the plane says nothing true.
    """
    group = tag >> 16
    return bool(group & 1) or group & 0xFF00 in _WHOLE_GROUPS


_WHOLE_GROUPS = frozenset(row.group for row in groups() if row.group_mask != _PRIVATE_MASK)


def _letter(option_name: str, word: str) -> str:
    """Answer the standard's letter for our word: an age is kept, and a time that dates leave alone is cleaned."""
    return "C" if option_name == _MODIFIED_DATES or word in {"clean", "shift"} else "K"


def _tags(text: str) -> list[int]:
    return [int(word, 16) for word in text.split()]
