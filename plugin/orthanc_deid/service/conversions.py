"""Conversions that people ask for: of de-identified and verified resources, and of nothing else."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from ..database.crosswalk import Crosswalk
from ..database.ledger import Ledger
from ..errors import Forbidden, Retriable
from ..orthanc_rest import Orthanc
from ..pseudonymization.labels import of_project
from ..results.study import Converters, StudyResults

AT_ONCE = 2  # conversions that people wait for
WAIT_S = 40.0  # below the time-out of the plugin's route
WAITING = 8  # requests that may wait so long: each holds one of Orthanc's threads
MOST = 64  # conversions that wait or run
KEPT_S = 60.0  # so long a failure that nobody has waited for is told to whoever asks next
NOT_OURS = "not a de-identified and verified resource: ask for the result of its study"


@dataclass(frozen=True)
class Verified:
    """The conversions of a study, and what tells its state from an earlier one: its run and what is verified."""

    results: StudyResults
    study: str  # Orthanc id of the result
    state: tuple[int, int, frozenset[str]]


@dataclass
class _Asked:
    future: Future[Path]
    ended: list[float] = field(default_factory=list)  # one time, of the monotonic clock

    def is_over(self) -> bool:
        """Tell whether nobody needs to hear of it any more: what was made is in the cache."""
        if not self.future.done() or not self.ended:
            return False
        return self.future.exception() is None or time.monotonic() - self.ended[0] > KEPT_S


class Conversions:
    """Conversions that were asked for by a route; each goes on when nobody waits for it any more."""

    def __init__(self, orthanc: Orthanc, ledger: Ledger, converters: Converters, crosswalk: Crosswalk) -> None:
        self._orthanc, self._ledger, self._converters, self._crosswalk = orthanc, ledger, converters, crosswalk
        self._pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="conversion")
        self._lock = threading.Lock()
        self._waiting = threading.BoundedSemaphore(WAITING)
        self._running: dict[tuple[object, ...], _Asked] = {}

    def close(self) -> None:
        """Take no more."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def ask(self, key: tuple[object, ...], make: Callable[[], Path], seconds: float = WAIT_S) -> Path | None:
        """Return what `make` makes; None where it is not ready in that time: ask again with the same key.

        Raises
        ------
        Retriable
            Too many conversions wait, or the disk does not take the result.
        """
        asked = self._begin(key, make)
        self._await(asked.future, seconds)
        if not asked.future.done():
            return None
        with self._lock:
            if self._running.get(key) is asked:
                del self._running[key]
        try:
            return asked.future.result()
        except OSError as error:
            raise Retriable(f"the results folder cannot be used ({type(error).__name__} {error.errno})") from None

    def _begin(self, key: tuple[object, ...], make: Callable[[], Path]) -> _Asked:
        with self._lock:
            for old in [k for k, asked in self._running.items() if asked.is_over()]:
                del self._running[old]
            found = self._running.get(key)
            if found:
                return found
            if len(self._running) >= MOST:
                raise Retriable(f"{MOST} conversions wait already")
            asked = self._running[key] = _Asked(self._pool.submit(make))
        asked.future.add_done_callback(lambda _: asked.ended.append(time.monotonic()))
        return asked

    def _await(self, future: Future[Path], seconds: float) -> None:
        if not self._waiting.acquire(blocking=False):
            return
        try:
            wait([future], seconds)
        finally:
            self._waiting.release()

    def of_study(self, study: str) -> Verified:
        """Return the conversions of a study, by the Orthanc id of its result.

        Raises
        ------
        Forbidden
            It is the identified study, or nothing of it is verified.
        """
        found = self._ledger.of_output(study)
        if found is None:
            self._orthanc.study(study)  # NotFound, where it is not there at all
            raise Forbidden(NOT_OURS)
        verified = self._ledger.verified_outputs(study)
        if not verified:
            raise Forbidden(NOT_OURS)
        labels = of_project(self._crosswalk, found.project)
        results = StudyResults(self._converters, found.id, study, found.project, sorted(verified), labels)
        return Verified(results, study, (found.run, found.verified_version, frozenset(verified)))

    def of(self, level: Literal["series", "instances"], resource: str) -> Verified:
        """Return the conversions of the study of a series or instance."""
        parent = self._orthanc.get(f"/{level}/{resource}")
        series = parent if level == "series" else self._orthanc.get(f"/series/{parent['ParentSeries']}")
        verified = self.of_study(str(series["ParentStudy"]))
        if level == "instances" and not verified.results.allows(resource):
            raise Forbidden(NOT_OURS)
        return verified

    def is_current(self, verified: Verified) -> bool:
        """Tell whether the study is as it was: what was taken back meanwhile must not be shown."""
        return self.of_study(verified.study).state == verified.state
