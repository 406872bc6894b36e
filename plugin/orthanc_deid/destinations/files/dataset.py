"""The one BIDS dataset of a folder: each study is merged into it, and looked for in it."""

import fcntl
import filecmp
import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ...errors import Retriable
from ...formats import names, tables
from ...formats.bids_merge import ORIGIN_COLUMNS, ORIGINS, merge
from ...settings.files import Folder
from ..base import Shipment
from . import disk
from .contents import unplaced

_PARTICIPANTS = "participants.tsv"
_PAUSE_S = 0.2


class Dataset:
    """What one study has in it."""

    def __init__(self, shipment: Shipment, settings: Folder) -> None:
        self._shipment = shipment
        self._settings = settings
        self._root = settings.path
        self._place = settings.path / names.fill(settings.template("bids"), {"project": shipment.project})
        mark = hashlib.sha256(shipment.output.encode()).hexdigest()[:12]
        self._stage = self._place.with_name(f".{self._place.name}.tmp-{mark}")
        self._lock = self._place.with_name(f".{self._place.name}.lock")

    def add(self, room_for: Callable[[int], None]) -> None:
        """Merge the study's tree into the dataset; where it is there as it is now, nothing changes.

        Raises
        ------
        Retriable
            No room, or another study takes all the time there is.
        Rejected
            Two patients would become one.
        """
        tree = self._shipment.results.bids()
        left = unplaced(tree)
        if left:
            self._shipment.remarks.append(f"images without a place in the BIDS tree: {left}")
        with disk.speaking():
            if all(self._present(tree, compare=_same)):
                shutil.rmtree(self._stage, ignore_errors=True)
                return
            room_for(sum(path.stat().st_size for path in _files(tree)))
            self._copy(tree)
            try:
                with self._alone():
                    disk.make(self._place, self._root, self._settings.folder_mode)
                    merge(self._stage, self._place)
                    self._set_modes(tree)
            finally:
                shutil.rmtree(self._stage, ignore_errors=True)

    def confirm(self) -> None:
        """Look for each file of the study in the dataset.

        Raises
        ------
        Retriable
            Something is missing or differs.
        """
        with disk.speaking():
            compare = _same if self._settings.read_back == "hash" else _same_size
            found = list(self._present(self._shipment.results.bids(), compare=compare))
        if not all(found):
            raise Retriable(f"{sum(found)} of {len(found)} parts of the study are in the BIDS dataset")

    def _copy(self, tree: Path) -> None:
        """Copy the tree beside the dataset: what was copied before a kill or pause stays."""
        for path in _files(tree):
            target = self._stage / path.relative_to(tree)
            if target.is_file() and _same(path, target):
                continue
            disk.make(target.parent, self._root, self._settings.folder_mode)
            disk.copy(path, target, self._settings.file_mode)
            self._shipment.pace.sent(path.stat().st_size)

    def _present(self, tree: Path, compare: Callable[[Path, Path], bool]) -> Iterator[bool]:
        """Answer for each file of an image, and each row of a table, whether the dataset has it."""
        yield (self._place / ORIGINS).is_file()
        places = self._places(tree)
        for row in tables.read(tree / ORIGINS, ORIGIN_COLUMNS).rows:
            for path in _of_image(tree, row["filename"]):
                suffix = path.name.removeprefix(Path(row["filename"]).name)
                place = places.get(row["filename"])
                other = self._place / f"{place}{suffix}"
                yield place is not None and other.is_file() and compare(path, other)
        for name, key, to_place in ((_PARTICIPANTS, "participant_id", {}), *self._scans(tree, places)):
            there = {row.get(key) for row in tables.read(self._place / name, (key,)).rows}
            for row in tables.read(tree / name, (key,)).rows:
                yield to_place.get(row[key], row[key]) in there

    def _places(self, tree: Path) -> dict[str, str]:
        """Map the name of each image in the study's tree to its name in the dataset, where it has one."""
        there = tables.read(self._place / ORIGINS, ORIGIN_COLUMNS).rows
        found: dict[str, str] = {}
        for row in tables.read(tree / ORIGINS, ORIGIN_COLUMNS).rows:
            own = [each for each in there if (each["series"], each["planned"]) == (row["series"], row["planned"])]
            # One series can have made several images of one planned name.
            free = [each["filename"] for each in own if each["filename"] not in found.values()]
            if free:
                found[row["filename"]] = free[0]
        return found

    def _scans(self, tree: Path, places: dict[str, str]) -> Iterator[tuple[str, str, dict[str, str]]]:
        """Yield each table of scans, its key, and how its rows are called in the dataset."""
        for path in sorted(tree.rglob("*_scans.tsv")):
            folder = path.parent.relative_to(tree).as_posix() + "/"
            own = {one: other for one, other in places.items() if one.startswith(folder)}
            rows = {f"{a.removeprefix(folder)}.nii.gz": f"{b.removeprefix(folder)}.nii.gz" for a, b in own.items()}
            yield path.relative_to(tree).as_posix(), "filename", rows

    def _set_modes(self, tree: Path) -> None:
        """Give what the merge has written the modes of the settings."""
        names_ = {*self._places(tree).values(), *(path.relative_to(tree).as_posix() for path in _files(tree))}
        folders = {folder for name in names_ for folder in (self._place / name).parents}
        for folder in folders:
            if folder.is_relative_to(self._place) and folder.is_dir():
                folder.chmod(int(self._settings.folder_mode, 8))
                disk.sync(folder)
        for path in _files(tree):
            table = self._place / path.relative_to(tree)
            if table.suffix == ".tsv" and table.is_file():
                table.chmod(int(self._settings.file_mode, 8))

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Wait until no other study is merged, but not for ever."""
        end = time.monotonic() + self._shipment.seconds
        handle = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            while True:
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > end:
                        raise Retriable("other studies are being added to the BIDS dataset") from None
                    time.sleep(_PAUSE_S)
            yield
        finally:
            os.close(handle)


def _files(tree: Path) -> list[Path]:
    return sorted(path for path in tree.rglob("*") if path.is_file())


def _of_image(tree: Path, filename: str) -> list[Path]:
    """Return an image and what stands beside it under its name."""
    stem = tree / filename
    found = stem.parent.glob(f"{stem.name}*")
    return sorted(path for path in found if path.name.removeprefix(stem.name).startswith((".", "context.tsv")))


def _same(one: Path, other: Path) -> bool:
    return filecmp.cmp(one, other, shallow=False)


def _same_size(one: Path, other: Path) -> bool:
    return one.stat().st_size == other.stat().st_size
