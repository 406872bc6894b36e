"""Names and birth dates as they are compared."""

import re
import unicodedata
from datetime import date

_ISO = re.compile(r"([0-9]{4})-?([0-9]{2})-?([0-9]{2})(?:[ T]00:00(?::00(?:\.0+)?)?)?")
_AMERICAN = re.compile(r"([0-9]{1,2})/([0-9]{1,2})/([0-9]{4})")
_NONE = "19010101"  # what some systems write where they do not know it


def name(last: str, first: str) -> str:
    """Return a name as it is compared: lower case, without outer and double blanks; '' where a part is missing."""
    parts = [_plain(last), _plain(first)]
    return "\x00".join(parts) if all(parts) else ""


def written_name(text: str) -> str:
    """Return the name of a PN (`Last^First^Middle=...`), or of `Last, First`, as it is compared."""
    groups = text.split("=")
    text = next((group for group in groups if group.strip(" ^")), "")
    parts = text.split("^") if "^" in text else text.split(",")
    return name(parts[0], parts[1]) if len(parts) > 1 else ""


def birth_date(text: str, *, american: bool = False) -> str:
    """Return a date as YYYYMMDD; '' where it is not known.

    Raises
    ------
    ValueError
        It is no date; month/day/year is one only where `american` says so, since others mean day/month/year.
    """
    text = text.strip()
    if not text:
        return ""
    if found := _ISO.fullmatch(text):
        year, month, day = found.groups()
    elif american and (found := _AMERICAN.fullmatch(text)):
        month, day, year = found.groups()
    else:
        raise ValueError("is not a date, YYYY-MM-DD")
    try:
        made = date(int(year), int(month), int(day)).strftime("%Y%m%d").rjust(8, "0")
    except ValueError:
        raise ValueError("is not a day of the calendar") from None
    return "" if made == _NONE else made


def _plain(text: str) -> str:
    return " ".join(unicodedata.normalize("NFC", text).casefold().split())
