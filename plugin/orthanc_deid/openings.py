"""Whether a destination or source may be used now: not paused by a person, not outside its windows."""

from datetime import datetime
from zoneinfo import ZoneInfo

from .database.gates import Gates
from .errors import Postponed
from .settings.paced import Paced
from .settings.windows import opens_in

PAUSED = "waits: paused by a person"
PAUSED_S = 3600.0  # letting it go on hastens what waits


def opens_in_s(settings: Paced) -> float:
    """Return the seconds until one of its windows opens, 0 while one is open or it has none."""
    now = datetime.now(ZoneInfo(settings.timezone)) if settings.timezone else datetime.now().astimezone()
    return opens_in(settings.windows, now)


def demand_open(settings: Paced, gates: Gates) -> None:
    """Raise Postponed while it is paused or its windows are closed."""
    if gates.get(settings.name).paused:
        raise Postponed(PAUSED, PAUSED_S)
    wait_s = opens_in_s(settings)
    if wait_s > 0:
        raise Postponed("waits: the time window is closed", wait_s)
