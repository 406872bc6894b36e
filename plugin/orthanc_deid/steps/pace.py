"""When and how fast a destination or source may be used: its gate, its windows, its bandwidth."""

import threading
import time
from collections.abc import Callable

from ..database.gates import Gates
from ..errors import Postponed
from ..openings import PAUSED, PAUSED_S, demand_open
from ..settings.delivery import Delivery
from ..settings.paced import Paced

__all__ = ["PAUSED", "PAUSED_S", "demand_open"]

RATIONED = "waits: a bounded number of studies may begin in an hour"
LOOK_S = 2.0  # seconds between two looks at gate, windows and ledger while something is being sent


def admit(settings: Paced, gates: Gates, ahead: Callable[[], int]) -> None:
    """Claim the right to begin a study now; `ahead` counts those that wait for the same right and come before it.

    Raises
    ------
    Postponed
        It is paused, outside its windows, or another study was begun just before.
    """
    demand_open(settings, gates)
    if settings.studies_per_hour:
        apart_s = 3600.0 / settings.studies_per_hour
        wait_s = gates.begin(settings.name, apart_s)
        if wait_s > 0:
            # Each comes at its own turn: if all came at the next one, all but one would be enqueued again each time.
            raise Postponed(RATIONED, wait_s + ahead() * apart_s)


def rest(seconds: float, guard: Callable[[], object]) -> None:
    """Wait so long, with a look at whether it is still wanted now and then."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        guard()
        time.sleep(min(left, LOOK_S))


class Bandwidth:
    """The bytes a second of one destination, shared by all that this process sends to it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._free_at: dict[str, float] = {}

    def take(self, destination: str, count: int, bytes_per_s: float) -> float:
        """Claim so many bytes; return until when to wait, by the monotonic clock."""
        with self._lock:
            begin = max(self._free_at.get(destination, 0.0), time.monotonic())
            self._free_at[destination] = begin + count / bytes_per_s
            return self._free_at[destination]


_bandwidth = Bandwidth()


class SteadyPace:
    """The pace of one study: what is left of the destination's bandwidth, and a look at its gate now and then.

    Parameters
    ----------
    workers
        Processes that share the destination's bandwidth equally.
    guard
        Raises Stale where the run is over.
    """

    def __init__(self, settings: Delivery, gates: Gates, guard: Callable[[], object], workers: int = 1) -> None:
        self._settings, self._gates, self._guard = settings, gates, guard
        self._bytes_per_s = settings.bytes_per_s / workers if settings.bytes_per_s else None
        self._looked_at = time.monotonic()

    def sent(self, count: int) -> None:
        """Wait until so many bytes are within the bandwidth; raise Postponed or Stale where sending must stop."""
        until = _bandwidth.take(self._settings.name, count, self._bytes_per_s) if self._bytes_per_s else 0.0
        self._look(time.monotonic())
        while (left := until - time.monotonic()) > 0:
            time.sleep(min(left, LOOK_S))
            self._look(time.monotonic())

    def _look(self, now: float) -> None:
        if now - self._looked_at < LOOK_S:
            return
        self._looked_at = now
        self._guard()
        demand_open(self._settings, self._gates)
