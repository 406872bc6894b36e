"""A folder of finished conversions: each appears as a whole under a name made from what it was made of."""

import contextlib
import fcntl
import hashlib
import json
import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ABOUT = "about.json"
NEW = ".new-"
YOUNG_S = 60.0  # between making a folder and locking it
ABANDONED_S = 86400.0  # where a file system knows no locks: nothing takes so long
TRIES = 5


@dataclass(frozen=True)
class Made:
    """One conversion: its folder, and why there is nothing in it where there is not."""

    folder: Path
    files: tuple[str, ...]  # relative to the folder
    remarks: tuple[str, ...]
    refused: str | None

    @property
    def paths(self) -> tuple[Path, ...]:
        """The files with their folder."""
        return tuple(self.folder / name for name in self.files)


@dataclass(frozen=True)
class Answer:
    """What a maker has put into the folder that it was given, files by relative name."""

    files: tuple[str, ...]
    remarks: tuple[str, ...] = ()
    refused: str | None = None


def name(kind: str, *made_of: Any) -> str:  # noqa: ANN401  # JSON values
    """Return the name of a conversion of that kind: equal inputs and options give equal names."""
    return f"{kind}-{hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()[:24]}"


class Cache:
    """The conversions of one study, by our number."""

    def __init__(self, results: Path, study: int) -> None:
        self.folder = results / str(study)
        self._locks: dict[Path, int] = {}  # of the folders that this process makes conversions in

    def find(self, name: str) -> Made | None:
        """Return a conversion that is there and whole, and note that it was used."""
        folder = self.folder / name
        try:
            about = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
            # After a power failure a file may be there without its content.
            if [(folder / file).stat().st_size for file in about["files"]] != about["sizes"]:
                return None
        except (OSError, ValueError, KeyError):
            return None
        with contextlib.suppress(OSError):
            os.utime(folder)
        return Made(folder, tuple(about["files"]), tuple(about["remarks"]), about["refused"])

    def new(self) -> Path:
        """Return a folder to make a conversion in."""
        for _ in range(TRIES):
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            with contextlib.suppress(FileNotFoundError):  # retention has removed the empty one above it
                folder = Path(tempfile.mkdtemp(prefix=NEW, dir=self.folder))
                self._locks[folder] = _lock(folder)
                return folder
        raise OSError("the folder of a study's conversions cannot be made")

    def keep(self, made: Path, name: str, answer: Answer) -> Made:
        """Give a conversion its name; where another process was faster, its result is taken."""
        target = self.folder / name
        sizes = [(made / file).stat().st_size for file in answer.files]
        about = {"files": answer.files, "sizes": sizes, "remarks": answer.remarks, "refused": answer.refused}
        with (made / ABOUT).open("w", encoding="utf-8") as file:
            json.dump(about, file)
            file.flush()
            os.fsync(file.fileno())
        try:
            made.rename(target)
        except OSError:  # it is there already
            if self.find(name) is None:
                _remove(target)
                made.rename(target)
        self.discard(made)
        found = self.find(name)
        if found is None:
            raise FileNotFoundError("a conversion that was just made is gone")
        return found

    def discard(self, folder: Path) -> None:
        """Remove a folder of `new` that was not kept."""
        shutil.rmtree(folder, ignore_errors=True)
        lock = self._locks.pop(folder, None)
        if lock is not None:
            os.close(lock)

    def make(self, name: str, maker: Callable[[Path], Answer]) -> Made:
        """Return a conversion, made now where it is not there."""
        found = self.find(name)
        if found is None:
            folder = self.new()
            try:
                found = self.keep(folder, name, maker(folder))
            finally:
                self.discard(folder)
        return found


@dataclass(frozen=True)
class Entry:
    """One conversion on disk; `used_at` in UTC seconds since 1970."""

    study: int
    folder: Path
    used_at: float
    size: int  # bytes


def entries(results: Path) -> Iterator[Entry]:
    """Walk over all conversions, and over what is being made."""
    for study in results.iterdir() if results.is_dir() else ():
        if not study.name.isdigit():
            continue
        with contextlib.suppress(OSError):  # removed meanwhile
            for folder in list(study.iterdir()):
                yield from _entry(int(study.name), folder)


def remove(entry: Entry) -> None:
    """Remove a conversion; whoever asks for it again has it made anew. What is being made stays."""
    if entry.folder.name.startswith(NEW) and not _is_abandoned(entry.folder):
        return
    _remove(entry.folder)
    with contextlib.suppress(OSError):
        entry.folder.parent.rmdir()


def sweep(results: Path) -> int:
    """Remove what killed processes have left half made; answer how many."""
    left = [e for e in entries(results) if e.folder.name.startswith(NEW) and _is_abandoned(e.folder)]
    for entry in left:
        remove(entry)
    return len(left)


def _entry(study: int, folder: Path) -> Iterator[Entry]:
    with contextlib.suppress(OSError):
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        yield Entry(study, folder, folder.stat().st_mtime, size)


def _remove(folder: Path) -> None:
    """Remove a folder that nobody finds half empty: it loses its name first."""
    gone = folder.with_name(f"{NEW}gone-{secrets.token_hex(8)}")
    with contextlib.suppress(OSError):
        folder.rename(gone)
        shutil.rmtree(gone, ignore_errors=True)


def _lock(folder: Path) -> int:
    """Lock a folder for as long as this process lives or `discard` lets go: the kernel does so after kill -9."""
    file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    with contextlib.suppress(OSError):  # a share of another kind
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return file


def _is_abandoned(folder: Path) -> bool:
    """Tell whether nobody makes a conversion in a folder of `new` any more."""
    try:
        age_s = time.time() - folder.stat().st_mtime
        file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return False  # gone
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return age_s > ABANDONED_S
    finally:
        os.close(file)
    return age_s >= YOUNG_S
