"""The files in a ZIP or TAR file one after the other, each whole before the next; limits against bombs.

Of each only one is unpacked at a time, in memory where it is small, else in a temporary file.
"""

import bz2
import gzip
import lzma
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import SpooledTemporaryFile
from types import MappingProxyType
from typing import BinaryIO, Self, cast

from .refused import Refused, Word

HEAD = 512  # bytes that are enough to tell
IN_MEMORY = 8 * 2**20  # bytes
_PIECE = 2**20  # bytes
_ENCRYPTED = 0x1  # bit of the flags (APPNOTE 4.4.4)
_DIRECTORY_MOST = 16 * 2**20  # bytes of the directory of a ZIP file: some 150,000 names, all in memory
_IN_ZIP64 = 0xFFFFFFFF
_TAIL = 2**16 + 22  # bytes at its end that hold where the directory is (APPNOTE 4.3.16)
_HEADER_MOST = 2**20  # bytes between two members of a TAR file; long names and the like
_UNXZ_MOST = 2**27  # bytes of memory that unpacking may take; `xz -9` makes 2**26 necessary
_MAGIC = MappingProxyType({b"PK\x03\x04": "zip", b"PK\x05\x06": "zip", b"\x1f\x8b": "gz", b"BZh": "bz2",
                           b"\xfd7zXZ\x00": "xz"})  # fmt: skip

Member = BinaryIO | Refused  # of an archive


def form_of(head: bytes) -> str:
    """Tell by the first `HEAD` bytes: zip, tar, gz, bz2, xz; empty: none of them."""
    if head[257:262] == b"ustar":
        return "tar"
    return next((form for magic, form in _MAGIC.items() if head.startswith(magic)), "")


def members(path: Path, form: str, most: int, work: Path) -> Iterator[Member]:
    """Yield each file of an archive, or why it is refused; whoever takes it closes it.

    `form` is one of `form_of`, `most` the bytes that all members together may unpack to, `work` a folder of temporary
    files.

    Raises
    ------
    Refused
        The archive cannot be read, or not on from here.
    OSError
        Of the disk: it has an errno.
    """
    try:
        yield from _zip(path, most, work) if form == "zip" else _tar(path, form, most, work)
    except OSError as error:
        if error.errno is not None:
            raise
        raise _meaning(error) from None  # of bz2 and gzip
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError) as error:
        raise _meaning(error) from None
    except (NotImplementedError, RuntimeError, ValueError, OverflowError, struct.error):
        raise Refused(Word.DAMAGED, "packed in a way that cannot be unpacked here") from None


def _meaning(error: Exception) -> Refused:
    if isinstance(error, EOFError) or str(error) == "unexpected end of data":  # tarfile's own words
        return Refused(Word.TRUNCATED, "it ends too early")
    return Refused(Word.DAMAGED, f"it cannot be unpacked ({type(error).__name__})")


def spooled(stream: Callable[[int], bytes], work: Path) -> BinaryIO:
    """Copy to memory or a temporary file, piece by piece."""
    work.mkdir(parents=True, exist_ok=True, mode=0o700)
    copy = SpooledTemporaryFile(max_size=IN_MEMORY, dir=str(work))  # noqa: SIM115  # whoever takes it closes it
    try:
        while piece := stream(_PIECE):
            copy.write(piece)
        copy.seek(0)
    except BaseException:
        copy.close()
        raise
    return cast("BinaryIO", copy)


# ZIP.


def _zip(path: Path, most: int, work: Path) -> Iterator[Member]:
    _demand_small_directory(path)
    with zipfile.ZipFile(path) as archive:
        infos = [info for info in archive.infolist() if not info.is_dir()]
        if sum(info.file_size for info in infos) > most:
            raise Refused(Word.TOO_LARGE, f"it unpacks to more than {most} bytes")
        for info in infos:
            yield _unzipped(archive, info, work)


def _unzipped(archive: zipfile.ZipFile, info: zipfile.ZipInfo, work: Path) -> Member:
    if info.flag_bits & _ENCRYPTED:
        return Refused(Word.ENCRYPTED, "encrypted")
    try:
        with archive.open(info) as member:  # gives no byte more than was announced, and checks the CRC
            return spooled(member.read, work)
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError) as error:
        return _meaning(error)
    except (NotImplementedError, RuntimeError):
        return Refused(Word.DAMAGED, "packed in a way that cannot be unpacked here")


def _demand_small_directory(path: Path) -> None:
    """Refuse a directory that would fill the memory, before it is read."""
    with path.open("rb") as file:
        end = file.seek(0, 2)
        file.seek(max(0, end - _TAIL))
        tail = file.read()
    at, at64 = tail.rfind(b"PK\x05\x06"), tail.rfind(b"PK\x06\x06")  # APPNOTE 4.3.16 and 4.3.14
    sizes = [struct.unpack_from("<I", tail, at + 12)[0]] if 0 <= at <= len(tail) - 22 else []
    if 0 <= at64 <= len(tail) - 56:
        sizes = [size for size in sizes if size != _IN_ZIP64] + [struct.unpack_from("<Q", tail, at64 + 40)[0]]
    if any(size > _DIRECTORY_MOST for size in sizes):
        raise Refused(Word.TOO_LARGE, "its directory is too large: too many files in one ZIP file")


# TAR.


class _Info(tarfile.TarInfo):
    """tarfile takes a broken header for the end, and all behind it would be lost without a word."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        try:
            return super().frombuf(buf, encoding, errors)
        except (tarfile.EmptyHeaderError, tarfile.TruncatedHeaderError):  # type: ignore[attr-defined]  # typeshed lacks them
            raise Refused(Word.TRUNCATED, "it ends too early") from None
        except tarfile.InvalidHeaderError:  # type: ignore[attr-defined]
            raise Refused(Word.DAMAGED, "a header in it is damaged") from None


class _Bounded:
    """Unpacked bytes; never more than was allowed for what is being read, nor than `most` in all."""

    def __init__(self, read: Callable[[int], bytes], most: int) -> None:
        self._read, self._left, self._most = read, most, most
        self._allowed = 0

    def allow(self, count: int) -> None:
        """Let so many bytes be read next."""
        self._allowed = count + _HEADER_MOST

    def read(self, count: int) -> bytes:
        data = self._read(count)
        self._left -= len(data)
        self._allowed -= len(data)
        if min(self._left, self._allowed) < 0:
            raise Refused(Word.TOO_LARGE, f"it unpacks to more than {self._most} bytes, or its headers are too large")
        return data


class _Unxz:
    """Unpacks xz with bounded memory, which lzma.open does not."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._unpacker = lzma.LZMADecompressor(memlimit=_UNXZ_MOST)

    def read(self, count: int) -> bytes:
        while True:
            if self._unpacker.eof and not self._next_stream():
                return b""
            data = self._file.read(_PIECE) if self._unpacker.needs_input else b""
            if self._unpacker.needs_input and not data:
                raise EOFError
            if unpacked := self._unpacker.decompress(data, count):
                return unpacked

    def _next_stream(self) -> bool:
        rest = self._unpacker.unused_data or self._file.read(_PIECE)
        if not rest.strip(b"\x00"):
            return False
        self._unpacker = lzma.LZMADecompressor(memlimit=_UNXZ_MOST)
        self._unpacker.decompress(rest, 0)
        return True


def _tar(path: Path, form: str, most: int, work: Path) -> Iterator[Member]:
    with path.open("rb") as file:
        bounded = _Bounded(_UNPACKERS[form](file), most)
        bounded.allow(0)
        with tarfile.open(fileobj=cast("BinaryIO", bounded), mode="r|", tarinfo=_Info) as archive:
            yield from _untarred(archive, bounded, work)
        bounded.allow(most)
        while bounded.read(_PIECE):  # to its end, where the checksum is
            pass


_UNPACKERS: MappingProxyType[str, Callable[[BinaryIO], Callable[[int], bytes]]] = MappingProxyType(
    {
        "tar": lambda file: file.read,
        "gz": lambda file: gzip.GzipFile(fileobj=file).read,
        "bz2": lambda file: bz2.BZ2File(file).read,
        "xz": lambda file: _Unxz(file).read,
    }
)


def _untarred(archive: tarfile.TarFile, bounded: _Bounded, work: Path) -> Iterator[Member]:
    allowed = 0
    while True:
        bounded.allow(allowed)
        info = archive.next()
        archive.members.clear()  # type: ignore[attr-defined]  # it would keep every header
        if info is None:
            return
        allowed = max(info.size, 0)
        if not info.isreg():
            continue
        bounded.allow(allowed)
        if info.issparse():
            yield Refused(Word.DAMAGED, "packed in a way that cannot be unpacked here")
            continue
        stream = archive.extractfile(info)
        if stream is not None:
            yield spooled(stream.read, work)
