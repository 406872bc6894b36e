"""A hook for `orthanc-deid staging run --hook`: link studies to a research database by their accession number.

A study whose accession number stands in the database belongs to the participant of that row. It is accepted, and its
pseudonym is written down with the participant's alias; any other study is refused. Practice looks, and writes nothing.

Copy it and change what is below. It needs nothing but Python 3.8 or later, whichever `--hook-python` names. The link
leads from alias to pseudonym: keep the database where that may be known.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Iterator

DATABASE = Path("/srv/research/encounters.sqlite")
TABLE = "encounter"  # one row for each order
ACCESSION = "accession_number"  # its columns
ALIAS = "alias"
LINKS = "imaging_link"  # made where it is missing: alias, pseudonym, StudyInstanceUID of the output
WAIT_S = 30  # for whoever else writes

NO_NUMBER = "no accession number"
NO_ENCOUNTER = "no encounter"
SEVERAL = "encounters of several participants"
ANOTHER = "its pseudonym is linked to another participant"


def hook(run: Any) -> Iterator[Any]:  # noqa: ANN401  # of staging/hook_protocol.py, which other Pythons do not have
    """Answer for every study; all links are written together, or none."""
    # Read-only in practice; never made where it is missing.
    address = f"file:{quote(str(DATABASE))}?mode={'ro' if run.practice else 'rw'}"
    with closing(sqlite3.connect(address, uri=True, timeout=WAIT_S)) as database, database:
        if not run.practice:
            database.execute("BEGIN IMMEDIATE")
            database.execute(
                f'CREATE TABLE IF NOT EXISTS "{LINKS}"'
                " (alias TEXT NOT NULL, pseudonym TEXT NOT NULL, study TEXT NOT NULL PRIMARY KEY)"
            )
        verdicts = [judge(database, study, practice=run.practice) for study in run.studies]
        run.note(f"{sum(verdict.accepted for verdict in verdicts)} of {len(verdicts)} studies have an encounter")
    return iter(verdicts)


def judge(database: sqlite3.Connection, study: Any, *, practice: bool) -> Any:  # noqa: ANN401  # as above
    """Accept a study of one participant and link it."""
    number = study.original.AccessionNumber.strip()
    if not number:
        return study.refuse(NO_NUMBER)
    query = f'SELECT DISTINCT "{ALIAS}" FROM "{TABLE}" WHERE TRIM("{ACCESSION}") = ?'  # noqa: S608  # names from above
    aliases = [str(row[0]) for row in database.execute(query, (number,)) if row[0] is not None]
    if len(aliases) != 1:
        return study.refuse(SEVERAL if aliases else NO_ENCOUNTER)
    if linked(database, study.output.PatientID) - {aliases[0]}:
        return study.refuse(ANOTHER)
    if not practice:
        # The same once more changes nothing: a run that was killed asks again.
        values = (aliases[0], study.output.PatientID, study.output.StudyInstanceUID)
        database.execute(f'INSERT OR REPLACE INTO "{LINKS}" VALUES (?, ?, ?)', values)  # noqa: S608  # as above
    return study.accept()


def linked(database: sqlite3.Connection, pseudonym: str) -> set[str]:
    """Return the aliases that a pseudonym has already."""
    there = database.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", (LINKS,)).fetchone()
    if not there:
        return set()
    query = f'SELECT DISTINCT alias FROM "{LINKS}" WHERE pseudonym = ?'  # noqa: S608  # a name from above
    return {str(row[0]) for row in database.execute(query, (pseudonym,))}
