"""What S3, Google Cloud Storage, Azure and SFTP have in common through fsspec."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ..errors import Retriable
from .errors import translated
from .store import Digests, Listed, Stat

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

    def walk(self, skip: Callable[[str], bool]) -> Iterator[Listed]:
        """Yield every file, a page at a time, but nothing below top folders whose name is to be skipped."""
        with translated():
            for files, folders in self._pages(self._prefix(""), "/"):
                yield from files
                for folder in folders:
                    if not skip(folder.rstrip("/").rpartition("/")[2]):
                        for more, _ in self._pages(folder, ""):
                            yield from more

    def find(self, key: str) -> Listed | None:
        """Return a file as `walk` lists it; None where there is none."""
        with translated():
            for files, _ in self._pages(self._prefix(key), ""):
                return next((each for each in files if each.key == key), None)
        return None

    def below(self, folder: str) -> Iterator[Listed]:
        """Yield every file below a folder."""
        with translated():
            for files, _ in self._pages(self._prefix(f"{folder}/"), ""):
                yield from files

    def folders(self, folder: str) -> list[str]:
        """Return the names of the folders in a folder."""
        with translated():
            pages = self._pages(self._prefix(f"{folder}/"), "/")
            return [each.rstrip("/").rpartition("/")[2] for _, folders in pages for each in folders]

    def move(self, key: str, target: str) -> None:
        """Copy a file, compare the size, delete the first: it is never without a key."""
        with translated():
            self._copy(self._path(key), self._path(target))
            old, new = (self._fs.info(self._path(each)) for each in (key, target))
            if old["size"] != new["size"]:
                raise Retriable("a file was changed while it was moved")
            self._fs.rm_file(self._path(key))

    def write(self, key: str, content: bytes) -> None:
        """Store a small file."""
        with translated():
            self._fs.pipe_file(self._path(key), content)

    def remove_folder(self, folder: str) -> None:
        """Do nothing: an object store has no folders."""

    def _copy(self, source: str, target: str) -> None:
        self._fs.cp_file(source, target)

    def _pages(self, prefix: str, delimiter: str) -> Iterator[tuple[list[Listed], list[str]]]:
        """Yield files and folders (full names with a slash) whose names begin so, a page at a time."""
        raise NotImplementedError

    def _prefix(self, folder: str) -> str:
        """Return how names in the bucket begin."""
        prefix = self._root.partition("/")[2]
        return f"{prefix}/{folder}" if prefix else folder

    def _listed(self, name: str, size: int, stamp: str) -> Listed:
        return Listed(name[len(self._prefix("")) :], size, stamp)

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
