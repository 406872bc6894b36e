"""Session labels like `1234d_B_brain_09h15m`: age in days, body part and time of a study; pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from ..errors import Rejected

_DAYS = {"D": 1.0, "W": 7.0, "M": 30.4375, "Y": 365.25}  # of the units of AS, PS3.5 6.2
_OLD_DAYS = 32850  # 90 years


@dataclass(frozen=True)
class BodyPart:
    """Words in a description that tell a part of the body; any case, anywhere in it."""

    words: tuple[str, ...]
    abbreviation: str
    part: str


@dataclass(frozen=True)
class LabelRules:
    """Where to look, and for what."""

    descriptions: tuple[str, ...]  # keywords, the first that names a part decides
    parts: tuple[BodyPart, ...]
    missing_birth_dates: tuple[str, ...] = ("19010101",)  # values that say there is none


@dataclass(frozen=True)
class Label:
    """A label, and what a reader must know about it."""

    text: str
    remarks: tuple[str, ...] = ()


def session_label(values: Mapping[str, str], rules: LabelRules) -> Label:
    """Make the label of a study from its attributes.

    Parameters
    ----------
    values
        By keyword: StudyDate, StudyTime, PatientBirthDate, PatientAge and the descriptions that the rules name. The
        dates are compared only with each other: both are of the de-identified study, or both of the source.
    rules
        Where to look, and for what.

    Raises
    ------
    Rejected
        No description names a part of the body, or neither birth date and study date nor age are there.
    """
    days, remarks = age_days(values, rules)
    abbreviation, parts = _parts([values.get(keyword, "") for keyword in rules.descriptions], rules)
    time = values.get("StudyTime", "").strip()
    clock = f"_{time[:2]}h{time[2:4]}m" if len(time) >= 4 and time[:4].isdecimal() else ""  # noqa: PLR2004  # HHMM
    return Label(f"{days}d_{abbreviation}_{parts}{clock}", remarks)


def age_days(values: Mapping[str, str], rules: LabelRules) -> tuple[int, tuple[str, ...]]:
    """Return the age at the study in days; from PatientAge where there is no birth date, which is said.

    An age above 89 years is told as 90 years, HIPAA 164.514(b)(2)(i)(C): the days of so old a person tell who it is.
    """
    days, remarks = _age_days(values, rules)
    if days >= _OLD_DAYS:
        return _OLD_DAYS, (*remarks, "an age above 89 years is told as 90 years")
    return days, remarks


def _age_days(values: Mapping[str, str], rules: LabelRules) -> tuple[int, tuple[str, ...]]:
    birth = values.get("PatientBirthDate", "").strip()
    born = None if birth in rules.missing_birth_dates else _date(birth)
    studied = _date(values.get("StudyDate", "").strip())
    if born and studied:
        return abs((studied - born).days), ()
    age = values.get("PatientAge", "").strip()
    if len(age) == 4 and age[:3].isdecimal() and age[3] in _DAYS:  # noqa: PLR2004  # nnnY
        return round(int(age[:3]) * _DAYS[age[3]]), ("the age in days is estimated from PatientAge",)
    raise Rejected("no label for the session: neither birth date and study date nor an age is there")


def _parts(descriptions: Sequence[str], rules: LabelRules) -> tuple[str, str]:
    for description in descriptions:
        text = description.casefold()
        found = [each for each in rules.parts if any(word.casefold() in text for word in each.words)]
        if found:
            return "".join(each.abbreviation for each in found), "_".join(each.part for each in found)
    raise Rejected("no label for the session: no description names a part of the body")


def _date(text: str) -> date | None:
    if len(text) != 8 or not text.isdecimal():  # noqa: PLR2004  # YYYYMMDD
        return None
    try:
        return date(int(text[:4]), int(text[4:6]), int(text[6:]))
    except ValueError:
        return None
