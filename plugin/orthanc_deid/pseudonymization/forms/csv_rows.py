"""Reads CSV files row by row, each with its line; the delimiter is told by the first line."""

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from .entry import Faulty, Place

DELIMITERS = ",;\t"


@dataclass(frozen=True, slots=True, repr=False)
class Row:
    """The cells of a row, without outer blanks."""

    place: Place
    cells: list[str]


def rows(text: str) -> Iterator[Row]:
    """Yield the rows that are not empty.

    Raises
    ------
    Faulty
        Quotes do not close, or something that no text holds stands there.
    """
    first = text.partition("\n")[0]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=max(DELIMITERS, key=first.count), strict=True)
    while True:
        place = Place(reader.line_num + 1)
        try:
            cells = [cell.strip() for cell in next(reader)]
        except StopIteration:
            return
        except csv.Error:
            raise Faulty(place, "is not CSV: is a quotation mark missing?") from None
        if any(cells):
            yield Row(place, cells)


class Headed:
    """The rows of a file whose first line names its columns.

    Parameters
    ----------
    text
        The whole file.
    needed
        Columns that must be there; others may be.
    """

    def __init__(self, text: str, needed: Sequence[str]) -> None:
        self._rows = rows(text)
        head = next(self._rows, Row(Place(1), []))
        self._width = len(head.cells)
        names = [_same(cell) for cell in head.cells]
        self._at: dict[str, int] = {}
        for name in needed:
            found = [at for at, each in enumerate(names) if each == _same(name)]
            if len(found) != 1:
                raise Faulty(head.place, f"{'no column is' if not found else 'several columns are'} called {name}")
            self._at[name] = found[0]

    def __iter__(self) -> Iterator[tuple[Place, dict[str, str]]]:
        """Yield place and the needed cells, by name, of each row."""
        for row in self._rows:
            if len(row.cells) > self._width:
                raise Faulty(row.place, "has more cells than the first line names columns")
            cells = row.cells + [""] * (self._width - len(row.cells))
            yield row.place, {name: cells[at] for name, at in self._at.items()}


def is_headed(text: str, name: str) -> bool:
    """Tell whether the first line names a column so."""
    first = next(rows(text), None)
    return first is not None and _same(name) in map(_same, first.cells)


def _same(name: str) -> str:
    return name.strip().casefold()
