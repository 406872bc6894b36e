"""PS3.3: which type an attribute has in an object, so that a letter such as X/Z/D finds its meaning."""

from collections.abc import Mapping
from functools import cache

from . import types_data

_REQUIRED = frozenset({"1", "1C", "2", "2C"})


def of(sop_class: str, tag: int, sequence: int | None = None) -> str | None:
    """Answer 1, 1C, 2, 2C or 3 for an attribute; None for a SOP Class that is not known.

    `sequence` is the one whose item holds the attribute; no sequence means outside of all. For an item the SOP
    Class does not matter and the answer is never None: a sequence has the same items in nearly every object.
    Where modules differ the strongest type counts. 3 is also the answer for what is not in the object's tables,
    and for what the pass never empties or removes (letters D and U; outside of Table E.1-1 all but texts and dates).
    """
    types = _sop_classes().get(sop_class) if sequence is None else _items().get(f"{sequence:08X}", {})
    return None if types is None else types.get(tag, "3")


@cache
def required_somewhere() -> frozenset[int]:
    """Answer the attributes that some object requires, those of items only where they may be empty (Type 2)."""
    in_items = ({tag for tag, kind in types.items() if kind[0] == "2"} for types in _items().values())
    return frozenset().union(*(types.keys() for types in _sop_classes().values()), *in_items)


@cache
def _sop_classes() -> Mapping[str, Mapping[int, str]]:
    return _read(types_data.SOP_CLASSES)


@cache
def _items() -> Mapping[str, Mapping[int, str]]:
    return _read(types_data.ITEMS)


def _read(text: str) -> dict[str, dict[int, str]]:
    found: dict[str, dict[int, str]] = {}
    for line in text.replace("\n        ", " ").strip().splitlines():
        names, _, words = line.partition(":")
        types = _types(words.split())
        found.update((name, types) for name in names.split())
    return found


def _types(words: list[str]) -> dict[int, str]:
    """Read types, each followed by the attributes that have it."""
    types: dict[int, str] = {}
    kind = ""
    for word in words:
        if word in _REQUIRED:
            kind = word
        else:
            types[int(word, 16)] = kind
    return types
