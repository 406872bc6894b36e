"""A folder of this machine or a mounted share: a new study is staged beside its place and renamed into it."""

import hashlib
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from ...errors import Retriable
from ...orthanc_rest import Orthanc
from ...settings.files import Folder
from ...stores.store import Digests, Stat
from ..base import Shipment
from . import disk
from .dataset import Dataset
from .fetching import study_bytes
from .sending import Sending

_PIECE_BYTES = 2**22


class FolderDestination:
    """One folder; it must be there: a mount point is never made."""

    def __init__(self, settings: Folder, orthanc: Orthanc) -> None:  # noqa: ARG002  # every kind is made alike
        self._settings = settings
        # What is written file by file, and told by a manifest.
        each = tuple(c for c in settings.content if c != "bids" or not settings.merges_bids)
        self._by_file = settings.model_copy(update={"content": each})

    def check(self) -> str:
        """Write and delete a file."""
        return FolderStore(self._settings, "check").describe()

    def send(self, shipment: Shipment) -> None:
        """Write what is not there, then the manifest; nothing where the disk has no room for all of it."""
        store = FolderStore(self._settings, shipment.output)
        if self._settings.merges_bids:
            Dataset(shipment, self._settings).add(store.room_for)
        if self._by_file.content:
            store.room_for(study_bytes(shipment) * len(shipment.new) // max(len(shipment.all), 1))
            Sending(shipment, self._by_file, store).send(lambda _: {})

    def confirm(self, shipment: Shipment) -> int:
        """Look at each file.

        Raises
        ------
        Retriable
            Something is missing or differs.
        """
        store = FolderStore(self._settings, shipment.output, sees_stages=False)
        if self._settings.merges_bids:
            Dataset(shipment, self._settings).confirm()
        return Sending(shipment, self._by_file, store).confirm() if self._by_file.content else len(shipment.all)


class FolderStore:
    """Files of one study below the folder; `publish` renames what was staged."""

    part_bytes = 2**24  # no part is sent; hashes are made all the same

    def __init__(self, settings: Folder, study: str, *, sees_stages: bool = True) -> None:
        self._settings = settings
        self._sees_stages = sees_stages
        self._root = settings.path
        self._id = hashlib.sha256(study.encode()).hexdigest()[:12]
        self._staged: dict[str, None] = {}  # units in order: that of the manifest is the last
        self._look()

    def describe(self) -> str:
        """Prove that it can be written to."""
        with disk.speaking():
            check = self._root / f".deid-check.tmp-{self._id}"
            check.write_bytes(b"")
            check.unlink()
        return f"folder, {shutil.disk_usage(self._root).free} bytes free"

    def room_for(self, count: int) -> None:
        """Raise Retriable where the disk has not so many bytes besides those that must stay free."""
        with disk.speaking():
            free = shutil.disk_usage(self._root).free - self._settings.keep_free_bytes
        if free < count:
            raise Retriable(f"the folder's disk has no room: {count - free} of {count} bytes are missing")

    def stat(self, key: str) -> Stat | None:
        """Return what is there, or staged."""
        with disk.speaking():
            for path in (self._root / key, self._staged_path(key)):
                if path is not None and path.is_file():
                    return Stat(path.stat().st_size)
        return None

    def listing(self, folder: str) -> Mapping[str, Stat]:
        """Return what stands in a folder, by key; what is staged counts."""
        found: dict[str, Stat] = {}
        with disk.speaking():
            for path in (self._staged_path(f"{folder}/x"), self._root / folder / "x"):
                if path is not None and path.parent.is_dir():
                    entries = [entry for entry in os.scandir(path.parent) if entry.is_file()]
                    found |= {f"{folder}/{entry.name}": Stat(entry.stat().st_size) for entry in entries}
        return found

    def put(self, path: Path, key: str, unit: str, digests: Digests, metadata: Mapping[str, str]) -> None:  # noqa: ARG002  # a file has none
        """Write a file whole or not at all; of a study that is not there yet, into its stage."""
        with disk.speaking():
            target = self._root / key
            if unit and not (self._root / unit).is_dir():
                self._staged.pop(unit, None)
                self._staged[unit] = None
                target = self._stage_of(unit) / Path(key).relative_to(unit)
            disk.make(target.parent, self._root, self._settings.folder_mode)
            part = target.with_name(f".{target.name[:200]}.tmp-{self._id}")
            try:
                disk.copy(path, part, self._settings.file_mode)
                part.replace(target)
            finally:
                part.unlink(missing_ok=True)
            disk.sync(target.parent)

    def read(self, key: str) -> Iterator[bytes]:
        """Yield the content of a file, piece by piece."""
        with disk.speaking():
            path = self._root / key
            staged = None if path.is_file() else self._staged_path(key)
            with (staged or path).open("rb") as file:
                while piece := file.read(_PIECE_BYTES):
                    yield piece

    def remove(self, key: str) -> None:
        """Delete a file and the folders that it leaves empty."""
        with disk.speaking():
            path = self._root / key
            path.unlink(missing_ok=True)
            for folder in path.parents:
                if folder == self._root or any(folder.iterdir()):
                    break
                folder.rmdir()

    def agrees(self, digests: Digests, stat: Stat) -> bool | None:  # noqa: ARG002  # a file system tells no hash
        """Answer None: a file system tells nothing of the content."""
        return None

    def publish(self) -> None:
        """Rename each staged study folder into its place."""
        with disk.speaking():
            for unit in self._staged:
                stage, target = self._stage_of(unit), self._root / unit
                disk.sync_tree(stage)
                if target.is_dir():  # another study has made it meanwhile
                    self._merge(stage, target)
                else:
                    stage.rename(target)
                disk.sync(target.parent)
            self._staged.clear()

    def _merge(self, stage: Path, target: Path) -> None:
        files = sorted((path for path in stage.rglob("*") if path.is_file()), key=lambda path: path.stat().st_mtime_ns)
        for path in files:  # the manifest was written last
            place = target / path.relative_to(stage)
            disk.make(place.parent, self._root, self._settings.folder_mode)
            path.replace(place)
            disk.sync(place.parent)
        shutil.rmtree(stage)

    def _look(self) -> None:
        """Raise Retriable where the folder is not there."""
        with disk.speaking():
            if not self._root.is_dir():
                raise Retriable("the folder is not there: is its share mounted?")
            if self._settings.must_be_mount and not self._root.is_mount():
                raise Retriable("the folder is not a mount point: is its share mounted?")

    def _stage_of(self, unit: str) -> Path:
        place = self._root / unit
        return place.with_name(f".{place.name}.tmp-{self._id}")

    def _staged_path(self, key: str) -> Path | None:
        """Return where a file is staged, also by a process that was killed; None where nothing is staged for it."""
        for folder in Path(key).parents[:-1] if self._sees_stages else ():
            unit = folder.as_posix()
            if self._stage_of(unit).is_dir():
                self._staged.setdefault(unit, None)
                return self._stage_of(unit) / Path(key).relative_to(folder)
        return None
