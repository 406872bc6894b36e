"""What became of a list, as CSV for the person who wrote it: identified, like the list itself."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TextIO, TypeVar

from . import spreadsheets
from .columns import COLUMNS

BEFORE = ("Line",)
AFTER = (
    "State",
    "Reason",
    "Studies",
    "Expected",
    "Arrived",
    "MissingSOPInstanceUIDs",
    "PipelineStatus",
    "OrthancStudy",
)
LOG = ("StudyInstanceUID", "SeriesNumber", "FilesFound")


@dataclass(frozen=True)
class ReportStudy:
    """A study that a line has found."""

    study_uid: str
    expected: int | None  # instances by the archive; None: it does not say
    arrived: int
    missing: tuple[str, ...] = ()  # SOP Instance UIDs
    state: str = ""  # of its retrieval
    orthanc: str = ""  # Orthanc id of the study here
    pipeline: str = ""  # status of the study in the pipeline


@dataclass(frozen=True)
class ReportRow:
    """A line and its end."""

    line: int
    cells: Mapping[str, str]  # as `Line.cells`
    state: str
    reason: str
    studies: tuple[ReportStudy, ...] = ()


@dataclass(frozen=True)
class SeriesRow:
    """A series that a line has found."""

    cells: Mapping[str, str]  # as `Line.cells`
    study_uid: str
    series_number: str
    files: int


RowT = TypeVar("RowT", ReportRow, SeriesRow)


def write(rows: Iterable[ReportRow], file: TextIO, columns: Sequence[str] = ()) -> None:
    """Write a line for each row of the list; UIDs, ids and states of several studies have a blank between them.

    `columns` are those of the list; without them they are gathered first, so that all rows are held in memory.
    """
    rows, columns = _with_columns(rows, columns)
    out = csv.writer(file, lineterminator="\n")
    out.writerow((*BEFORE, *columns, *AFTER))
    for row in rows:
        cells = [row.cells.get(column, "") for column in columns]
        out.writerow(map(spreadsheets.protected, (str(row.line), *cells, *_after(row))))


def pacsifier_log(rows: Iterable[SeriesRow], file: TextIO, columns: Sequence[str] = ()) -> None:
    """Write `logs/pacsifier_log.csv`: the list's columns and the series that was found, a line for each series.

    Where the list has a StudyInstanceUID or SeriesNumber of its own, that column tells what was found.
    """
    rows, columns = _with_columns(rows, columns)
    kept = [column for column in columns if column not in LOG]
    out = csv.writer(file, lineterminator="\n")
    out.writerow((*kept, *LOG))
    for row in rows:
        cells = [row.cells.get(column, "") for column in kept]
        out.writerow(map(spreadsheets.protected, (*cells, row.study_uid, row.series_number, str(row.files))))


def _with_columns(rows: Iterable[RowT], columns: Sequence[str]) -> tuple[Iterable[RowT], Sequence[str]]:
    if columns:
        return rows, columns
    rows = list(rows)
    used = {name for row in rows for name in row.cells}
    return rows, [column.name for column in COLUMNS if column.name in used]


def _after(row: ReportRow) -> tuple[str, ...]:
    expected = [study.expected for study in row.studies]
    known = [number for number in expected if number is not None]
    return (
        row.state,
        row.reason,
        str(len(row.studies)),
        str(sum(known)) if len(known) == len(expected) else "",
        str(sum(study.arrived for study in row.studies)),
        " ".join(uid for study in row.studies for uid in study.missing),
        " ".join(study.pipeline or "none" for study in row.studies),
        " ".join(study.orthanc or "none" for study in row.studies),
    )
