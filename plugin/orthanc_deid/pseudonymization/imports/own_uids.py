"""Our own uid_mapping.csv: the tree that was written with it says of which level and patient each UID is."""

import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

from ..forms import csv_rows
from ..forms.entry import Faulty, Place
from ..forms.two_columns import OWN_HEAD
from .row import Kind, Row, Told

LEVELS: tuple[Kind, ...] = ("study", "series", "instance")
ABSENT = "UIDs that are not in the tree"
UNNAMED = "UIDs of patients that patid_mapping.csv does not name, or not by one PatientID"


def uids(text: str, patients: dict[str, Row], tree: Path, told: Told) -> Iterator[Row]:
    """Yield the UIDs of a mapping.

    Parameters
    ----------
    text
        The whole file.
    patients
        Those of patid_mapping.csv.
    tree
        OUT of `orthanc-deid deidentify`: PATIENT/STUDY/SERIES/INSTANCE.dcm.
    told
        Gets what has no row.
    """
    levels = dict(_levels(tree))
    owners = {row.pseudonym: row for row in patients.values()}
    for row in csv_rows.rows(text):
        if row.cells == OWN_HEAD and row.place.line == 1:
            continue
        if len(row.cells) != len(OWN_HEAD) or not all(row.cells):
            raise Faulty(Place(row.place.line), "holds something else than two cells, none of them empty")
        old, new = row.cells
        kind, pseudonym = levels.get(new, (None, ""))
        owner = owners.get(pseudonym)
        if kind is None or owner is None:
            told.passed_over[ABSENT if kind is None else UNNAMED] += 1
            continue
        yield Row(str(row.place), owner.patient_id, pseudonym, kind, old, new)


def _levels(tree: Path) -> Iterator[tuple[str, tuple[Kind, str]]]:
    """Yield each new UID with its level and pseudonym."""
    for folder, _folders, files in os.walk(tree):
        parts = Path(folder).relative_to(tree).parts
        if 1 < len(parts) <= len(LEVELS):
            yield parts[-1], (LEVELS[len(parts) - 2], unquote(parts[0]))
        if len(parts) == len(LEVELS):
            yield from ((name.removesuffix(".dcm"), ("instance", unquote(parts[0]))) for name in files)
