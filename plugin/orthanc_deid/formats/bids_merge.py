"""Add one BIDS tree to another: what is there keeps its name, the same series is replaced, nothing is doubled.

`sourcedata/series.tsv` says which series made which file. A name is claimed there first, so that a merge that was
killed gives the same names when it is done again.
"""

import fcntl
import filecmp
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from ..errors import Rejected
from . import atomic, tables

ORIGINS = "sourcedata/series.tsv"
ORIGIN_COLUMNS = ("filename", "planned", "series", "subject", "rule")
_SUFFIXES = (".nii.gz", ".json", ".bval", ".bvec", "context.tsv")  # the last: of *_asl
_RUN = re.compile(r"_run-(\d+)(?=_)")
_BEHIND_RUN = re.compile(r"(?=(?:_(?:mod|echo|flip|inv|mt|part|chunk)-[A-Za-z0-9]+)*_[A-Za-z0-9]+$)")
_FIRST_WINS = ("dataset_description.json", "README", ".bidsignore", "participants.json")


def merge(source: Path, target: Path) -> None:
    """Add a tree to another.

    Raises
    ------
    Rejected
        Two patients would become one.
    """
    with _alone(target):
        mine = tables.read(target / ORIGINS, ORIGIN_COLUMNS)
        new = tables.read(source / ORIGINS, ORIGIN_COLUMNS)
        _same_subjects(mine, new)
        _clear(target, new)
        _remove_former(mine, new, target)
        names = _claim(mine, new, target)
        tables.write(target / ORIGINS, mine)
        for old, name in names.items():
            _put_image(source / old, target / name)
        _merge_scans(source, target, names)
        _merge_table(source, target, "participants.tsv", "participant_id", keep=True)
        _merge_table(source, target, "sourcedata/unmatched.tsv", "series")
        for name in _FIRST_WINS:
            if not (target / name).exists():
                put(source / name, target / name)


def put(source: Path, target: Path) -> None:
    """Copy or link a file; nobody sees it half."""
    with atomic.file(target) as temporary:
        temporary.unlink()
        try:
            os.link(source, temporary)
        except OSError:  # another file system
            shutil.copyfile(source, temporary)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Wait until no other process changes the tree."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _same_subjects(mine: tables.Table, new: tables.Table) -> None:
    known = {_subject_of(row): row["subject"] for row in mine.rows}
    if any(known.get(_subject_of(row), row["subject"]) != row["subject"] for row in new.rows):
        raise Rejected("two patients would have one label in BIDS: their ids differ only in signs")


def _clear(target: Path, new: tables.Table) -> None:
    """Remove what a merge left behind that was killed; nobody else is at it."""
    for folder in {target, target / "sourcedata", *((target / row["filename"]).parent for row in new.rows)}:
        for path in (*folder.glob(".*.tmp"), *folder.parent.glob(".*.tmp")):
            if path.is_file() and target in path.parents:
                path.unlink()


def _subject_of(row: Mapping[str, str]) -> str:
    return row["planned"].removeprefix("sourcedata/").split("/")[0]


def _remove_former(mine: tables.Table, new: tables.Table, target: Path) -> None:
    """Take away what another rule made of the same series."""
    planned = {(row["series"], row["planned"]) for row in new.rows}
    again = {row["series"] for row in new.rows}
    former = [row for row in mine.rows if row["series"] in again and (row["series"], row["planned"]) not in planned]
    for row in former:
        for suffix in _SUFFIXES:
            (target / f"{row['filename']}{suffix}").unlink(missing_ok=True)
        scans = _scans_of(target, row["filename"])
        table = tables.read(scans, ("filename", "acq_time"))
        table.rows = [scan for scan in table.rows if not row["filename"].endswith(scan["filename"][: -len(".nii.gz")])]
        if scans.is_file():
            tables.write(scans, table)
    mine.rows = [row for row in mine.rows if row not in former]


def _claim(mine: tables.Table, new: tables.Table, target: Path) -> dict[str, str]:
    """Return the name here for each name there; in place, a row for each."""
    names: dict[str, str] = {}
    for row in new.rows:
        same = [r for r in mine.rows if r["series"] == row["series"] and r["planned"] == row["planned"]]
        taken = {r["filename"] for r in mine.rows}
        # One series can have made several images of one planned name.
        free = [r["filename"] for r in same if r["filename"] not in names.values()]
        name = free[0] if free else _free(row, taken, target)
        names[row["filename"]] = name
        mine.merge([{**row, "filename": name}], "filename")
    return names


def _free(row: Mapping[str, str], taken: set[str], target: Path) -> str:
    """Return the name that it has there, or the next run where another series has that."""
    name, run = row["filename"], 1
    while name in taken or (target / f"{name}.nii.gz").exists():
        run += 1
        folder, _, file = row["planned"].rpartition("/")
        name = f"{folder}/{_BEHIND_RUN.sub(f'_run-{run:02d}', file, count=1)}"
    return name


def _put_image(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    for suffix in _SUFFIXES:
        one, other = (path.with_name(path.name + suffix) for path in (source, target))
        if not one.exists():
            other.unlink(missing_ok=True)
        elif not (other.exists() and filecmp.cmp(one, other, shallow=False)):
            put(one, other)


def _scans_of(tree: Path, filename: str) -> Path:
    folders = filename.split("/")[:-2]
    return tree.joinpath(*folders, "_".join(folders) + "_scans.tsv")


def _merge_scans(source: Path, target: Path, names: Mapping[str, str]) -> None:
    for path in source.rglob("*_scans.tsv"):
        folder = path.parent.relative_to(source).as_posix()
        rows = tables.read(path, ("filename", "acq_time")).rows
        for row in rows:
            name = names[f"{folder}/{row['filename'].removesuffix('.nii.gz')}"]
            row["filename"] = f"{name.removeprefix(f'{folder}/')}.nii.gz"
        mine = tables.read(target / path.relative_to(source), ("filename", "acq_time"))
        mine.merge(rows, "filename")
        tables.write(target / path.relative_to(source), mine)


def _merge_table(source: Path, target: Path, name: str, key: str, *, keep: bool = False) -> None:
    if (source / name).is_file():
        mine = tables.read(target / name, (key,))
        mine.merge(tables.read(source / name, (key,)).rows, key, keep=keep)
        tables.write(target / name, mine)
