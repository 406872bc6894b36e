"""PS3.15 Table E.1-1: the Basic Profile's letter of each attribute and what an option does instead."""

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType

from . import table_data

EDITION = table_data.EDITION


@cache
def basic() -> Mapping[int, str]:
    """Answer tag -> letter of the Basic Profile column: D, Z, X, U and their combinations."""
    return MappingProxyType({tag: letter for letter, text in table_data.BASIC.items() for tag in _tags(text)})


@cache
def option(name: str) -> Mapping[int, str]:
    """Answer tag -> `keep`, `shift` or `age` for an option; a tag that is missing keeps its Basic action."""
    return MappingProxyType({tag: what for what, text in table_data.OPTIONS[name].items() for tag in _tags(text)})


def in_removed_group(tag: int) -> bool:
    """Tell whether a tag is removed by its group: private (odd), curves (50xx), overlays (60xx).

    The standard lists Overlay Data and Comments only; without them the rest of the plane says nothing true.
    """
    group = tag >> 16
    return bool(group & 1) or group & 0xFF00 in _PATTERN_GROUPS


_PATTERN_GROUPS = frozenset(group & mask for group, _, mask, _ in table_data.PATTERNS)


def _tags(text: str) -> list[int]:
    return [int(word, 16) for word in text.split()]
