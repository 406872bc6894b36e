"""Dates inside free text, in common notations of five languages: shifted where the profile shifts, else gone."""

import datetime as dt
import re
from collections.abc import Callable, Iterator

from .matcher import folded

Move = Callable[[dt.date], dt.date]
_CENTURY = 50  # two digits of a year below it are of the 21st

# Characters without a meaning hold the places of shifted dates while the rest is looked at.
PRIVATE_USE = re.compile("[\ue000-\uf8ff]+")
_FIRST_PLACE, _PLACES = 0xE000, 0x1900


class Dates:
    """The full dates of one text, shifted; none is left where days is None, and no birth date (YYYYMMDD)."""

    def __init__(self, days: int | None, births: frozenset[str] = frozenset()) -> None:
        self._days = days
        self._births = births
        self._found: list[str] = []

    def taken_from(self, text: str) -> str:
        """Put a mark for each date that stays and nothing for one that goes."""
        return _DATES.sub(self._mark, text)

    def _mark(self, match: re.Match[str]) -> str:
        date = self._date(match)
        if date == match[0]:
            return date
        if not date or len(self._found) == _PLACES:
            return " "
        self._found.append(date)
        return chr(_FIRST_PLACE + len(self._found) - 1)

    def _date(self, match: re.Match[str]) -> str:
        before = match.string[max(match.start() - _NEAR, 0) : match.start()]
        if match["bare"]:
            return match[0] if _PARAMETER.search(before) else ""
        if self._days is None or _BIRTH.search(before):
            return ""
        try:
            return _shifted(match, self._moved) or ""
        except (ValueError, OverflowError):
            return ""

    def _moved(self, date: dt.date) -> dt.date:
        if f"{date.year:04}{date:%m%d}" in self._births:
            raise ValueError("a birth date is not shifted")
        return date + dt.timedelta(days=self._days or 0)

    def put_back(self, text: str) -> str:
        """Put the dates in the places of their marks."""
        return PRIVATE_USE.sub(lambda match: " ".join(self._found[ord(c) - _FIRST_PLACE] for c in match[0]), text)


_ROWS = (
    "January February March April May June July August September October November December",
    "Januar Februar März April Mai Juni Juli August September Oktober November Dezember",
    "janvier février mars avril mai juin juillet août septembre octobre novembre décembre",
    "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre",
    "gennaio febbraio marzo aprile maggio giugno luglio agosto settembre ottobre novembre dicembre",
)
_SHORTS = (3, 4)  # letters of a shortened month
# Folded name -> its row and number; full names of the first row that has them win.
_MONTHS: dict[str, tuple[int, int]] = {}
for _length in (None, *_SHORTS):
    for _row, _names_of_row in enumerate(_ROWS):
        for _number, _name in enumerate(_names_of_row.split(), 1):
            _MONTHS.setdefault(folded(_name[:_length]), (_row, _number))

_ACCENTS = {"a": "[aä]", "e": "[eé]", "u": "[uû]", "o": "o"}


def _month_pattern(names: Iterator[str]) -> str:
    spelt = ("".join(_ACCENTS.get(letter, letter) for letter in name) for name in names)
    return "(?:" + "|".join(sorted(spelt, key=len, reverse=True)) + ")"


_MONTH = _month_pattern(iter(_MONTHS))
_LONG_MONTH = _month_pattern(name for name in _MONTHS if len(name) > max(_SHORTS) or name in ("marz", "juni", "juli"))
_YEAR = r"(?:19|20)\d\d"
_ORDINAL = r"(?:st|nd|rd|th|er|º|ª|\.)?"
_NO_UNIT = r"(?!\s?(?:mm|cm|ms|ml|hu|s|x|deg|kv|mas?)(?!\w))"

# Full dates carry names (year, month and day by order of reading), partial ones none.
_DATES = re.compile(
    rf"""
      (?<![^\W_])(?P<compact>{_YEAR}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01]))
        (?P<time>\d{{4}}(?:\d\d(?:\.\d{{1,6}})?)?)?(?![^\W_])
    | (?<![\d.])(?P<y1>{_YEAR})(?P<s1>[-/.])(?P<m1>\d{{1,2}})(?P=s1)(?P<d1>\d{{1,2}})(?!\d)
    | (?<![\d.,/-])(?P<a2>\d{{1,2}})(?P<s2>[-/.]\ ?)(?P<b2>\d{{1,2}})(?P=s2)(?P<y2>{_YEAR}|\d\d)
        (?![\d/]|[.,-]\d){_NO_UNIT}
    | (?<!\w)(?P<d3>\d{{1,2}})(?P<o3>{_ORDINAL}[\s-]{{0,2}}(?:(?:de|of)\s)?)(?P<n3>{_MONTH})
        (?P<p3>\.?[\s,-]{{0,2}}(?:del?\s)?)(?P<y3>{_YEAR}|'?\d\d)(?!\w)
    | (?<!\w)(?P<n4>{_MONTH})(?P<o4>\.?\s{{0,2}})(?P<d4>\d{{1,2}})(?P<p4>{_ORDINAL},?\s{{1,2}})(?P<y4>{_YEAR})(?!\w)
    | (?<!\w){_MONTH}\.?[\s-]{{0,2}}(?:del?\s)?(?:{_YEAR}|'\d\d)(?!\w)
    | (?<!\w)\d{{1,2}}{_ORDINAL}[\s-]{{1,2}}(?:(?:de|of)\s)?{_LONG_MONTH}(?!\w)
    | (?<!\w){_LONG_MONTH}\s\d{{1,2}}{_ORDINAL}(?![\w.,]*\d){_NO_UNIT}
    | (?<![\d./])(?:0?[1-9]|1[0-2])[/.-]{_YEAR}(?!\d|[./-]\d)
    | (?<![\d.]){_YEAR}[-/](?:0[1-9]|1[0-2])(?!\d|[-/.]\d)
    | (?<![^\W_])(?<![.,=/+-])(?P<bare>{_YEAR})(?![^\W_]|[.,]\d|[/x]){_NO_UNIT}
    """,
    re.IGNORECASE | re.VERBOSE,
)
_BIRTH = re.compile(
    r"(?i)(?:dob|born|birth\w{0,6}|geb\w{0,12}|n[ée]e?|naci\w{0,8}|nacimiento|nat[oa]|naiss\w{0,6})[\W\d]{0,12}$|\*\s{0,2}$"
)
# What a number of four digits is when it stands behind one of these: milliseconds, a b-value, a size.
_PARAMETER = re.compile(
    r"(?i)(?:\b(?:t[eri]|b|bval\w{0,3}|fov|matrix|mb|bw|ww?|wl|l|level|width|img|im|slices?)[\s:=_]{0,2}|\d[\s_/x-]{1,2})$"
)
_NEAR = 24  # characters before a date in which its meaning is looked for


def _shifted(match: re.Match[str], move: Move) -> str | None:
    """Write the date to which a full date moves in the notation that it has; None for what is partial or ambiguous."""
    if text := match["compact"]:
        date = move(dt.date(int(text[:4]), int(text[4:6]), int(text[6:])))
        return f"{date.year:04}{date:%m%d}" + (match["time"] or "")
    if match["y1"]:
        date = move(dt.date(int(match["y1"]), int(match["m1"]), int(match["d1"])))
        return match["s1"].join((f"{date.year:04}", _like(date.month, match["m1"]), _like(date.day, match["d1"])))
    if match["y2"]:
        return _shifted_numbers(match, move)
    for form in ("3", "4"):
        if match["n" + form]:
            return _shifted_words(match, form, move)
    return None


def _shifted_numbers(match: re.Match[str], move: Move) -> str | None:
    first, second = int(match["a2"]), int(match["b2"])
    day_first = match["s2"].startswith(".") or first > _MONTHS_IN_A_YEAR or first == second
    if not day_first and second <= _MONTHS_IN_A_YEAR:
        return None  # 03/04: Europe and America read it differently
    day, month = (first, second) if day_first else (second, first)
    date = move(dt.date(_full_year(match["y2"]), month, day))
    numbers = (date.day, date.month) if day_first else (date.month, date.day)
    return match["s2"].join(
        (_like(numbers[0], match["a2"]), _like(numbers[1], match["b2"]), _like_year(date.year, match["y2"]))
    )


_MONTHS_IN_A_YEAR = 12


def _shifted_words(match: re.Match[str], form: str, move: Move) -> str:
    name = match["n" + form]
    row, month = _MONTHS[folded(name)]
    date = move(dt.date(_full_year(match["y" + form]), month, int(match["d" + form])))
    full = _ROWS[row].split()[date.month - 1]
    shortened = len(name) <= max(_SHORTS) and folded(name) != folded(_ROWS[row].split()[month - 1])
    said = full[: len(name)] if shortened else full
    said = said.upper() if name.isupper() else said.lower() if name.islower() else said.capitalize()
    day, year = _like(date.day, match["d" + form]), _like_year(date.year, match["y" + form])
    parts = (day, match["o" + form], said) if form == "3" else (said, match["o" + form], day)
    return "".join(parts) + match["p" + form] + year


def _like(number: int, text: str) -> str:
    return f"{number:02}" if len(text) > 1 else str(number)


def _full_year(text: str) -> int:
    digits = text.lstrip("'")
    return int(digits) if len(digits) > len("63") else int(digits) + (2000 if int(digits) < _CENTURY else 1900)


def _like_year(year: int, text: str) -> str:
    return f"{year:04}" if len(text) == len("1963") else text[:-2] + f"{year % 100:02}"
