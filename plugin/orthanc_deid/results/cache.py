"""A folder of finished conversions: each appears as a whole under a name made from what it was made of."""

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ABOUT = "about.json"
NEW = ".new-"
ABANDONED_S = 86400.0  # nothing takes so long


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

    def find(self, name: str) -> Made | None:
        """Return a conversion that is there, and note that it was used."""
        folder = self.folder / name
        try:
            about = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        with contextlib.suppress(OSError):
            os.utime(folder)
        return Made(folder, tuple(about["files"]), tuple(about["remarks"]), about["refused"])

    def new(self) -> Path:
        """Return a folder to make a conversion in."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        return Path(tempfile.mkdtemp(prefix=NEW, dir=self.folder))

    def keep(self, made: Path, name: str, answer: Answer) -> Made:
        """Give a conversion its name; where another process was faster, its result is taken."""
        target = self.folder / name
        about = {"files": answer.files, "remarks": answer.remarks, "refused": answer.refused}
        with (made / ABOUT).open("w", encoding="utf-8") as file:
            json.dump(about, file)
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(OSError):  # it is there already
            made.rename(target)
        shutil.rmtree(made, ignore_errors=True)
        found = self.find(name)
        if found is None:
            raise OSError("a conversion that was just made is gone")
        return found

    def discard(self, folder: Path) -> None:
        """Remove a folder of `new` that was not kept."""
        shutil.rmtree(folder, ignore_errors=True)

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
    """Walk over all conversions, and over what a killed process left half made."""
    for study in results.iterdir() if results.is_dir() else ():
        if not study.name.isdigit():
            continue
        for folder in study.iterdir():
            with contextlib.suppress(OSError):  # removed meanwhile
                used_at = folder.stat().st_mtime
                if folder.name.startswith(NEW) and time.time() - used_at < ABANDONED_S:
                    continue
                size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
                yield Entry(int(study.name), folder, used_at, size)


def remove(entry: Entry) -> None:
    """Remove a conversion; whoever asks for it again has it made anew."""
    gone = entry.folder.with_name(f"{NEW}gone-{entry.folder.name}")
    with contextlib.suppress(OSError):
        entry.folder.rename(gone)
        shutil.rmtree(gone, ignore_errors=True)
        entry.folder.parent.rmdir()
