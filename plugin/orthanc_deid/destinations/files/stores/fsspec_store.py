"""What S3, Google Cloud Storage, Azure and SFTP have in common through fsspec."""

from collections.abc import Iterator, Mapping
from typing import Any

from ..store import Digests, Stat
from .errors import translated

CHECK = ".deid-check"  # written and deleted to prove that it can be written
_PIECE_BYTES = 2**22


class FsspecStore:
    """Keys below a root of one fsspec file system; sub-classes say how a file is put."""

    def __init__(self, fs: Any, root: str, part_bytes: int) -> None:  # noqa: ANN401  # fsspec is not typed
        self._fs = fs
        self._root = root
        self.part_bytes = part_bytes

    def stat(self, key: str) -> Stat | None:
        """Return what it knows of a file; None where there is none."""
        with translated():
            try:
                return self._stat(self._fs.info(self._path(key)))
            except FileNotFoundError:
                return None

    def listing(self, folder: str) -> Mapping[str, Stat]:
        """Return what stands in a folder, by key; nothing where there is no such folder."""
        with translated():
            try:
                found = self._fs.ls(self._path(folder), detail=True)
            except FileNotFoundError:
                return {}
            # The root of a URL and the names that come back differ in leading slashes.
            named = {f"{folder}/{info['name'].rpartition('/')[2]}": self._stat(info) for info in found}
            return {key: stat for key, stat in named.items() if stat}

    def read(self, key: str) -> Iterator[bytes]:
        """Yield the content of a file, piece by piece."""
        with translated(), self._fs.open(self._path(key), "rb", block_size=_PIECE_BYTES) as file:
            while piece := file.read(_PIECE_BYTES):
                yield piece

    def remove(self, key: str) -> None:
        """Delete a file; one that is not there is as good."""
        with translated():
            try:
                self._fs.rm_file(self._path(key))
            except FileNotFoundError:
                return

    def agrees(self, digests: Digests, stat: Stat) -> bool | None:
        """Answer whether what the store tells of the content is that of the local file; None: it tells nothing."""
        return stat.fingerprint in self._fingerprints(digests) if stat.fingerprint else None

    def publish(self) -> None:
        """Do nothing: an object is there at once or not at all."""

    def _path(self, key: str) -> str:
        return f"{self._root}/{key}"

    def _stat(self, info: Mapping[str, Any]) -> Stat | None:
        if info["type"] != "file":
            return None
        return Stat(int(info["size"]), self._fingerprint(info))

    def _fingerprint(self, info: Mapping[str, Any]) -> str:  # noqa: ARG002  # SFTP knows none
        return ""

    def _fingerprints(self, digests: Digests) -> tuple[str, ...]:  # noqa: ARG002  # SFTP knows none
        return ()
