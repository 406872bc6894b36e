"""Whether what somebody wrote down can be a pseudonym or a day shift; no message repeats it."""

import re
from collections.abc import Callable, Mapping

MOST_DAYS = 36525  # a hundred years
_LONGEST = 64  # characters of PatientID, VR LO
_DAYS = re.compile(r"[+-]?[0-9]{1,6}")
_FAULTS: Mapping[str, Callable[[str], bool]] = {
    "is empty": lambda text: not text.strip(),
    f"is longer than {_LONGEST} characters": lambda text: len(text) > _LONGEST,
    "holds a backslash, which parts values": lambda text: "\\" in text,
    "holds a control character, or one outside of ASCII": lambda text: not (text.isascii() and text.isprintable()),
    "holds one of ^ = * ?": lambda text: not set("^=*?").isdisjoint(text),
    "begins or ends with a blank": lambda text: text != text.strip(),
}


def fault(pseudonym: str) -> str:
    """Return why a text cannot be PatientID and PatientName of an output; empty where it can.

    ASCII, since any Specific Character Set holds that.
    """
    return next((told for told, is_so in _FAULTS.items() if is_so(pseudonym)), "")


def days(text: str) -> int | None:
    """Return a number of days; None for 0, which would leave all dates as they are.

    Raises
    ------
    ValueError
        It is no whole number, or more than a hundred years.
    """
    if not _DAYS.fullmatch(text.strip()) or abs(int(text)) > MOST_DAYS:
        raise ValueError(f"is not a whole number of days, at most {MOST_DAYS}")
    return int(text) or None
