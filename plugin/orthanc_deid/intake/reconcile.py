"""Reconciliation: what Orthanc holds against the ledger, so that no study is lost with an event.

Orthanc keeps StableStudy in memory only: a kill, and even a clean stop, between the last instance and StableAge loses
it for ever, and the study then claims IsStable at once (Orthanc Book, Python plugin; measured on 1.10.1).
"""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy.exc import SQLAlchemyError

from .. import faults, log
from ..batches.feed import feed
from ..database import workers
from ..database.batches import Batches
from ..database.ledger import Study
from ..engine import PURGED_AT_ONCE
from ..errors import ConfigurationError, Conflict, DeidError, NotFound, Rejected
from .examine import Intake, examine, examine_row
from .heal import QUIET_S, heal
from .patient_lists import WAITS
from .retain import Retainer
from .withdraw import Withdrawals

CURSOR = "changes"
HEAL_S = 10.0
PAGE = 500
PURGES = 20  # in one sweep
KEEP_JOBS_S = 7 * 86400.0  # for whoever looks into the engine after a mishap


@dataclass
class _Candidate:
    """A study without an event: it counts as stable when nothing came for the quiet time."""

    last_update: str
    since: float


class Reconcile:
    """The loop of the service: hints make it look sooner, nothing depends on them."""

    def __init__(
        self, intake: Intake, quiet_s: float, retainer: Retainer, before: Callable[[], None] | None = None
    ) -> None:
        self._retainer = retainer
        self._before_looking = before or (lambda: None)
        self._intake = intake
        self._quiet_s = quiet_s
        self._hint = threading.Event()
        self._stopping = threading.Event()
        self._candidates: dict[str, _Candidate] = {}
        self._withdrawals = Withdrawals()
        self._swept = self._healed = float("-inf")
        self._retained = time.monotonic()  # not at once: a person who mends the rules must have the time
        self._thread = threading.Thread(target=self._loop, name="reconcile", daemon=True)
        self.looked_at = 0.0

    def start(self) -> None:
        """Begin to look, in a thread."""
        self._thread.start()

    def hint(self) -> None:
        """Look now."""
        self._hint.set()

    def stop(self) -> None:
        """End the loop."""
        self._stopping.set()
        self._hint.set()
        self._thread.join(10)

    def _loop(self) -> None:
        while not self._stopping.is_set():
            self._hint.clear()
            try:
                self.look()
                self.looked_at = time.time()
            except Exception as error:  # noqa: BLE001  # a fault of ours must not end the only loop that finds studies
                log.event("reconciliation failed", level=logging.ERROR, error=type(error).__name__)
            self._hint.wait(1.0 if self._candidates else self._intake.configuration.intake.reconcile_s)

    def look(self) -> None:
        """Read the changes, sweep when it is time, look again at what was added to, mend what is stuck."""
        self._before_looking()  # conflicts: before anything starts that has to wait for a decision
        self._read_changes()
        now = time.monotonic()
        if now - self._swept >= self._intake.configuration.intake.sweep_s:
            self._sweep()
            self._purge(time.time() - KEEP_JOBS_S)
            self._swept = now
        self._examine_candidates()
        feed(Batches(self._intake.ledger.engine), self._intake.queue)
        if self._intake.lists.mended():
            self._intake.ledger.recheck_waiting(WAITS)
        for study in self._intake.ledger.to_recheck():
            self._recheck(study)
        if now - self._healed >= HEAL_S:
            heal(self._intake)
            self._withdrawals.look(self._intake, time.time() - QUIET_S)
            self._healed = now
        if now - self._retained >= self._intake.configuration.retention.look_s:
            self._retainer.run()
            self._retained = now

    def _purge(self, before: float) -> None:
        """Delete records of jobs that ended long ago: as many as waiting studies leave, and then the next sweep's."""
        for _ in range(PURGES):
            if self._intake.queue.purge(before) < PURGED_AT_ONCE or self._stopping.is_set():
                return

    def _read_changes(self) -> None:
        since = workers.read_cursor(self._intake.ledger.engine, CURSOR)
        while not self._stopping.is_set():
            found = self._intake.orthanc.changes(since)
            if found["Last"] < since:
                since = 0  # another database under the same Orthanc: its sequence begins anew
                continue
            for source, stable in _studies(found["Changes"]).items():
                self._examine(source, stable=stable)
            if found["Last"] != since:
                since = found["Last"]
                workers.save_cursor(self._intake.ledger.engine, CURSOR, since)
            if found["Done"]:
                return

    def _sweep(self) -> None:
        """Find studies whose event was lost; they must stay quiet for a while before they count as stable."""
        page: dict[str, str] = {}
        for study in self._intake.orthanc.studies():
            page[study["ID"]] = study["LastUpdate"]
            if len(page) >= PAGE:
                self._note_unknown(page)
                page = {}
        self._note_unknown(page)

    def _note_unknown(self, page: dict[str, str]) -> None:
        known = self._intake.ledger.last_updates(list(page))
        for source, last_update in page.items():
            if known.get(source) not in (last_update, ""):
                self._candidates.setdefault(source, _Candidate(last_update, time.monotonic()))

    def _examine_candidates(self) -> None:
        for source, candidate in list(self._candidates.items()):
            if time.monotonic() - candidate.since < self._quiet_s:
                continue
            try:
                study = self._intake.orthanc.study(source)
            except NotFound:
                del self._candidates[source]
                continue
            if study["LastUpdate"] != candidate.last_update:
                self._candidates[source] = _Candidate(study["LastUpdate"], time.monotonic())
                continue
            del self._candidates[source]
            self._examine(source, stable=bool(study["IsStable"]))

    def _recheck(self, study: Study) -> None:
        try:
            stable = bool(self._intake.orthanc.study(study.source)["IsStable"])
        except NotFound:
            # What may have been added has gone with it; else retention would wait for ever.
            self._intake.ledger.mark_recheck(study.id, needed=False)
            return
        self._look_at(lambda: examine_row(self._intake, study, stable=stable))

    def _examine(self, source: str, *, stable: bool) -> None:
        self._look_at(lambda: examine(self._intake, source, stable=stable))

    def _look_at(self, look: Callable[[], None]) -> None:
        try:
            look()
        except NotFound:
            log.event("study vanished before it was examined")
        except (Conflict, Rejected, ConfigurationError) as error:
            # One study must not hold up the others; the sweep comes back to it.
            log.event("study not started", error=str(error))
        except (DeidError, SQLAlchemyError):
            raise  # Orthanc or the database is away
        except Exception as error:  # noqa: BLE001  # of this study alone: else the loop would never get past it
            log.event("study not examined", level=logging.ERROR, error=faults.told(error))


def _studies(changes: list[dict[str, object]]) -> dict[str, bool]:
    """Map the studies that changes name to whether the last word on them is that they are stable."""
    found: dict[str, bool] = {}
    for change in changes:
        if change["ChangeType"] in ("NewStudy", "StableStudy"):
            found[str(change["ID"])] = change["ChangeType"] == "StableStudy"
    return found
