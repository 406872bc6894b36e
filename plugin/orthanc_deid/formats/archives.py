"""Reproducible archives: the same files give the same bytes, read and written piece by piece."""

import gzip
import shutil
import stat
import tarfile
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

from ..errors import Rejected
from . import atomic

_PIECE_BYTES = 2**20
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest that a ZIP can tell
_MODE = 0o644
_UNIX = 3  # APPNOTE 4.4.2: the host system that the mode belongs to


def zip_files(files: Mapping[str, Path], out: Path, *, deflated: bool = False) -> Path:
    """Write files under their names in the archive; stored, as DICOM that is compressed shrinks no more, or deflated.

    Raises
    ------
    Rejected
        A name leads out of the archive or stands for two files, or a file changed while it was read.
    """
    method = zipfile.ZIP_DEFLATED if deflated else zipfile.ZIP_STORED
    with atomic.file(out) as temporary, zipfile.ZipFile(temporary, "w", method, allowZip64=True) as archive:
        for name, path in _sorted(files):
            info = zipfile.ZipInfo(name, _EPOCH)
            info.compress_type, info.create_system = method, _UNIX
            info.external_attr = (stat.S_IFREG | _MODE) << 16
            info.file_size = path.stat().st_size  # decides whether the header has room for ZIP64
            expected = info.file_size
            with path.open("rb") as source, archive.open(info, "w") as target:
                shutil.copyfileobj(source, target, _PIECE_BYTES)
            if info.file_size != expected:
                raise Rejected("a file changed while it was put into an archive")
    return out


def tar_gz(files: Mapping[str, Path], out: Path) -> Path:
    """Write files under their names in a compressed tar; without owners and times.

    Raises
    ------
    Rejected
        A name leads out of the archive or stands for two files, or a file changed while it was read.
    """
    with (
        atomic.file(out) as temporary,
        temporary.open("wb") as raw,
        gzip.GzipFile(filename="", mode="wb", compresslevel=6, fileobj=raw, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w|", format=tarfile.PAX_FORMAT, bufsize=_PIECE_BYTES) as archive,
    ):
        for name, path in _sorted(files):
            info = tarfile.TarInfo(name)
            info.size, info.mode, info.mtime = path.stat().st_size, _MODE, 0
            with path.open("rb") as source:
                try:
                    archive.addfile(info, source)
                except OSError as error:
                    if error.errno is not None:  # a full disk; what tarfile itself raises has no number
                        raise
                    raise Rejected("a file changed while it was put into an archive") from None
                if source.read(1):
                    raise Rejected("a file changed while it was put into an archive")
    return out


def files_of(folder: Path) -> dict[str, Path]:
    """Return every file below a folder by the name that it has in an archive."""
    return {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}


def _sorted(files: Mapping[str, Path]) -> Iterator[tuple[str, Path]]:
    seen: set[str] = set()
    for name in sorted(files):
        parts = PurePosixPath(name).parts
        if not parts or name.startswith("/") or ".." in parts or "\\" in name or "/".join(parts) != name:
            raise Rejected("a name in an archive is not a relative path")
        if name.casefold() in seen:
            raise Rejected("two names in an archive differ only in case: many systems unpack one of them")
        seen.add(name.casefold())
        yield name, files[name]
