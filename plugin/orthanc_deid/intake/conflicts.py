"""Take up what the door put aside because it came again with another content, and carry out what a person decides.

Everything here may be done twice: a file goes only after its last trace is in Orthanc, the ledger or the quarantine.
"""

import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydicom import Dataset
from pydicom.filereader import read_dataset
from sqlalchemy.exc import SQLAlchemyError

from .. import faults, log, states
from ..confidentiality import encode
from ..database.conflicts import OPEN, REPLACING, Conflicts, Contested
from ..database.ledger import Study
from ..errors import Conflict, DeidError, NotFound, Rejected, Retriable
from ..formats import atomic
from ..header import read_header, read_identity
from ..processes import Processes
from ..repeats import UNREADABLE
from ..results import cache
from ..seen import Seen
from ..steps.subject import orthanc_id
from .differences import PIXELS, Pair, differing
from .examine import Intake, examine

YOUNG_S = 15.0  # between the door's answer and Orthanc's index; a large instance takes a while
COMPARE_S = 300.0  # of two very large instances
AT_ONCE = 200  # files of one query, and of one look
ATTRIBUTES = "attributes"  # of the file beside: keywords of those that differ
LEVELS = ("PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")


@dataclass(frozen=True)
class Places:
    """Where files are: put aside, refused, converted."""

    aside: Path
    refused: Path
    results: Path


@dataclass(frozen=True)
class _Came:
    """A file that was put aside, and where Orthanc keeps what has its UIDs; `stored`: what the door makes of it."""

    name: str
    file: bytes
    stored: bytes
    instance: str
    study: str


class ConflictingFiles:
    """The folder of conflicts; used by one thread, that of the reconcile loop.

    Parameters
    ----------
    as_stored
        What Orthanc would store of a file: the file, or with de-identification on arrival its output.
    compare
        Answers the attributes that differ; in another process, for it may decode pixels.
    """

    def __init__(
        self,
        intake: Intake,
        places: Places,
        seen: Seen,
        as_stored: Callable[[bytes], bytes],
        compare: Callable[[Pair], list[str]],
    ) -> None:
        self._intake, self._places, self._seen = intake, places, seen
        self._as_stored, self._compare = as_stored, compare
        self._conflicts = Conflicts(intake.ledger.engine)

    def look(self) -> None:
        """Take up what is new, carry out what is decided, remove what has ended; one fault holds up no other file."""
        left = AT_ONCE
        for name, known in self._files():
            if known is not None and known.state == OPEN:
                continue
            try:
                self._treat(name, known)
            except SQLAlchemyError:
                raise
            except Exception as error:  # noqa: BLE001  # of a file that anybody may have sent: the loop must go on
                log.event("conflict not dealt with", level=logging.WARNING, error=_told(error))
            left -= 1
            if not left:
                return

    def _files(self) -> Iterator[tuple[str, Contested | None]]:
        names = sorted(path.stem for path in self._places.aside.glob("*.json"))
        for part in (names[k : k + AT_ONCE] for k in range(0, len(names), AT_ONCE)):
            known = self._conflicts.of_files(part)
            yield from ((name, known.get(name)) for name in part)

    def _treat(self, name: str, known: Contested | None) -> None:
        if known is None and not self._path(name, ".dcm").exists():
            self._go_on(name)
        elif known is None:
            self._take_up(name)
        elif known.state == REPLACING:
            self._replace(name, known)
        else:
            self._drop(name)

    def _take_up(self, name: str) -> None:
        try:
            came = self._read(name)
        except Rejected as error:
            self._refuse(name, str(error))
            return
        stored = self._stored(came.instance)
        if stored is None and not self._is_processed(came):
            self._store_late(came)
            return
        found = self._differing(stored, came)
        if found == []:
            self._drop(name)
            log.event("instance came again in another encoding")
            return
        self._write_about(name, self.about(name) | {ATTRIBUTES: found})
        self._conflicts.add(self._study(came).id, came.instance, name)

    def _read(self, name: str) -> _Came:
        file = self._path(name, ".dcm").read_bytes()
        stored = self._as_stored(file)
        identity = _identity(encode.decode(stored))
        return _Came(name, file, stored, orthanc_id(*identity), orthanc_id(*identity[:2]))

    def _stored(self, instance: str) -> bytes | None:
        try:
            return self._intake.orthanc.file(instance)
        except NotFound:
            return None

    def _differing(self, stored: bytes | None, came: _Came) -> list[str] | None:
        try:
            return None if stored is None else self._compare(Pair(stored, came.stored))
        except Rejected:
            return None

    def _is_processed(self, came: _Came) -> bool:
        """Tell whether something was made of an instance, though Orthanc does not hold it any more."""
        ledger = self._intake.ledger
        rows = [row.id for row in ledger.of_source(came.study)]
        made = [one for row in rows for one in ledger.instances(row, state=states.INSTANCE_DEIDENTIFIED)]
        return any(one.source == came.instance for one in made)

    def _store_late(self, came: _Came) -> None:
        """Store what came again where the first one was not stored, or was deleted before anything was made of it."""
        if self._age_s(came.name) < YOUNG_S:
            return  # Orthanc may be about to store the first one
        self._store(came)
        self._remove(came.name)

    def _replace(self, name: str, known: Contested) -> None:
        rows = self._intake.ledger.of_source(self._intake.ledger.get(known.study_id).source)
        if any(row.status in states.ACTIVE for row in rows):
            return
        came = self._read(name)
        if self._stored(came.instance) != came.stored:
            self._intake.orthanc.delete("instances", came.instance)
            self._store(came)
        for entry in cache.entries(self._places.results):
            if entry.study in {row.id for row in rows}:  # made of what is no longer there
                cache.remove(entry)
        self._conflicts.replaced(known.id, self._intake.orthanc.present(came.study))
        self._remove(name)

    def _store(self, came: _Came) -> None:
        """Store a file through the door, which is told to let it in."""
        header = read_header(came.file, read_dataset)
        identity = read_identity(came.file, header)
        if identity is not None:
            self._seen.expect(identity.uids, self._seen.content(came.file, header.start))
        self._intake.orthanc.store(came.file)
        if self._stored(came.instance) != came.stored:
            raise Retriable("another instance of the same UIDs was stored at this moment")

    def _study(self, came: _Came) -> Study:
        """Return the study of the ledger that it belongs to; one that was not looked at yet is made known."""
        ledger = self._intake.ledger
        found = ledger.find(came.study) or ledger.of_output(came.study)
        if found is None:
            examine(self._intake, came.study, stable=False)
            found = ledger.find(came.study)
        if found is None:
            raise NotFound("no study of that id is known")
        return found

    def _go_on(self, name: str) -> None:
        """End what a crash has left of a file that is gone: refused, or dealt with."""
        reason = self.about(name).get("reason")
        if reason:
            self._refuse(name, str(reason))
        else:
            self._remove(name)

    def _refuse(self, name: str, reason: str) -> None:
        """Move a file that cannot be read to what the door has refused."""
        self._places.refused.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._write_about(name, self.about(name) | {"reason": reason, "rule": None})
        # The one that tells of the other comes last, and goes last.
        for suffix in (".dcm", ".json"):
            path = self._path(name, suffix)
            if path.exists():
                path.rename(self._places.refused / path.name)

    def _drop(self, name: str) -> None:
        """Remove a file that Orthanc need not store.

        The door, which drops what is aside already, is told first: when it comes again Orthanc may hold nothing of it.
        """
        path = self._path(name, ".dcm")
        if path.exists():
            self._forget_aside(path.read_bytes())
        self._remove(name)

    def _forget_aside(self, file: bytes) -> None:
        try:
            header = read_header(file, read_dataset)
            identity = read_identity(file, header)
        except UNREADABLE:
            return  # it cannot come again: the door would not read it either
        if identity is not None:
            self._seen.forget_aside(identity.uids, self._seen.content(file, header.start))

    def _remove(self, name: str) -> None:
        for suffix in (".dcm", ".json"):
            self._path(name, suffix).unlink(missing_ok=True)

    def about(self, name: str) -> dict[str, Any]:
        """Return what is known of a file: at, bytes, origin, attributes that differ; nothing of one that has gone."""
        try:
            return dict(json.loads(self._path(name, ".json").read_text(encoding="utf-8")))
        except (FileNotFoundError, ValueError):
            return {}

    def _write_about(self, name: str, about: Mapping[str, Any]) -> None:
        atomic.write(self._path(name, ".json"), json.dumps(about).encode(), 0o600)

    def _age_s(self, name: str) -> float:
        return time.time() - self._path(name, ".dcm").stat().st_mtime

    def _path(self, name: str, suffix: str) -> Path:
        return self._places.aside / f"{name}{suffix}"


def decide(intake: Intake, number: int, keep: str, actor: str) -> Contested:
    """Decide a conflict for what is `stored` or what has `arrived`; answer it as it is then.

    Raises
    ------
    NotFound, Conflict
        There is none of that number; it is decided already, or what is stored is a result of ours.
    """
    conflicts = Conflicts(intake.ledger.engine)
    one = conflicts.get(number)
    if keep == "stored":
        conflicts.keep(number, actor)
    else:
        made = intake.ledger.instances(one.study_id)
        if any(i.output == one.instance and i.source != one.instance for i in made):
            raise Conflict("what is stored is a result of ours: it is made anew from its source alone")
        conflicts.take(number, actor)
    return conflicts.get(number)


def in_children(pool: Callable[[], Processes]) -> Callable[[Pair], list[str]]:
    """Return `differing` as it is run in a child process; where that dies a person has to look at the pixels."""

    def compare(pair: Pair) -> list[str]:
        try:
            [found] = pool().map(differing, [pair], COMPARE_S)
        except Retriable:
            return [PIXELS]
        return found

    return compare


def _identity(ds: Dataset) -> tuple[str, ...]:
    """Return what Orthanc tells instances apart by, from patient to instance."""
    return tuple(_text(ds.get(keyword)) for keyword in LEVELS)


def _text(value: object) -> str:
    parts: Sequence[object] = value if isinstance(value, list) else [value]
    return "\\".join("" if part is None else str(part) for part in parts).strip("\0 ")


def _told(error: Exception) -> str:
    """Say what went wrong: in our words, or by its type and place."""
    return str(error) if isinstance(error, DeidError) else faults.told(error)
