"""The kinds of list: reviews as JSON or CSV, a query, Study Instance UIDs; each is read and marked in its way."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from ..batches.lists import sheet
from ..batches.lists.read import read
from ..batches.lists.reviews import select_reviewed
from ..batches.lists.table import Fault, Table
from ..errors import Rejected
from . import private
from .entries import COLUMNS, ENDED, REVIEWS, UID, Entry, Key, Mark, is_set
from .sheets import Sheet

BEFORE, PUSHED, FAILED = ".bak", ".pushed", ".failed"  # behind the name of the list
FAULTS_TOLD = 20
_UID_LIKE = re.compile(r"[0-9.]*[0-9]\.[0-9][0-9.]*")
_REVIEWED = ("original_study_uid", "study_uid")
Marks = Mapping[Key, Mark]


@dataclass(frozen=True)
class Comments:
    """What reviewers have written of one study."""

    uid: str
    texts: Sequence[str]


class ListOfStudies(Protocol):
    """One list."""

    def entries(self) -> Sequence[Entry]:
        """Return what is to be asked for; raise Rejected where the list has a fault."""

    def comments(self) -> Iterable[Comments]:
        """Yield what reviewers say."""

    def mark(self, path: Path, marks: Marks) -> int:
        """Write down what has become of its entries; answer how many of them it still has."""


def open_list(path: Path) -> ListOfStudies:
    """Read a list; raise Rejected where it cannot be read at all."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise Rejected(f"the list cannot be read ({type(error).__name__})") from None
    try:
        return _of_kind(content, path)
    except ValueError as error:
        raise Rejected(f"the list {error}") from None


def _of_kind(content: bytes, path: Path) -> ListOfStudies:
    if sheet.text_of(content).lstrip()[:1] in ("[", "{"):
        return ReviewsJson(content)
    parted = Sheet.read(content)
    if _UID_LIKE.fullmatch(parted.lines[parted.header].strip()):
        return Uids(content, path)
    return ReviewsCsv(content, parted) if REVIEWS & set(parted.names) else Query(content, parted)


@dataclass(frozen=True)
class ReviewsJson:
    """Reviews of django-dicom-review as a JSON list."""

    content: bytes

    def entries(self) -> Sequence[Entry]:
        """Return the studies that are released."""
        return _demand(select_reviewed(self.content))

    def comments(self) -> Iterable[Comments]:
        """Yield the comments, study by study."""
        return _comments((_uid(review), review) for review in json.loads(self.content))

    def mark(self, path: Path, marks: Marks) -> int:
        """Write the fields of the review application into each review of a study."""
        text = sheet.text_of(self.content)
        reviews = json.loads(text)
        found = {key for review in reviews if (key := _key(review)) in marks}
        for review in reviews:
            if (key := _key(review)) in marks:
                review.update(marks[key].values())
        written = json.dumps(reviews, indent=2, ensure_ascii=False) + "\n"
        _replace(path, self.content, written.encode() if reviews != json.loads(text) else self.content)
        return len(found)


@dataclass(frozen=True)
class ReviewsCsv:
    """The same as CSV."""

    content: bytes
    parted: Sheet

    def entries(self) -> Sequence[Entry]:
        """Return the studies that are released."""
        return _demand(select_reviewed(self.content))

    def comments(self) -> Iterable[Comments]:
        """Yield the comments, study by study."""
        return _comments((_uid(review), review) for _, review in self.parted.rows())

    def mark(self, path: Path, marks: Marks) -> int:
        """Write the fields of the review application into each line of a study."""
        return _mark_sheet(path, self.content, self.parted, marks, ((n, _key(r)) for n, r in self.parted.rows()))


@dataclass(frozen=True)
class Query:
    """A CSV of criteria; lines that a run before has marked are not asked for again."""

    content: bytes
    parted: Sheet

    def entries(self) -> Sequence[Entry]:
        """Return the lines that are neither pushed nor in error."""
        asked = self._unmarked()
        if asked is None:
            return []
        return _demand(read(asked))

    def comments(self) -> Iterable[Comments]:
        """Yield nothing: nobody reviews a query."""
        return ()

    def mark(self, path: Path, marks: Marks) -> int:
        """Write the fields of the review application behind each line."""
        lines = ((entry.line, entry.key) for entry in self.entries())
        return _mark_sheet(path, self.content, self.parted, marks, lines)

    def _unmarked(self) -> bytes | None:
        """Return the list without the columns of marks and without lines that have ended; None: all have."""
        kept = [index for index, name in enumerate(self.parted.names) if name not in COLUMNS]
        if len(kept) == len(self.parted.names):
            return self.content
        lines = list(self.parted.lines)
        for index in range(self.parted.header, len(lines)):
            if lines[index].strip(" "):
                lines[index] = self._line(lines[index], kept, is_header=index == self.parted.header)
        if not any(line.strip(" ") for line in lines[self.parted.header + 1 :]):
            return None
        return "\n".join(lines).encode("utf-8", "surrogateescape")

    def _line(self, line: str, kept: Sequence[int], *, is_header: bool) -> str:
        try:
            cells = sheet.cells(line, self.parted.delimiter)
        except ValueError:
            return line  # a fault that the reader tells
        named = dict(zip(self.parted.names, cells, strict=False))
        if not is_header and any(is_set(named.get(name)) for name in ENDED):
            return ""
        beyond = cells[len(self.parted.names) :]  # a fault that the reader tells
        return self.parted.line([cells[index] for index in kept if index < len(cells)] + beyond)


@dataclass(frozen=True)
class Uids:
    """Study Instance UIDs, one a line; what has become of them stands in files beside it."""

    content: bytes
    path: Path
    ended: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        found = _lines(_beside(self.path, PUSHED)) | _lines(_beside(self.path, FAILED))
        object.__setattr__(self, "ended", frozenset(found))

    def entries(self) -> Sequence[Entry]:
        """Return those that are neither pushed nor in error."""
        return [entry for entry in _demand(read(self.content)) if not self.ended.issuperset(entry.uids)]

    def comments(self) -> Iterable[Comments]:
        """Yield nothing: nobody reviews them."""
        return ()

    def mark(self, path: Path, marks: Marks) -> int:
        """Add the UIDs to `LIST.pushed` or `LIST.failed`."""
        there = {entry.key for entry in _demand(read(self.content))}
        for suffix, wanted in ((PUSHED, True), (FAILED, False)):
            uids = [
                uid for key, mark in marks.items() if (not mark.reason) is wanted for uid in Entry(0, dict(key)).uids
            ]
            _add_lines(_beside(path, suffix), uids)
        return len(there & set(marks))


def _demand(table: Table) -> list[Entry]:
    """Return the lines of a list that has no fault."""
    if table.faults:
        told = "; ".join(_told(fault) for fault in table.faults[:FAULTS_TOLD])
        more = f"; and {len(table.faults) - FAULTS_TOLD} more" if len(table.faults) > FAULTS_TOLD else ""
        raise Rejected(f"the list has faults, nothing was begun: {told}{more}")
    return [Entry(line.number, dict(line.cells)) for line in table.lines]


def _told(fault: Fault) -> str:
    return f"line {fault.line}{', ' + fault.column if fault.column else ''}: {fault.message}"


def _uid(review: Mapping[str, Any]) -> str:
    return next((str(review[name]).strip() for name in _REVIEWED if review.get(name)), "")


def _key(review: Mapping[str, Any]) -> Key:
    return Entry(0, {UID: _uid(review)}).key


def _comments(reviews: Iterable[tuple[str, Mapping[str, Any]]]) -> Iterator[Comments]:
    found: dict[str, list[str]] = {}
    for uid, review in reviews:
        texts = found.setdefault(uid, [])
        if comment := str(review.get("comment") or "").strip():
            texts.append(comment)
    yield from (Comments(uid, texts) for uid, texts in found.items())


def _mark_sheet(path: Path, content: bytes, parted: Sheet, marks: Marks, lines: Iterable[tuple[int, Key]]) -> int:
    found = {number: key for number, key in lines if key in marks}
    cells = {n: {name: _cell(value) for name, value in marks[key].values().items()} for n, key in found.items()}
    if cells:
        _replace(path, content, parted.changed(cells))
    return len(set(found.values()))


def _cell(value: bool | str) -> str:  # noqa: FBT001  # what a field holds
    return str(value).lower() if isinstance(value, bool) else value


def _replace(path: Path, before: bytes, content: bytes) -> None:
    """Write the list anew, with its rights, and keep it as it was; nothing where it does not change."""
    if content == before:
        return
    mode = path.stat().st_mode & 0o777
    private.write(_beside(path, BEFORE), before, mode)
    private.write(path, content, mode)


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def _lines(path: Path) -> set[str]:
    try:
        return set(path.read_text(encoding="utf-8").split())
    except FileNotFoundError:
        return set()


def _add_lines(path: Path, uids: Sequence[str]) -> None:
    known = _lines(path)
    new = [uid for uid in uids if uid not in known]
    if new:
        before = path.read_text(encoding="utf-8") if path.exists() else ""
        private.write(path, before + "".join(f"{uid}\n" for uid in new))
