"""The parts of a multipart/related answer (RFC 2046 section 5.1), one after the other, in bounded memory."""

import re
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import BinaryIO, cast

from ..errors import Rejected, Retriable

IN_MEMORY = 8 << 20  # bytes of a part; a larger one lies in a file without a name
LONGEST_HEADERS = 1 << 16
LARGEST = 4 << 30  # bytes of a part: more would fill the disk, and Orthanc could not take it


def boundary(content_type: str) -> bytes | None:
    """Return the boundary that a Content-Type names; None where it is not multipart."""
    found = re.search(r'boundary="?([^";]+)', content_type, re.IGNORECASE)
    is_multipart = content_type.lower().lstrip().startswith("multipart/")
    return found[1].strip().encode("ascii", "replace") if found and is_multipart else None


class Parts:
    """Reads parts from pieces of bytes, which may break anywhere."""

    def __init__(self, pieces: Iterable[bytes], limit: bytes) -> None:
        self._pieces = iter(pieces)
        self._delimiter = b"\r\n--" + limit
        self._kept = b"\r\n"  # the first delimiter has no line before it

    def __iter__(self) -> Iterator[BinaryIO]:
        """Yield each part's content at its beginning; it is gone when the next is asked for.

        Raises
        ------
        Retriable
            The answer ends before its last boundary.
        Rejected
            It is not parted by that boundary, or a part is too large.
        """
        self._until(self._delimiter, None)
        while not self._ends():
            self._until(b"\r\n\r\n", None)
            with _room() as content:
                self._until(self._delimiter, content)
                content.seek(0)
                yield content

    def _ends(self) -> bool:
        """Look behind a delimiter: two dashes end it all."""
        while len(self._kept) < 2:  # noqa: PLR2004  # dashes
            self._kept += self._next()
        # What follows stays, so that headers may be empty.
        return self._kept.startswith(b"--")

    def _until(self, mark: bytes, content: BinaryIO | None) -> None:
        """Take everything up to a mark, and the mark; write it into `content`."""
        taken = 0
        while (at := self._kept.find(mark)) < 0:
            ready = len(self._kept) - len(mark) + 1
            if ready > 0 and content is not None:
                content.write(self._kept[:ready])
            if ready > 0 and content is not None:
                self._kept = self._kept[ready:]
                taken += ready
            if taken > LARGEST:
                raise Rejected("an instance in the DICOMweb server's answer is too large")
            if content is None and ready > LONGEST_HEADERS:
                raise Rejected("the DICOMweb server's answer is not parted by the boundary that it names")
            self._kept += self._next()
        if content is not None:
            content.write(self._kept[:at])
        self._kept = self._kept[at + len(mark) :]

    def _next(self) -> bytes:
        piece = next(self._pieces, b"")
        if not piece:
            raise Retriable("the DICOMweb server's answer was cut off")
        return piece


@contextmanager
def _room() -> Iterator[BinaryIO]:
    with tempfile.SpooledTemporaryFile(IN_MEMORY) as file:
        yield cast("BinaryIO", file)
