"""Reads a JSON object of plain values with the place of each entry; a key that stands twice is not lost."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

from .entry import Faulty, Place

_BLANKS = re.compile(r"[ \t\n\r]*")
_DECODER = json.JSONDecoder()
NOT_FLAT = 'is not what a flat JSON object holds there: {"1234": "P0001", ...}'


@dataclass(frozen=True, slots=True, repr=False)
class Pair:
    """An entry: key, and a text or whole number as text."""

    place: Place
    key: str
    value: str


def pairs(text: str) -> Iterator[Pair]:
    """Yield the entries of an object.

    Raises
    ------
    Faulty
        It is something else, or not JSON.
    """
    reader = _Reader(text)
    reader.demand("{")
    while not reader.takes("}"):
        place = reader.place()
        key = reader.value()
        if not isinstance(key, str):
            raise Faulty(place, NOT_FLAT)
        reader.demand(":")
        value = reader.value()
        if isinstance(value, bool) or not isinstance(value, str | int):
            raise Faulty(place, "the value is neither a text nor a whole number")
        yield Pair(place, key.strip(), str(value).strip())
        if not reader.takes(","):
            reader.demand("}")
            break
    reader.demand_end()


class _Reader:
    def __init__(self, text: str) -> None:
        self._text, self._at = text, 0
        self._line, self._line_begin, self._counted = 1, 0, 0

    def place(self) -> Place:
        """Return the place of what comes next."""
        self._skip()
        if newlines := self._text.count("\n", self._counted, self._at):
            self._line += newlines
            self._line_begin = self._text.rindex("\n", self._counted, self._at) + 1
        self._counted = self._at
        return Place(self._line, self._at - self._line_begin + 1)

    def value(self) -> object:
        self._skip()
        try:
            value, self._at = _DECODER.raw_decode(self._text, self._at)
        except (ValueError, RecursionError):
            raise Faulty(self.place(), NOT_FLAT) from None
        return value

    def takes(self, sign: str) -> bool:
        self._skip()
        if self._text.startswith(sign, self._at):
            self._at += 1
            return True
        return False

    def demand(self, sign: str) -> None:
        if not self.takes(sign):
            raise Faulty(self.place(), NOT_FLAT)

    def demand_end(self) -> None:
        self._skip()
        if self._at != len(self._text):
            raise Faulty(self.place(), "something stands behind the end of the JSON object")

    def _skip(self) -> None:
        found = _BLANKS.match(self._text, self._at)
        self._at = found.end() if found else self._at
