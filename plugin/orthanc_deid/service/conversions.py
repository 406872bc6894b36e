"""Conversions that people ask for: of de-identified and verified resources, and of nothing else."""

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from pathlib import Path
from typing import Literal

from ..database.ledger import Ledger
from ..errors import Forbidden
from ..orthanc_rest import Orthanc
from ..results.study import Converters, StudyResults

AT_ONCE = 2  # conversions that people wait for
WAIT_S = 40.0  # below the time-out of the plugin's route
NOT_OURS = "not a de-identified and verified resource: ask for the result of its study"


class Conversions:
    """Conversions that were asked for by a route; each goes on when nobody waits for it any more."""

    def __init__(self, orthanc: Orthanc, ledger: Ledger, converters: Converters) -> None:
        self._orthanc, self._ledger, self._converters = orthanc, ledger, converters
        self._pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="conversion")
        self._lock = threading.Lock()
        self._running: dict[tuple[str, ...], Future[Path]] = {}

    def close(self) -> None:
        """Take no more."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def ask(self, key: tuple[str, ...], make: Callable[[], Path], seconds: float = WAIT_S) -> Path | None:
        """Return what `make` makes; None where it is not ready in that time: ask again with the same key."""
        with self._lock:
            future = self._running.get(key) or self._pool.submit(make)
            self._running[key] = future
        try:
            found = future.result(seconds)
        except NotYet:
            return None
        except Exception:
            self._forget(key)
            raise
        self._forget(key)
        return found

    def _forget(self, key: tuple[str, ...]) -> None:
        with self._lock:
            self._running.pop(key, None)

    def of_study(self, study: str) -> StudyResults:
        """Return the conversions of a study, by the Orthanc id of its source or its result.

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
        return StudyResults(self._converters, found.id, study, found.project, sorted(verified))

    def of(self, level: Literal["series", "instances"], resource: str) -> StudyResults:
        """Return the conversions of the study of a series or instance."""
        parent = self._orthanc.get(f"/{level}/{resource}")
        series = parent if level == "series" else self._orthanc.get(f"/series/{parent['ParentSeries']}")
        results = self.of_study(str(series["ParentStudy"]))
        if level == "instances" and not results.allows(resource):
            raise Forbidden(NOT_OURS)
        return results
