"""A folder of this machine or a mounted share: a new study is staged beside its place and renamed into it."""

import errno
import hashlib
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from ...errors import DeidError, Retriable
from ...orthanc_rest import Orthanc
from ...settings.files import Folder
from ..base import Shipment
from .fetching import study_bytes
from .sending import Sending
from .store import Digests, Stat

_PIECE_BYTES = 2**22


class FolderDestination:
    """One folder; it must be there: a mount point is never made."""

    def __init__(self, settings: Folder, orthanc: Orthanc) -> None:  # noqa: ARG002  # every kind is made alike
        self._settings = settings

    def check(self) -> str:
        """Write and delete a file."""
        return FolderStore(self._settings, "check").describe()

    def send(self, shipment: Shipment) -> None:
        """Write what is not there, then the manifest; nothing where the disk has no room for all of it."""
        store = FolderStore(self._settings, shipment.output)
        store.room_for(study_bytes(shipment) * len(shipment.new) // max(len(shipment.all), 1))
        Sending(shipment, self._settings, store).send(lambda _: {})

    def confirm(self, shipment: Shipment) -> int:
        """Look at each file.

        Raises
        ------
        Retriable
            Something is missing or differs.
        """
        store = FolderStore(self._settings, shipment.output, sees_stages=False)
        return Sending(shipment, self._settings, store).confirm()


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
        with _speaking():
            check = self._root / f".deid-check.tmp-{self._id}"
            check.write_bytes(b"")
            check.unlink()
        return f"folder, {shutil.disk_usage(self._root).free} bytes free"

    def room_for(self, count: int) -> None:
        """Raise Retriable where the disk has not so many bytes besides those that must stay free."""
        with _speaking():
            free = shutil.disk_usage(self._root).free - self._settings.keep_free_bytes
        if free < count:
            raise Retriable(f"the folder's disk has no room: {count - free} of {count} bytes are missing")

    def stat(self, key: str) -> Stat | None:
        """Return what is there, or staged."""
        with _speaking():
            for path in (self._root / key, self._staged_path(key)):
                if path is not None and path.is_file():
                    return Stat(path.stat().st_size)
        return None

    def listing(self, folder: str) -> Mapping[str, Stat]:
        """Return what stands in a folder, by key; what is staged counts."""
        found: dict[str, Stat] = {}
        with _speaking():
            for path in (self._staged_path(f"{folder}/x"), self._root / folder / "x"):
                if path is not None and path.parent.is_dir():
                    entries = [entry for entry in os.scandir(path.parent) if entry.is_file()]
                    found |= {f"{folder}/{entry.name}": Stat(entry.stat().st_size) for entry in entries}
        return found

    def put(self, path: Path, key: str, unit: str, digests: Digests, metadata: Mapping[str, str]) -> None:  # noqa: ARG002  # a file has none
        """Write a file whole or not at all; of a study that is not there yet, into its stage."""
        with _speaking():
            target = self._root / key
            if unit and not (self._root / unit).is_dir():
                self._staged.pop(unit, None)
                self._staged[unit] = None
                target = self._stage_of(unit) / Path(key).relative_to(unit)
            self._make(target.parent)
            part = target.with_name(f".{target.name[:200]}.tmp-{self._id}")
            try:
                self._write(path, part)
                part.replace(target)
            finally:
                part.unlink(missing_ok=True)
            _sync(target.parent)

    def read(self, key: str) -> Iterator[bytes]:
        """Yield the content of a file, piece by piece."""
        with _speaking():
            path = self._root / key
            staged = None if path.is_file() else self._staged_path(key)
            with (staged or path).open("rb") as file:
                while piece := file.read(_PIECE_BYTES):
                    yield piece

    def remove(self, key: str) -> None:
        """Delete a file and the folders that it leaves empty."""
        with _speaking():
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
        with _speaking():
            for unit in self._staged:
                stage, target = self._stage_of(unit), self._root / unit
                _sync_tree(stage)
                if target.is_dir():  # another study has made it meanwhile
                    self._merge(stage, target)
                else:
                    stage.rename(target)
                _sync(target.parent)
            self._staged.clear()

    def _merge(self, stage: Path, target: Path) -> None:
        files = sorted((path for path in stage.rglob("*") if path.is_file()), key=lambda path: path.stat().st_mtime_ns)
        for path in files:  # the manifest was written last
            place = target / path.relative_to(stage)
            self._make(place.parent)
            path.replace(place)
            _sync(place.parent)
        shutil.rmtree(stage)

    def _look(self) -> None:
        """Raise Retriable where the folder is not there."""
        with _speaking():
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

    def _make(self, folder: Path) -> None:
        """Make folders below the root, with the mode of the settings whatever the umask."""
        missing = [each for each in (folder, *folder.parents) if each.is_relative_to(self._root) and not each.is_dir()]
        for each in reversed(missing):
            each.mkdir(exist_ok=True)
            each.chmod(int(self._settings.folder_mode, 8))
            _sync(each.parent)

    def _write(self, source: Path, target: Path) -> None:
        with source.open("rb") as file, target.open("wb") as out:
            os.fchmod(out.fileno(), int(self._settings.file_mode, 8))
            shutil.copyfileobj(file, out, _PIECE_BYTES)
            out.flush()
            os.fsync(out.fileno())


def _sync(folder: Path) -> None:
    """Make the names in a folder durable."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _sync_tree(folder: Path) -> None:
    for path, _, _ in os.walk(folder):
        _sync(Path(path))


@contextmanager
def _speaking() -> Iterator[None]:
    """Raise errors of ours in place of those that hold a path.

    Raises
    ------
    Retriable
        Not permitted, full, away: a person mends it, and it may succeed later.
    """
    try:
        yield
    except DeidError:
        raise
    except PermissionError:
        raise Retriable("the folder may not be written or read: see the permissions of our account") from None
    except FileNotFoundError:
        raise Retriable("a file or folder went away while it was used") from None
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise Retriable("the folder's disk is full") from None
        raise Retriable(f"the folder cannot be used ({type(error).__name__} {error.errno})") from None
