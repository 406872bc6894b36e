"""Shifts DA and DT values by whole days; what cannot be read as a date is refused, never guessed."""

import datetime as dt
import re

_DAY = dt.timedelta(days=1)
# Year, month, day with nothing, the dot of ACR-NEMA or what careless writers put between; then what a DT adds: time,
# fraction, zone.
_VALUE = re.compile(
    r"^(?P<year>\d{4})(?:(?P<dot>[-./]?)(?P<month>\d{2})(?:(?P=dot)(?P<day>\d{2})"
    r"(?P<time>(?:[01]\d|2[0-3])(?:[0-5]\d(?:(?:[0-5]\d|60)(?:\.\d{1,6})?)?)?)?)?)?(?P<zone>[+-]\d{4})?$"
)
_RANGE = re.compile(r"^(\d{8}(?:\d{2,6}(?:\.\d{1,6})?)?)?\s*-\s*(\d{8}(?:\d{2,6}(?:\.\d{1,6})?)?)?$")
_TIME = re.compile(r"^((?:[01]\d|2[0-3])(:?[0-5]\d(:?(?:[0-5]\d|60)(\.\d{1,6})?)?)?)?\s*$")


def shifted(text: str, days: int) -> str | None:
    """Shift one or several (backslash) dates or date-times, padding trimmed; None where one cannot be read.

    The time of day, fraction and zone stay. A month is shifted from its middle, a year from its second of July, and
    each keeps its precision. An empty value stays empty.
    """
    values = [_shifted_one(value.strip("\x00 "), days) for value in text.split("\\")]
    return None if None in values else "\\".join(value for value in values if value is not None)


def is_time(text: str) -> bool:
    """Tell whether a TM value can be read: HH, HHMM, HHMMSS with a fraction, colons as in ACR-NEMA."""
    return all(_TIME.match(value.strip("\x00 ")) for value in text.split("\\"))


def _shifted_one(value: str, days: int) -> str | None:
    if not value:
        return ""
    match = _VALUE.match(value)
    if match:
        return _shifted_match(match, days)
    between = _RANGE.match(value)
    if between and (between[1] or between[2]):
        ends = [_shifted_one(end or "", days) for end in between.groups()]
        return None if None in ends else f"{ends[0]}-{ends[1]}"
    return None


def _shifted_match(match: re.Match[str], days: int) -> str | None:
    month, day, dot = match["month"], match["day"], match["dot"] or ""
    try:
        date = dt.date(int(match["year"]), int(month or 7), int(day or (15 if month else 2))) + days * _DAY
    except (ValueError, OverflowError):
        return None
    parts = [f"{date.year:04}"] + [f"{date.month:02}"] * bool(month) + [f"{date.day:02}"] * bool(day)
    return dot.join(parts) + (match["time"] or "") + (match["zone"] or "")
