"""When and how fast a destination may be sent to: its gate, its windows, its bandwidth."""

import time
from collections.abc import Callable
from datetime import datetime
from zoneinfo import ZoneInfo

from ..database.gates import Gates
from ..errors import Postponed
from ..settings.delivery import Delivery
from ..settings.windows import opens_in

PAUSED_S = 3600.0  # letting it go on hastens what waits
LOOK_S = 2.0  # seconds between two looks at gate, windows and ledger while something is being sent


def admit(settings: Delivery, gates: Gates) -> None:
    """Claim the right to begin a study now.

    Raises
    ------
    Postponed
        The destination is paused, outside its windows, or another study was begun just before.
    """
    demand_open(settings, gates)
    if settings.studies_per_hour:
        wait_s = gates.begin(settings.name, 3600.0 / settings.studies_per_hour)
        if wait_s > 0:
            raise Postponed("waits: the destination takes a bounded number of studies an hour", wait_s)


def demand_open(settings: Delivery, gates: Gates) -> None:
    """Raise Postponed while the destination is paused or its windows are closed."""
    if gates.get(settings.name).paused:
        raise Postponed("waits: the destination is paused", PAUSED_S)
    now = datetime.now(ZoneInfo(settings.timezone)) if settings.timezone else datetime.now().astimezone()
    wait_s = opens_in(settings.windows, now)
    if wait_s > 0:
        raise Postponed("waits: the destination's time window is closed", wait_s)


class SteadyPace:
    """The pace of one study: an equal share of the destination's bandwidth, and a look at its gate now and then."""

    def __init__(self, settings: Delivery, gates: Gates, guard: Callable[[], object]) -> None:
        self._settings, self._gates, self._guard = settings, gates, guard
        share = settings.bytes_per_s / settings.concurrency if settings.bytes_per_s else None
        self._bytes_per_s = share
        self._free_at = self._looked_at = time.monotonic()

    def sent(self, count: int) -> None:
        """Wait until so many bytes are within the bandwidth; raise Postponed or Stale where sending must stop."""
        now = time.monotonic()
        if self._bytes_per_s:
            self._free_at = max(self._free_at, now) + count / self._bytes_per_s
        self._look(now)
        while (left := self._free_at - time.monotonic()) > 0:
            time.sleep(min(left, LOOK_S))
            self._look(time.monotonic())

    def _look(self, now: float) -> None:
        if now - self._looked_at < LOOK_S:
            return
        self._looked_at = now
        self._guard()
        demand_open(self._settings, self._gates)
