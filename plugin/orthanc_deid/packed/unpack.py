"""Reads files of a folder and of ZIP files in it; never unpacks to the disk, never reads more than was announced."""

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO, cast

from ..errors import Rejected

# A ZIP file that announces more than both is a bomb; DICOM packs to a half or a third, empty masks to a hundredth.
MOST_BYTES, MOST_TIMES = 2**30, 200
_ENCRYPTED = 0x1  # bit of the flags (APPNOTE 4.4.4)
_BUFFER = 2**16  # bytes; small steps back inside it need no new start of the decompression


@dataclass(frozen=True, slots=True, order=True)
class Source:
    """A file in IN, or with `index` (from 0) a member of a ZIP file there; paths are relative to IN."""

    path: str
    index: int = -1
    member: str = ""
    size: int = 0  # bytes, unpacked
    stamp: str = ""  # differs where the file was changed

    @property
    def shown(self) -> str:
        """The path for people: a ZIP file like a folder."""
        return f"{self.path}/{self.member}" if self.index >= 0 else self.path


def members(root: Path, archive: Source, instance_bytes: int) -> Iterator[Source | tuple[str, str]]:
    """Yield each file of a ZIP file, or the path and reason of what cannot be read."""
    try:
        infos = _opened(root / archive.path, archive.stamp).infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, UnicodeDecodeError) as error:
        yield archive.path, f"a ZIP file that cannot be read ({type(error).__name__})"
        return
    if sum(info.file_size for info in infos) > max(MOST_BYTES, MOST_TIMES * archive.size):
        yield archive.path, f"a ZIP file that unpacks to more than {MOST_TIMES} times its size"
        return
    encrypted = sum(bool(info.flag_bits & _ENCRYPTED) for info in infos)
    if encrypted:
        yield archive.path, f"an encrypted ZIP file: {encrypted} of its {len(infos)} files cannot be read"
    for index, info in enumerate(infos):
        stamp = f"{archive.stamp}:{info.header_offset}:{info.CRC}"
        source = Source(archive.path, index, info.filename, info.file_size, stamp)
        if info.file_size > instance_bytes:
            yield source.shown, f"larger than {instance_bytes} bytes"
        elif not (info.is_dir() or info.flag_bits & _ENCRYPTED):
            yield source


@contextmanager
def opened(root: Path, source: Source) -> Iterator[BinaryIO]:
    """Open a source for reading.

    Raises
    ------
    Rejected
        It cannot be read, inside the block too; the message names no path.
    """
    try:
        with _stream(root, source) as stream:
            yield stream
    except (OSError, zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise Rejected(f"cannot be read ({type(error).__name__})") from None
    except (NotImplementedError, RuntimeError):
        raise Rejected("packed in a way that cannot be unpacked here") from None


def read(root: Path, source: Source) -> bytes:
    """Read a whole source.

    Raises
    ------
    Rejected
        It cannot be read, or is larger than it was when it was looked at.
    """
    with opened(root, source) as stream:
        data = stream.read(source.size)
        if len(data) != source.size or stream.read(1):
            raise Rejected("it was changed while it was read")
    return data


def _stream(root: Path, source: Source) -> BinaryIO:
    if source.index < 0:
        return (root / source.path).open("rb")
    archive = _opened(root / source.path, source.stamp.rsplit(":", 2)[0])
    member = archive.open(archive.infolist()[source.index])
    return cast("BinaryIO", BufferedReader(member, _BUFFER))


@lru_cache(maxsize=2)
def _opened(path: Path, _stamp: str) -> zipfile.ZipFile:
    """Open a ZIP file once for the thousands of files that may be in it."""
    return zipfile.ZipFile(path)
