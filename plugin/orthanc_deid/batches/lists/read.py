"""Reads the list of a person: CSV with the columns of this and of other tools, or StudyInstanceUIDs, one a line."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache

from ...pacs.base import Level, Wanted
from . import columns, sheet, values
from .agreement import Agreement
from .columns import Column
from .table import Fault, Faults, Line, Table

__all__ = ["Fault", "Line", "Table", "read"]

_EASTERNMOST = timedelta(hours=14)  # where today begins first: a study of today is in the future nowhere
_MOST_COLUMNS = 256
_UNSURE = 0.8  # how like a known name a first line must be to be a header with a slip in it
_PRINTABLE = re.compile(r"[^ -~\u00a1-\ud7ff]+")
_UID_LIKE = re.compile(r"[0-9.]*[0-9]\.[0-9][0-9.]*")
_STUDY_UID = columns.BY_NAME["StudyInstanceUID"]
_OURS = tuple(column.name for column in columns.COLUMNS if column.level is None)


def read(text: str | bytes, today: date | None = None) -> Table:
    """Read a list as a whole: every line becomes a Line or has a Fault; never raises.

    `today` is the last day that is not in the future; without: by the clock.
    """
    faults = Faults()
    try:
        rows = list(sheet.rows(sheet.text_of(text)))
    except ValueError as error:
        faults.add(1, "", str(error))
        return Table((), faults.all(), ())
    latest = f"{today or (datetime.now(UTC) + _EASTERNMOST).date():%Y%m%d}"
    return _Reader(latest, faults).table(rows)


@dataclass(frozen=True)
class _Heading:
    """One column of the file."""

    written: str  # as it may be told; empty: it has no name
    column: Column | None  # that its cells are checked by; None: of no known column, which is told already


class _Reader:
    """Reads the lines of one file."""

    def __init__(self, latest: str, faults: Faults) -> None:
        self._latest = latest
        self._faults = faults
        self._agreement = Agreement()
        self._delimiter = ","
        self._headings: list[_Heading] = []

    def table(self, rows: Sequence[sheet.Row]) -> Table:
        rows = self._headed(rows)
        lines = tuple(filter(None, map(self._line, rows)))
        if not rows and not self._faults.told:
            self._faults.add(1, "", "there is no line to ask for")
        named = dict.fromkeys(heading.column.name for heading in self._headings if heading.column)
        return Table(lines, self._faults.all(), tuple(named))

    def _headed(self, rows: Sequence[sheet.Row]) -> Sequence[sheet.Row]:
        """Read the header; return the lines below it."""
        if rows and (declared := sheet.declared(rows[0].text)):
            rows = rows[1:]
        if not rows:
            return rows
        first = rows[0]
        if _UID_LIKE.fullmatch(first.text.strip()):
            self._headings = [_Heading(_STUDY_UID.name, _STUDY_UID)]
            return rows
        self._delimiter = declared or sheet.delimiter(first.text, lambda name: columns.known(name) is not None)
        self._headings = self._header(first)
        return rows[1:]

    def _header(self, row: sheet.Row) -> list[_Heading]:
        try:
            names = _readable(row, self._delimiter)
        except ValueError as error:
            self._faults.add(row.number, "", str(error))
            return []
        if len(names) > _MOST_COLUMNS:
            self._faults.add(row.number, "", f"has more than {_MOST_COLUMNS} columns")
            return []
        sure = any(map(columns.known, names))
        if not sure and not any(columns.nearest(name, _UNSURE) for name in names):
            self._faults.add(row.number, "", _no_header(row.text))
            return []
        return list(self._named(row.number, names, sure=sure))

    def _named(self, number: int, names: Iterable[str], *, sure: bool) -> Iterator[_Heading]:
        seen: dict[str, str] = {}
        for place, name in enumerate(names, 1):
            column = columns.known(name)
            # Where no name is known for certain the line may be data: nothing of it is repeated then.
            quoted = bool(column) or sure or bool(columns.nearest(name, _UNSURE))
            written = (_shown(name) if quoted else f"column {place}") if name else ""
            if not column and name:
                self._faults.add(number, written, _unknown(name))
                column = columns.BY_NAME.get(columns.nearest(name))  # so that its cells are checked all the same
                column = None if column and column.name in seen else column
            elif column and column.name in seen:
                self._faults.add(number, written, f"is the same column as {seen[column.name]}: keep one of them")
                column = None
            if column:
                seen[column.name] = written
            yield _Heading(written, column)

    def _line(self, row: sheet.Row) -> Line | None:
        """Return a line; None where it has a fault."""
        before = len(self._faults.told) + self._faults.untold
        try:
            cells = _readable(row, self._delimiter)
        except ValueError as error:
            self._faults.add(row.number, "", str(error))
            return None
        if not self._headings:
            self._faults.add(row.number, "", "cannot be read without a header")
            return None
        written, asked = self._cells(row.number, cells, plain=values.is_plain(row.text.replace(self._delimiter, "")))
        line = self._asked(row.number, written, asked)
        return line if len(self._faults.told) + self._faults.untold == before else None

    def _cells(self, number: int, cells: Sequence[str], *, plain: bool) -> tuple[dict[str, str], dict[str, str]]:
        """Return what was written and what is asked for, by column."""
        written: dict[str, str] = {}
        asked: dict[str, str] = {}
        for place, (cell, heading) in enumerate(zip(cells, self._headings, strict=False), 1):
            if not cell:
                continue
            if heading.column:
                written[heading.column.name] = cell
                try:
                    asked[heading.column.name] = heading.column.value(cell, self._latest, plain=plain)
                except ValueError as error:
                    self._faults.add(number, heading.written, str(error))
            elif not heading.written:
                self._faults.add(number, f"column {place}", "holds a value, and its column has no name")
        if any(cells[len(self._headings) :]):
            self._faults.add(number, "", f"has more cells than the header has columns ({len(self._headings)})")
        return written, asked

    def _asked(self, number: int, written: Mapping[str, str], asked: dict[str, str]) -> Line | None:
        if not written.keys() - set(_OURS):
            self._faults.add(number, "", "asks for nothing: fill in a cell of a known column, or delete the line")
            return None
        ours = {name: asked.pop(name, "") for name in _OURS}
        for column, message in self._agreement.faults(number, written, ours["Pseudonym"]):
            self._faults.add(number, column, message)
        try:
            _join_dates(asked)
        except ValueError as error:
            self._faults.add(number, "From" if "From" in written else "Until", str(error))
        level = _level(tuple(asked))
        if level == "study" and "Modality" in asked:
            asked["ModalitiesInStudy"] = asked.pop("Modality")
        return Line(number, Wanted(level, asked), ours["Project"], ours["Pseudonym"], ours["Album"], written)


def _readable(row: sheet.Row, delimiter: str) -> list[str]:
    if fault := row.fault():
        raise ValueError(fault)
    return sheet.cells(row.text, delimiter)


def _join_dates(asked: dict[str, str]) -> None:
    """Make one range of From and Until."""
    begin, end = asked.pop("From", ""), asked.pop("Until", "")
    if not begin and not end:
        return
    if "StudyDate" in asked:
        raise ValueError("stands beside a StudyDate: keep one of them")
    asked["StudyDate"] = values.between(begin, end)


@lru_cache(maxsize=4096)  # lines of one list use few sets of columns
def _level(names: tuple[str, ...]) -> Level:
    """Return the deepest level of the columns that are used."""
    used = {columns.BY_NAME[name].level for name in names}
    return next((level for level in reversed(columns.LEVELS) if level in used), "study")


def _no_header(text: str) -> str:
    if text.lstrip().startswith(("[", "{")):
        return "this is JSON: a list of reviews is read as such, all else is CSV"
    return "names no known column: the header is missing, or of another kind of list"


def _unknown(name: str) -> str:
    if hint := columns.NOT_TAKEN.get(columns.reduced(name)):
        return hint
    if near := columns.nearest(name):
        return f"unknown column (did you mean {near}?)"
    return f"unknown column (known: {', '.join(column.name for column in columns.COLUMNS)})"


def _shown(name: str) -> str:
    """Return the name of a column as it can be printed."""
    return _PRINTABLE.sub("?", name)[:64]
