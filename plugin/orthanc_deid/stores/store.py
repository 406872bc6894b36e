"""What keeps files can do, whatever it is: a folder, a bucket, a server."""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Protocol

_PIECE_BYTES = 2**20
_MEDIA = {
    ".dcm": "application/dicom",
    ".zip": "application/zip",
    ".gz": "application/gzip",
    ".json": "application/json",
    ".tsv": "text/tab-separated-values",
    ".png": "image/png",
    ".jpg": "image/jpeg",
}


@dataclass(frozen=True)
class Stat:
    """What the store tells of a file."""

    size: int  # bytes
    fingerprint: str = ""  # of the content, in the store's own terms; empty where it knows none


@dataclass(frozen=True)
class Digests:
    """Hashes of a local file, all from one reading."""

    size: int  # bytes
    sha256: str
    md5: bytes
    etag: str  # as S3 makes it of a file that was sent in parts of `part_bytes`


@dataclass(frozen=True)
class Writing:
    """How files are put into a store; the last three are of S3."""

    part_bytes: int = 16 * 2**20  # bytes of the parts of a large file
    server_side_encryption: str | None = None
    kms_key_id: str | None = None
    storage_class: str | None = None


@dataclass(frozen=True, slots=True)
class Listed:
    """A file that stands in a store."""

    key: str  # below the root
    size: int  # bytes
    stamp: str  # differs where the file was changed


class Store(Protocol):
    """Keeps files under keys. It raises errors of ours alone, and none of its messages holds a key."""

    part_bytes: int

    def describe(self) -> str:
        """Say what it is; prove that the log-in works and that it can be written to."""

    def stat(self, key: str) -> Stat | None:
        """Return what it knows of a file; None where there is none."""

    def listing(self, folder: str) -> Mapping[str, Stat]:
        """Return what stands in a folder, by key; nothing where there is no such folder."""

    def put(self, path: Path, key: str, unit: str, digests: Digests, metadata: Mapping[str, str]) -> None:
        """Store a local file, whole or not at all, in place of what stands there."""

    def read(self, key: str) -> Iterator[bytes]:
        """Yield the content of a file, piece by piece."""

    def remove(self, key: str) -> None:
        """Delete a file; one that is not there is as good."""

    def agrees(self, digests: Digests, stat: Stat) -> bool | None:
        """Answer whether what the store tells of the content is that of the local file; None: it tells nothing."""

    def publish(self) -> None:
        """Make visible what was put."""


class ReadableStore(Store, Protocol):
    """A store that files are also taken from."""

    def walk(self, skip: Callable[[str], bool]) -> Iterator[Listed]:
        """Yield every file, a page at a time, but nothing below top folders whose name is to be skipped.

        What is moved or removed meanwhile does not disturb it.
        """

    def find(self, key: str) -> Listed | None:
        """Return a file as `walk` lists it; None where there is none."""

    def folders(self, folder: str) -> list[str]:
        """Return the names of the folders in a folder; none where there is no such folder."""

    def below(self, folder: str) -> Iterator[Listed]:
        """Yield every file below a folder."""

    def move(self, key: str, target: str) -> None:
        """Give a file another key; it is never without one."""

    def write(self, key: str, content: bytes) -> None:
        """Store a small file."""

    def remove_folder(self, folder: str) -> None:
        """Delete a folder where it is empty; nothing where there are no folders."""


def media_type(key: str) -> str:
    """Return the media type of a file by its name; of one that no table knows, that of any bytes."""
    return _MEDIA.get(PurePosixPath(key).suffix.lower(), "application/octet-stream")


def digest(path: Path, part_bytes: int) -> Digests:
    """Read a local file once."""
    # Not for secrecy: MD5 is what the stores compare.
    sha256, md5, part = hashlib.sha256(), _md5(), _md5()
    parts: list[bytes] = []
    size = in_part = 0
    with path.open("rb") as file:
        while piece := file.read(min(_PIECE_BYTES, part_bytes - in_part)):
            for each in (sha256, md5, part):
                each.update(piece)
            size, in_part = size + len(piece), in_part + len(piece)
            if in_part == part_bytes:
                parts.append(part.digest())
                part, in_part = _md5(), 0
    if in_part:
        parts.append(part.digest())
    several = _md5()
    several.update(b"".join(parts))
    return Digests(size, sha256.hexdigest(), md5.digest(), f"{several.hexdigest()}-{len(parts)}")


def _md5() -> "hashlib._Hash":
    return hashlib.md5(usedforsecurity=False)


def hash_of(pieces: Iterator[bytes]) -> tuple[int, str]:
    """Return size in bytes and SHA-256 of what was read."""
    size, sha256 = 0, hashlib.sha256()
    for piece in pieces:
        size += len(piece)
        sha256.update(piece)
    return size, sha256.hexdigest()
