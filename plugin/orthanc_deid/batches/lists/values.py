"""What a cell may hold, kind by kind: each rule answers the value that is asked for, or says what is wrong with it.

A message describes the value and names the mend; it never repeats the value, which may be a patient's.
"""

import re
from collections.abc import Callable
from datetime import date
from functools import cache, lru_cache

from pydantic import TypeAdapter, ValidationError

from ...settings.model import Name

# (value, the latest day as YYYYMMDD) -> the value that is asked for; ValueError says what is wrong.
Rule = Callable[[str, str], str]

EARLIEST = "19000101"
_ISO = re.compile(r"(?<![0-9])([0-9]{4})-([0-9]{2})-([0-9]{2})(?![0-9])")
_DAY = re.compile(r"[0-9]{8}")
_DAYS = re.compile(r"([0-9]{8})?-([0-9]{8})?")
_TIME = re.compile(r"(?:[01][0-9]|2[0-3])(?:[0-5][0-9](?:(?:[0-5][0-9]|60)(?:\.[0-9]{1,6})?)?)?")
_UID = re.compile(r"(?:0|[1-9][0-9]*)(?:\.(?:0|[1-9][0-9]*))+")
_WHOLE = re.compile(r"[+-]?[0-9]{1,12}")
_CODE = re.compile(r"[A-Z0-9 _*?]+")
_PSEUDONYM = re.compile(r"[ -)+-<>@-\[\]_-~]+")
_ROUNDED = re.compile(r"[0-9](?:[.,][0-9]+)?[Ee]\+?[0-9]+")
_PLAIN = re.compile("[ !-)+->@-\\[\\]-~\u00a1-\u1fff]*")
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\u2028\u2029\ufffd]")
_NOTHING_TO_COMPARE = "*?\\^=- "  # a value of nothing else matches everything
_WILDCARDS = frozenset("*?")
UID_LENGTH = 64  # PS3.5 9.1
_MODALITY_LENGTH = 16
# Words that no archive knows as a modality, and what PS3.3 C.7.3.1.1.1 calls it.
_NO_MODALITIES = {
    "MRI": "MR",
    "NMR": "MR",
    "CAT": "CT",
    "PET": "PT",
    "XRAY": "CR, DX or RF",
    "ULTRASOUND": "US",
    "ECHO": "US",
    "MAMMO": "MG",
    "MAMMOGRAPHY": "MG",
    "ANGIO": "XA",
    "SPECT": "NM",
}


def is_plain(value: str) -> bool:
    """Tell whether a whole line, without its delimiters, needs no look by the demands below: most do not."""
    return _PLAIN.fullmatch(value) is not None


def demand_readable(value: str) -> None:
    """Raise ValueError where characters were lost, or cannot be in any value."""
    if _UNPRINTABLE.search(value):
        raise ValueError("holds a character that cannot be printed, or one that was lost: write it anew, save as UTF-8")


def demand_narrow(value: str) -> None:
    """Raise ValueError where nothing but wildcards and separators stands."""
    if value.strip(_NOTHING_TO_COMPARE):
        return
    if _WILDCARDS.isdisjoint(value):
        raise ValueError("holds nothing to compare: leave the cell empty, or add a letter or digit")
    raise ValueError("a lone * matches everything: leave the cell empty, or add what it begins or ends with")


def demand_short(value: str, limit: int) -> None:
    """Raise ValueError where a value is longer than an archive can compare."""
    if len(value) > limit:
        raise ValueError(f"is longer than {limit} characters")


def demand_one(value: str) -> None:
    r"""Raise ValueError where a backslash, which parts values in DICOM (PS3.5 6.4), stands in one."""
    if "\\" in value:
        raise ValueError("a backslash parts values and cannot stand here: give one value, or ? for that character")


def text(value: str, _latest: str) -> str:
    """Take a text as it is; wildcards stand for any letters."""
    return value


def image_type(value: str, _latest: str) -> str:
    r"""Take one of the values of ImageType, or its values from the first on, with `\` between them."""
    return value


def identifier(value: str, _latest: str) -> str:
    """Take the number of a patient or study, unless a spreadsheet has rounded it."""
    if _ROUNDED.fullmatch(value):
        raise ValueError("is a number that a spreadsheet has rounded: format the column as text and write it anew")
    return value


def person(value: str, _latest: str) -> str:
    """Make `*LASTWORD` of a name; what has ^ or * is taken as it is, `Last, First` becomes `Last^First`."""
    if "^" in value or "*" in value:
        return value
    if "," in value:
        return re.sub(r"\s*,\s*", "^", value)
    last = value.upper().split()[-1]
    if not last.strip(_NOTHING_TO_COMPARE):
        raise ValueError("ends with a word without letters: write Last^First, or a * where anything may follow")
    return f"*{last}"


def day(value: str, latest: str) -> str:
    """Take one day, YYYYMMDD or YYYY-MM-DD."""
    plain = _plain(value)
    if _DAYS.fullmatch(plain):
        raise ValueError("is a range: one day, YYYYMMDD, can stand here")
    return _day(plain, latest)


@lru_cache(maxsize=4096)  # a list repeats its days
def days(value: str, latest: str) -> str:
    """Take one day or a range of days (PS3.4 C.2.2.2.5.1)."""
    plain = _plain(value)
    if _DAY.fullmatch(plain):
        return _day(plain, latest)
    found = _DAYS.fullmatch(plain)
    if not found or plain == "-":
        raise ValueError("is not YYYYMMDD, YYYYMMDD-YYYYMMDD, YYYYMMDD- or -YYYYMMDD")
    begin, end = (_day(each, latest) if each else "" for each in found.groups())
    return between(begin, end)


def between(begin: str, end: str) -> str:
    """Return the range of two days or times; either may be empty."""
    if begin and end and begin > end:
        raise ValueError("begins after it ends: write the earlier one first")
    return f"{begin}-{end}"


def times(value: str, _latest: str) -> str:
    """Take a time or a range of times, HHMMSS; minutes, seconds and their fraction may be left out."""
    _demand_plain(value, "write a range HHMMSS-HHMMSS")
    parts = [part.strip() for part in value.split("-")]
    if len(parts) > 2 or not any(parts) or not all(_TIME.fullmatch(part) for part in parts if part):  # noqa: PLR2004  # begin and end
        raise ValueError("is not HHMMSS, HHMMSS-HHMMSS, HHMMSS- or -HHMMSS")
    return parts[0] if len(parts) == 1 else between(*parts)


def uids(value: str, _latest: str) -> str:
    r"""Take one UID or several with `\` between them (PS3.5 9.1, PS3.4 C.2.2.2.2)."""
    return "\\".join([uid(part.strip()) for part in value.split("\\")])


def uid(value: str) -> str:
    """Take one UID (PS3.5 9.1)."""
    _demand_plain(value, "write the whole UID")
    if len(value) > UID_LENGTH:
        raise ValueError(f"is longer than a UID can be ({UID_LENGTH} characters); several are parted by a backslash")
    if not _UID.fullmatch(value):
        raise ValueError("is no UID: digits with dots between them, no number with a leading zero (PS3.5 9.1)")
    return value


def whole(value: str, _latest: str) -> str:
    """Take a whole number (IS), without leading zeros."""
    _demand_plain(value, "write one number")
    if not _WHOLE.fullmatch(value):
        raise ValueError("is not one whole number: give each number a line of its own")
    if not -(2**31) <= int(value) < 2**31:
        raise ValueError("is larger than DICOM allows (PS3.5 6.2, IS)")
    return str(int(value))


@lru_cache(maxsize=4096)  # and its modalities
def modalities(value: str, _latest: str) -> str:
    r"""Take one modality or several with `\` or `,` between them; in capitals."""
    found = dict.fromkeys(part.strip().upper() for part in re.split(r"[\\,]", value))
    for each in found:
        _demand_modality(each)
    return "\\".join(found)


def _demand_modality(value: str) -> None:
    if not _CODE.fullmatch(value):
        raise ValueError("is no modality: capitals and digits, several parted by a backslash, like CT\\MR")
    demand_short(value, _MODALITY_LENGTH)
    demand_narrow(value)
    if value in _NO_MODALITIES:
        raise ValueError(f"is no modality of DICOM (did you mean {_NO_MODALITIES[value]}?)")


def pseudonym(value: str, _latest: str) -> str:
    """Take what becomes PatientID and PatientName of the output: one value of LO, and of PN without any part."""
    if not _PSEUDONYM.fullmatch(value):
        raise ValueError("is no pseudonym: printable ASCII characters, none of ^ = * ? among them")
    return value


def project(value: str, _latest: str) -> str:
    """Take the name of a project."""
    if not _is_name(value):
        raise ValueError("is no name of a project: up to 64 letters, digits and . _ - that begin with one of the first")
    return value


@cache
def _names() -> TypeAdapter[str]:
    return TypeAdapter(Name)


def _is_name(value: str) -> bool:
    try:
        _names().validate_python(value)
    except ValidationError:
        return False
    return True


def _plain(value: str) -> str:
    if value.isdecimal():
        return value
    _demand_plain(value, "write a range YYYYMMDD-YYYYMMDD")
    return _ISO.sub(r"\1\2\3", value).replace(" ", "")


def _demand_plain(value: str, mend: str) -> None:
    if not _WILDCARDS.isdisjoint(value):
        raise ValueError(f"takes no wildcard: {mend}")


def _day(value: str, latest: str) -> str:
    if not _DAY.fullmatch(value):
        raise ValueError("is not YYYYMMDD")
    try:
        date(int(value[:4]), int(value[4:6]), int(value[6:]))
    except ValueError:
        raise ValueError("is no day of the calendar, read as YYYYMMDD") from None
    if value < EARLIEST:
        raise ValueError("is before 1900")
    if value > latest:
        raise ValueError("is in the future")
    return value
