"""What stands in IN: every file at any depth and in ZIP files, and why some are left out."""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from ..packed import unpack
from ..packed.kinds import HEAD, Kind, kind_of
from ..packed.unpack import Source

NO_DICOM = "not a DICOM file"


class Why(StrEnum):
    """What it means that a file has no output."""

    QUARANTINED = "quarantined"  # it is DICOM, or may hold some, and a person must look
    NOT_DICOM = "not_dicom"
    IGNORED = "ignored"


@dataclass(frozen=True, slots=True, order=True)
class Left:
    """A file of IN that has no output: its path inside IN may name a person, the reason never does."""

    path: str
    reason: str
    why: Why


@dataclass(frozen=True)
class Place:
    """IN: a folder, or one file, with the largest instance (bytes) that is accepted."""

    root: Path
    only: str | None
    instance_bytes: int


def place(path: Path, instance_bytes: int) -> Place:
    """Resolve what the person named; links inside are judged by where it really is."""
    real = path.resolve()
    return Place(real, None, instance_bytes) if real.is_dir() else Place(real.parent, real.name, instance_bytes)


def walk(of: Place) -> Iterator[Source | Left]:
    """Yield every file, nothing opened further than its first bytes and the directory of a ZIP file."""
    if of.only is not None:
        yield from _file(of, of.only)
        return
    folders = [""]
    while folders:
        below = folders.pop()
        try:
            entries = sorted(os.scandir(of.root / below), key=lambda entry: entry.name)
        except OSError as error:
            yield Left(below or ".", f"the folder cannot be read ({type(error).__name__})", Why.QUARANTINED)
            continue
        for entry in entries:
            path = f"{below}/{entry.name}" if below else entry.name
            if entry.is_dir(follow_symlinks=False):
                folders.append(path)
            else:
                yield from _link(of, path) if entry.is_symlink() else _file(of, path)


def _link(of: Place, path: str) -> Iterator[Left]:
    real = Path(os.path.realpath(of.root / path))
    if not real.exists():
        yield Left(path, "a symbolic link that leads nowhere", Why.IGNORED)
    elif real.is_relative_to(of.root):
        yield Left(path, "a symbolic link to something in the folder itself", Why.IGNORED)
    else:
        yield Left(path, "a symbolic link that leads out of the folder is not followed", Why.QUARANTINED)


def _file(of: Place, path: str) -> Iterator[Source | Left]:
    file = of.root / path
    try:
        status = file.lstat()
        if not stat.S_ISREG(status.st_mode):
            yield Left(path, "not a regular file", Why.IGNORED)
            return
        with file.open("rb") as stream:
            kind = kind_of(stream.read(HEAD))
    except OSError as error:
        yield Left(path, f"cannot be read ({type(error).__name__})", Why.QUARANTINED)
        return
    source = Source(path, size=status.st_size, stamp=f"{status.st_size}:{status.st_mtime_ns}")
    yield from _of_kind(of, source, kind)


def _of_kind(of: Place, source: Source, kind: Kind) -> Iterator[Source | Left]:
    if kind is Kind.OTHER:
        yield Left(source.path, NO_DICOM if source.size else "an empty file", Why.NOT_DICOM)
    elif kind is Kind.ZIP:
        for found in unpack.members(of.root, source, of.instance_bytes):
            yield found if isinstance(found, Source) else Left(*found, Why.QUARANTINED)
    elif source.size > of.instance_bytes:
        yield Left(source.path, f"larger than {of.instance_bytes} bytes", Why.QUARANTINED)
    else:
        yield source
