"""Matching of answers with a question, since archives may ignore keys: PS3.4 C.2.2.2."""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

from ..errors import Rejected
from .attributes import ATTRIBUTES

WILD = ("AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT")  # VRs with wildcards, PS3.4 C.2.2.2.4
RANGES = ("DA", "TM")
SEQUENCES = ("ImageType",)  # a backslash stands between values of one attribute, not between alternatives
YEARS, LETTERS = 10, 2  # of a question that is not for the whole archive
Answer = Mapping[str, str]


def selected(answers: Sequence[Answer], keys: Mapping[str, str]) -> list[Answer]:
    """Return the answers that match every key.

    Raises
    ------
    Rejected
        There are answers and none of them tells one of the attributes: it cannot be searched by.
    """
    asked = {keyword: value for keyword, value in keys.items() if not is_universal(value)}
    untold = [keyword for keyword in asked if answers and not any(answer.get(keyword) for answer in answers)]
    if untold:
        raise Rejected(f"the archive tells no {', '.join(untold)}: it cannot be searched by that")
    return [a for a in answers if all(matches(keyword, value, a.get(keyword, "")) for keyword, value in asked.items())]


def is_universal(wanted: str) -> bool:
    """Answer whether a value matches everything: it is empty, or nothing but wildcards and separators."""
    return not wanted.strip("*?\\^=- ")


def narrows(keyword: str, wanted: str) -> bool:
    """Answer whether a value, alone, leaves most of an archive out: not `*a*`, and no days of more than ten years."""
    if not sendable(keyword, wanted):
        return False
    if ATTRIBUTES[keyword].vr == "DA" and "-" in wanted:
        first, _, last = wanted.strip().partition("-")
        years = (first[:4], last[:4] or f"{datetime.now(UTC):%Y}")
        return all(year.isdecimal() for year in years) and int(years[1]) - int(years[0]) <= YEARS
    return not re.search(r"[*?]", wanted) or len(re.sub(r"[*?\\^=\- ]", "", wanted)) >= LETTERS


def sendable(keyword: str, wanted: str) -> str:
    """Return what is sent for a value: empty where no archive need understand it, so that only we compare."""
    vr = ATTRIBUTES[keyword].vr
    if is_universal(wanted) or keyword in SEQUENCES or (vr not in WILD and re.search(r"[*?]", wanted)):
        return ""
    return "" if "\\" in wanted and vr != "UI" else wanted


def matches(keyword: str, wanted: str, told: str) -> bool:
    """Answer whether one of the values that were told is wanted."""
    vr = ATTRIBUTES[keyword].vr
    if keyword in SEQUENCES and "\\" in wanted:
        return _is(vr, wanted, told)
    return any(_is(vr, each, value) for value in _values(vr, told) for each in wanted.split("\\"))


def _values(vr: str, told: str) -> Iterable[str]:
    """Return the values of an attribute; of a name also each of its component groups (PS3.5 6.2.1)."""
    values = [value.strip(" \0") for value in told.split("\\")]
    return [part for value in values for part in (value, *value.split("="))] if vr == "PN" else values


def _is(vr: str, wanted: str, told: str) -> bool:
    if not told:
        return False
    if vr in RANGES:
        return _is_within(vr, wanted, told)
    if vr in ("IS", "DS"):
        return _number(wanted) == _number(told)
    if vr == "PN":
        wanted, told = _name(wanted), _name(told)
    return bool(_pattern(wanted.strip()).fullmatch(told))


def _is_within(vr: str, wanted: str, told: str) -> bool:
    """Compare dates and times, single or a range with one end open (PS3.4 C.2.2.2.5)."""
    at = _moment(vr, told, "0")
    if re.search(r"[*?]", wanted):
        return bool(_pattern(wanted.strip()).fullmatch(told))
    first, dash, last = wanted.strip().partition("-")
    if not dash:
        return at == _moment(vr, first, "0")
    return (not first or _moment(vr, first, "0") <= at) and (not last or at <= _moment(vr, last, "9"))


def _moment(vr: str, text: str, fill: str) -> str:
    """Return a date or time whose parts that are left out are filled, so that texts compare as what they stand for."""
    whole = re.sub(r"[.:\-]", "", text) if vr == "DA" else text.strip().replace(":", "").replace(".", "")
    return whole.strip().ljust(8 if vr == "DA" else 12, fill)


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def _name(text: str) -> str:
    """Return a name without case, accents and empty components: PS3.4 C.2.2.2.1 allows it."""
    plain = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    return plain.casefold().strip().rstrip("^")


def _pattern(wanted: str) -> re.Pattern[str]:
    parts = (".*" if c == "*" else "." if c == "?" else re.escape(c) for c in wanted)
    return re.compile("".join(parts), re.DOTALL)
