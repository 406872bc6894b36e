"""Weekly time windows: when something may be sent."""

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated

from pydantic import AfterValidator

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_WINDOW = re.compile(r"(?:([a-z]{3})(?:-([a-z]{3}))? )?([0-2]\d):([0-5]\d)-([0-2]\d):([0-5]\d)")
_DAY_MIN = 24 * 60
_WEEK_MIN = 7 * _DAY_MIN


def _valid(text: str) -> str:
    minutes(text)
    return text


# `mon-fri 18:00-06:00`, `sat 00:00-24:00`, `22:00-06:00` (every day); an end before the begin is on the next day.
Window = Annotated[str, AfterValidator(_valid)]


def minutes(window: str) -> list[tuple[int, int]]:
    """Return begin and end of a window in minutes from Monday 00:00, one pair for each of its days.

    Raises
    ------
    ValueError
        It is not a window.
    """
    found = _WINDOW.fullmatch(window)
    if not found:
        raise ValueError("not a window: `mon-fri 18:00-06:00`, `sat 00:00-24:00` and `22:00-06:00` are")
    first, last, *clock = found.groups()
    for day in (first, last):
        if day is not None and day not in DAYS:
            raise ValueError(f"{day} is not a day ({', '.join(DAYS)})")
    begin, end = int(clock[0]) * 60 + int(clock[1]), int(clock[2]) * 60 + int(clock[3])
    if max(begin, end) > _DAY_MIN:
        raise ValueError("a day ends at 24:00")
    if begin == end:
        raise ValueError("a window of no length")
    length = (end - begin) % _DAY_MIN or _DAY_MIN
    from_day = DAYS.index(first) if first else 0
    to_day = DAYS.index(last or first) if first else len(DAYS) - 1
    days = [(from_day + k) % len(DAYS) for k in range((to_day - from_day) % len(DAYS) + 1)]
    return [(day * _DAY_MIN + begin, day * _DAY_MIN + begin + length) for day in days]


def opens_in(windows: Sequence[str], now: datetime) -> float:
    """Return the seconds until the next window opens; 0 inside one, and where there is none."""
    if not windows:
        return 0.0
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    at = (now.weekday() * _DAY_MIN) + (now - midnight) / timedelta(minutes=1)
    waits = []
    for begin, end in (pair for window in windows for pair in minutes(window)):
        # The end of Sunday's night lies in the next week.
        if begin <= at < end or at < end - _WEEK_MIN:
            return 0.0
        waits.append((begin - at) % _WEEK_MIN)
    opens = now + timedelta(minutes=min(waits))  # by the clock on the wall
    # Where a clock is put forward or back in between, the time that passes is another one.
    passes_s = opens.timestamp() - now.timestamp()
    return passes_s if passes_s > 0 else min(waits) * 60.0
