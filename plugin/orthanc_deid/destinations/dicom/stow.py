"""One STOW-RS request (PS3.18 10.5): its body, streamed from files, and what the answer says of each instance."""

import json
import secrets
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from . import dimse
from .dimse import Refusal

PIECE = 1 << 20  # bytes
FAILED, REFERENCED = "00081198", "00081199"  # FailedSOPSequence, ReferencedSOPSequence
SOP_INSTANCE, REASON = "00081155", "00081197"  # ReferencedSOPInstanceUID, FailureReason


class Related:
    """A multipart/related body of DICOM files; read from disk as it goes out, as often as wanted."""

    def __init__(self, files: Sequence[Path]) -> None:
        self._files = files
        self._boundary = secrets.token_hex(24)
        self._head = f"\r\n--{self._boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode()
        self._end = f"\r\n--{self._boundary}--\r\n".encode()

    @property
    def content_type(self) -> str:
        """The header that goes with it."""
        return f'multipart/related; type="application/dicom"; boundary={self._boundary}'

    def __len__(self) -> int:
        """Return the length in bytes, so that it need not be sent in chunks."""
        return sum(len(self._head) + file.stat().st_size for file in self._files) + len(self._end)

    def __iter__(self) -> Iterator[bytes]:
        """Yield it piece by piece."""
        for path in self._files:
            yield self._head
            with path.open("rb") as file:
                while piece := file.read(PIECE):
                    yield piece
        yield self._end


def refusals(content: bytes, uids: Sequence[str], *, stored: bool) -> dict[str, Refusal]:
    """Return the reason for each instance that the answer says is not stored.

    `stored` is what holds for all where the answer names none: a server may leave the body empty.
    """
    answer = _json(content)
    failed = {_text(item, SOP_INSTANCE): dimse.of_status(_number(item)) for item in _items(answer, FAILED)}
    named = {_text(item, SOP_INSTANCE) for item in _items(answer, REFERENCED)}
    unnamed = Refusal("without a reason", dimse.INSTANCE)
    if named or failed:
        stored = False  # it names what it stores, so what it does not name is not stored
    return {uid: failed.get(uid, unnamed) for uid in uids if uid in failed or not (stored or uid in named)}


def _json(content: bytes) -> Mapping[str, Any]:
    try:
        answer = json.loads(content or b"{}")
    except ValueError:
        return {}
    if isinstance(answer, list):
        answer = answer[0] if answer else {}
    return answer if isinstance(answer, dict) else {}


def _items(answer: Mapping[str, Any], tag: str) -> list[Mapping[str, Any]]:
    items = answer.get(tag, {})
    return [i for i in items.get("Value", []) if isinstance(i, dict)] if isinstance(items, dict) else []


def _first(item: Mapping[str, Any], tag: str) -> object:
    element = item.get(tag)
    values = element.get("Value") if isinstance(element, dict) else None
    return values[0] if isinstance(values, list) and values else None


def _text(item: Mapping[str, Any], tag: str) -> str:
    return str(_first(item, tag) or "")


def _number(item: Mapping[str, Any]) -> int:
    try:
        return int(str(_first(item, REASON)))
    except ValueError:
        return 0x0110  # processing failure
