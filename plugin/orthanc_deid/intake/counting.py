"""Asks sources how many instances the studies have that are waited for, and for what is missing.

What is told stands in the database; `completeness` decides by it when the study is examined next. A study is looked at
again until that has happened: a look that is lost with a process costs seconds, not the study.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .. import log, states
from ..database.awaited import Awaited, Waiting
from ..database.gates import Gates
from ..database.ledger import Study
from ..errors import ConfigurationError, NotFound, Postponed, Rejected, Retriable, Stale
from ..openings import demand_open
from ..orthanc_rest import Orthanc
from ..pacs.base import Archive, Found, Instance
from ..settings import Configuration
from ..settings import sources as settings
from ..settings.completeness import Completeness
from ..steps.subject import orthanc_id
from .completeness import STABLE, here, requests_next, rule_of
from .examine import Intake

LOOK_S = 1.0  # seconds between two looks at what is due
WAKE_S = 5.0  # seconds after which a study is examined again where the first time was lost
LEASE_S = 300.0  # seconds that a question may take before another process asks it

AWAY = "the PACS does not answer"
REFUSES = "the PACS refuses the question"
SILENT = "the PACS does not tell how many there are"
FEWER = "the PACS counts fewer than before"

Connect = Callable[[settings.Archive, Orthanc, Callable[[], None]], Archive]


@dataclass(frozen=True)
class Count:
    """What a source has told of one study; `missing` is None where it tells no UIDs."""

    present: int
    expected: int | None
    missing: Sequence[Instance] | None
    uncertain: str | None

    @property
    def complete(self) -> bool:
        """Tell whether all that the source has is here."""
        return self.expected is not None and self.present >= self.expected and not self.missing


class Counting:
    """A thread that finds what is due, and one for each question: a source that hangs holds up no other."""

    def __init__(self, intake: Intake, connect: Connect, hint: Callable[[], None]) -> None:
        self._intake, self._connect, self._hint = intake, connect, hint
        self._waiting = Waiting(intake.ledger.engine)
        self._gates = Gates(intake.ledger.engine)
        self._busy: dict[int, str] = {}
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="counting", daemon=True)

    def start(self) -> None:
        """Begin, where any rule needs it; what an earlier configuration left waiting is examined by this one."""
        self._waiting.wake_all()
        if is_needed(self._intake.configuration):
            self._thread.start()

    def stop(self) -> None:
        """End; a question that is under way is asked again after the next start."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(10)

    def _loop(self) -> None:
        while not self._stopping.wait(LOOK_S):
            try:
                self.look()
            except Exception as error:  # noqa: BLE001  # a fault must not end the only thread that asks
                log.event("counting failed", level=logging.ERROR, error=type(error).__name__)

    def look(self) -> list[threading.Thread]:
        """Begin with what is due; answer the threads that deal with it."""
        began = []
        for ask in self._waiting.due():
            with self._lock:
                busy = [study for study, source in self._busy.items() if source == ask]
            for row in self._waiting.claim(ask, self._slots(ask) - len(busy), LEASE_S, busy):
                with self._lock:
                    self._busy[row.study_id] = ask
                began.append(threading.Thread(target=self._attend, args=(row,), daemon=True))
                began[-1].start()
        return began

    def _slots(self, ask: str) -> int:
        return self._intake.configuration.lanes().get(ask, 1)

    def _attend(self, row: Awaited) -> None:
        try:
            self._look_at(row)
        except Stale:
            return
        except NotFound:
            self._waiting.end(row.study_id)  # Orthanc no longer holds it: what comes is a new beginning
        except Exception as error:  # noqa: BLE001  # the database or Orthanc is away: the lease ends, others go on
            log.event("study not counted", study=row.study_id, error=type(error).__name__)
        finally:
            with self._lock:
                self._busy.pop(row.study_id, None)

    def _look_at(self, row: Awaited) -> None:
        study = self._intake.ledger.get(row.study_id)
        if study.status not in states.BEFORE_WORK:
            self._waiting.end(study.id)
            return
        try:
            rule = rule_of(self._intake, study)
        except ConfigurationError:
            rule = STABLE
        now = time.time()
        is_told = row.asked_at is not None and now - row.asked_at < rule.ask_every_s
        requests = requests_next(rule, row, now)
        if not row.ask or rule.ask != row.ask or (is_told and not requests):
            self._wake(row)
            return
        self._ask(row, study, rule, requests=requests)

    def _ask(self, row: Awaited, study: Study, rule: Completeness, *, requests: bool) -> None:
        try:
            source = self._intake.configuration.source(row.ask)
            demand_open(source, self._gates)
            archive = self._connect(_archive(source), self._intake.orthanc, lambda: self._going(source))
            found = self._found(study)
            count = self._count(archive, study, found, row, listed=requests)
            self._note(row, rule, count)
            if requests and not count.complete:
                self._request(archive, row, rule, found, count)
        except Postponed as postponed:
            self._fail(row, str(postponed), rule.ask_every_s)  # a person may let it go on sooner than it says
        except Retriable as error:
            self._fail(row, AWAY, max(error.after_s, rule.ask_every_s))
        except (Rejected, ConfigurationError):
            self._fail(row, REFUSES, rule.ask_every_s)

    def _going(self, source: settings.AnySource) -> None:
        """End what is waited for, where this process ends or a person has paused the source."""
        if self._stopping.is_set():
            raise Stale("the service ends")
        demand_open(source, self._gates)

    def _found(self, study: Study) -> Found:
        told = self._intake.orthanc.study(study.source)
        uid = str(told["MainDicomTags"].get("StudyInstanceUID", "")).strip()
        return Found(uid, patient_id=str(told.get("PatientMainDicomTags", {}).get("PatientID", "")).strip())

    def _count(self, archive: Archive, study: Study, found: Found, row: Awaited, *, listed: bool) -> Count:
        """Ask for the number, and for the UIDs where the number is reached or what is missing is to be requested.

        A source that does not know the study yet, or tells fewer than before, is not believed.
        """
        known = {i.source for i in self._intake.ledger.instances(study.id)}
        counted = archive.count(found.study_uid) or None
        expected = max(counted or 0, row.expected or 0) or None
        uncertain = FEWER if expected and (counted or 0) < expected else None
        missing: Sequence[Instance] | None = None
        if listed or expected is None or len(known) >= expected:
            instances = archive.instances(found.study_uid)
            if instances:
                missing = self._missing(study, found, known, instances)
                expected = max(expected or 0, len({i.sop_uid for i in instances}))
        return Count(len(known), expected, missing, uncertain if expected else SILENT)

    def _missing(
        self, study: Study, found: Found, known: set[str], instances: Sequence[Instance]
    ) -> Sequence[Instance]:
        """Return what is not here and never was: what retention has deleted is known by the id that Orthanc gave it."""
        uids, _ = here(self._intake, study)
        wanted = {i.sop_uid: i for i in instances if i.sop_uid not in uids}
        return [
            i
            for i in wanted.values()
            if orthanc_id(found.patient_id, found.study_uid, i.series_uid, i.sop_uid) not in known
        ]

    def _note(self, row: Awaited, rule: Completeness, count: Count) -> None:
        """Write down what was told; have the study examined where that is new, or where its time is over."""
        missing = None if count.missing is None else len(count.missing)
        now = time.time()
        before = (row.expected, row.missing, row.reason, row.asked_at is None)
        news = before != (count.expected, missing, count.uncertain, False) or count.complete or row.deadline_at <= now
        at = now + WAKE_S if news else min(now + rule.ask_every_s, row.deadline_at)
        taken = self._waiting.answer(
            row.study_id, count.present, expected=count.expected, missing=missing, reason=count.uncertain, at=at
        )
        if not taken:  # more has arrived meanwhile
            self._waiting.fail(row.study_id, count.uncertain or "", now + LOOK_S)
        elif news:
            self._wake(row)

    def _request(self, archive: Archive, row: Awaited, rule: Completeness, found: Found, count: Count) -> None:
        """Have the source send what is missing, or all of it where it tells no UIDs; with a new deadline."""
        if not self._waiting.request(row, time.time() + rule.deadline_s):
            return
        self._wake(row)
        missing = count.missing or ()
        log.event("missing instances requested", study=row.study_id, attempt=row.requests + 1, count=len(missing))
        archive.retrieve(found, missing)

    def _fail(self, row: Awaited, reason: str, after_s: float) -> None:
        now = time.time()
        at = now + after_s
        if now < row.deadline_at < at:
            at = row.deadline_at
        self._waiting.fail(row.study_id, reason, at)
        if reason != row.reason or row.deadline_at <= now:
            self._intake.ledger.mark_recheck(row.study_id)
            self._hint()

    def _wake(self, row: Awaited) -> None:
        if self._waiting.wake(row.study_id, time.time() + WAKE_S):
            self._hint()


def is_needed(configuration: Configuration) -> bool:
    """Tell whether any study may be waited for."""
    return any(rule != STABLE for _, rule in configuration.completeness())


def _archive(source: settings.AnySource) -> settings.Archive:
    if not isinstance(source, settings.Archive):
        raise ConfigurationError(f"source {source.name} cannot be asked for counts")
    return source
