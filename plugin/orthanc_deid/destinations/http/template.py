"""Filling the templates of the kind `http`: addresses, headers and bodies of any size."""

import base64
import contextlib
import json
import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote, urlencode

from requests_toolbelt.multipart.encoder import MultipartEncoder

from ...errors import Rejected
from ...settings.http_fields import PICTURES, pieces
from ...web.template import fill, value

_PIECE_BYTES = 3 * 2**18  # a multiple of 3: the base64 of the pieces is that of the whole
_PRINTABLE = "".join(map(chr, range(0x20, 0x7F)))


@dataclass(frozen=True)
class Thing:
    """A DICOM file or picture of one instance, with the values of its fields."""

    file: Path
    values: Mapping[str, str]


def address(base: str, path: str, query: Mapping[str, str], values: Mapping[str, str]) -> str:
    """Return a URL; each value is percent-encoded and stays within its place.

    Raises
    ------
    Rejected
        A value is empty or would lead to another path.
    """
    for piece in pieces(path):
        if piece.field is not None and not values.get(piece.field):
            raise Rejected(f"{{{piece.field}}} is empty: no address can be made of it")
    filled = fill(path, values, quoted="")
    if any(part in (".", "..") for part in filled.split("/")):
        raise Rejected("a value would lead to another address")
    parameters = urlencode({name: fill(text, values) for name, text in query.items()}, quote_via=quote, safe="")
    return base.rstrip("/") + filled + ("?" + parameters if parameters else "")


def headers(templates: Mapping[str, str], values: Mapping[str, str]) -> dict[str, str]:
    """Return headers; what is not printable ASCII in a value is percent-encoded."""
    return {name: fill(text, values, quoted=_PRINTABLE).strip() for name, text in templates.items()}


@dataclass(frozen=True)
class FileBody:
    """A file as the whole body."""

    file: Path
    content_type: str

    @property
    def size(self) -> int:
        """Bytes."""
        return self.file.stat().st_size

    def open(self) -> contextlib.AbstractContextManager[BinaryIO]:
        """Open it."""
        return self.file.open("rb")


def json_body(
    template: Any,  # noqa: ANN401  # a JSON structure
    values: Mapping[str, str],
    pictures: Sequence[Thing],
    out: Path,
) -> FileBody:
    """Write a JSON document to `out`, its pictures piece by piece."""
    # Stands for the pictures until the document is written; nobody can know it beforehand.
    mark = secrets.token_hex(16)
    text = json.dumps(_filled(template, values, pictures, mark), ensure_ascii=False)
    with out.open("wb") as file:
        for number, part in enumerate(re.split(f"{mark}-([0-9]+)", text)):
            if number % 2:
                _write_base64(pictures[int(part)].file, file)
            else:
                file.write(part.encode("utf-8", "replace"))
    return FileBody(out, "application/json")


def _filled(template: Any, values: Mapping[str, str], pictures: Sequence[Thing], mark: str) -> Any:  # noqa: ANN401  # JSON
    marked = [{**thing.values, "picture_base64": f"{mark}-{i}"} for i, thing in enumerate(pictures)]
    own = values if len(marked) != 1 else {**marked[0], **values}

    def rendered(part: Any, known: Mapping[str, str]) -> Any:  # noqa: ANN401  # JSON
        if part == PICTURES:
            return [each["picture_base64"] for each in marked]
        if isinstance(part, str):
            return value(part, known)
        if isinstance(part, Mapping):
            if PICTURES in part:
                return [rendered(part[PICTURES], {**values, **each}) for each in marked]
            return {key: rendered(each, known) for key, each in part.items()}
        return [rendered(each, known) for each in part] if isinstance(part, list | tuple) else part

    return rendered(template, own)


def _write_base64(source: Path, target: BinaryIO) -> None:
    with source.open("rb") as file:
        while piece := file.read(_PIECE_BYTES):
            target.write(base64.b64encode(piece))


class FormBody:
    """A form with files (multipart/form-data, RFC 7578); each file is open only while it goes out."""

    def __init__(
        self, fields: Sequence[tuple[str, str]], file_field: str, files: Sequence[tuple[str, Path]], content_type: str
    ) -> None:
        self._fields = list(fields)
        self._files = [(file_field, name, path, content_type) for name, path in files]
        self._boundary = secrets.token_hex(16)
        self.content_type = f"multipart/form-data; boundary={self._boundary}"
        self.size = int(self._encoder().len)

    @contextlib.contextmanager
    def open(self) -> Iterator[MultipartEncoder]:
        """Give the form from its beginning."""
        encoder = self._encoder()
        try:
            yield encoder
        finally:
            for part in encoder.parts:
                if isinstance(part.body, _LateFile):
                    part.body.close()

    def _encoder(self) -> MultipartEncoder:
        files = [(field, (name, _LateFile(path), kind)) for field, name, path, kind in self._files]
        return MultipartEncoder([*self._fields, *files], boundary=self._boundary)


class _LateFile:
    """A file that is opened when its turn comes; `len` is what is left, as the encoder wants it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO | None = None
        self.len = path.stat().st_size

    def read(self, size: int = -1) -> bytes:
        """Read on."""
        if self._file is None:
            self._file = self._path.open("rb")
        piece = self._file.read(min(size, self.len) if size >= 0 else self.len)
        if not piece and self.len:
            raise OSError("a file became shorter while it was sent")
        self.len -= len(piece)
        if not self.len:
            self.close()
        return piece

    def close(self) -> None:
        """Close it."""
        if self._file:
            self._file.close()
