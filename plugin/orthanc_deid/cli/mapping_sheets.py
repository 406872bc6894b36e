"""The tables of validate, as image-deid-etl names them: who is who, and what is missing; nobody else may read them."""

import contextlib
import csv
import os
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TextIO

import click

from ..batches.lists.spreadsheets import protected

COLUMNS = ("mrn", "accession_num", "subject", "session_label", "project", "fw_proj", "pseudonym", "study")
MISSING = ("accession_num", "mrn", "project", "study", "reason")
# What is missing, and the table of those who miss it.
TABLES: Mapping[str, str] = {
    "project": "missing_projects",
    "subject": "missing_subject_ids",
    "session": "missing_sessions",
    "diagnosis": "missing_diagnosis",
}
MAPPING = "sub_mapping"


class Sheets:
    """Tables in a folder, written row by row; they get their names when all is written, and replace none.

    Without a folder nothing is written.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._open: dict[str, tuple[Path, TextIO, Any]] = {}
        self.written: list[Path] = []

    def __enter__(self) -> Self:
        """Begin the mapping, so that it is there where it has no row as well."""
        if self._folder:
            try:
                self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                self._table(MAPPING, COLUMNS)
            except OSError as error:
                raise click.ClickException(f"--csv: the folder cannot be written ({type(error).__name__})") from None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the tables their names; what was not finished is removed."""
        for name, (path, file, _) in self._open.items():
            file.close()
            if kind is None:
                self.written.append(_named(path, name))
            with contextlib.suppress(OSError):
                path.unlink()

    def add(self, item: Mapping[str, Any]) -> None:
        """Write what is told of a study."""
        if not self._folder:
            return
        told = {**item, "session_label": item["session"], "fw_proj": item["diagnosis_project"], "study": item["source"]}
        if not item["missing"]:
            self._write(MAPPING, COLUMNS, told)
        for missing in item["missing"]:
            self._write(TABLES[missing["what"]], MISSING, {**told, "reason": missing["reason"]})

    def _write(self, name: str, columns: tuple[str, ...], told: Mapping[str, Any]) -> None:
        self._table(name, columns).writerow([protected(str(told[column] or "")) for column in columns])

    def _table(self, name: str, columns: tuple[str, ...]) -> Any:  # noqa: ANN401  # csv's writer has no public name
        if name not in self._open:
            assert self._folder  # noqa: S101  # nothing is written without one
            path = self._folder / f".{name}-{secrets.token_hex(8)}.tmp"
            descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
            file = os.fdopen(descriptor, "w", encoding="utf-8", newline="")
            self._open[name] = path, file, csv.writer(file)
            self._open[name][2].writerow(columns)
        return self._open[name][2]


def _named(path: Path, name: str) -> Path:
    """Link a table to the first name of today that is free: NAME_2026-11-21.csv, NAME_2026-11-21_1.csv, ..."""
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    for number in count():
        target = path.with_name(f"{name}_{today}{f'_{number}' if number else ''}.csv")
        with contextlib.suppress(FileExistsError):
            os.link(path, target)
            return target
    raise AssertionError
