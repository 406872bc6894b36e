"""Session labels like `1234d_B_brain_09h15m`: age in days, body part and time of a study, by a template; pure."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from ..errors import Rejected

TEMPLATE = "{age}d_{abbreviations}_{parts}[_{HH}h{MM}m]"
# Of the values of a source study none that is free text: Modality and PatientSex count where they are defined terms.
FIELDS = ("age", "abbreviations", "parts", "HH", "MM", "Modality", "PatientSex", "project", "pseudonym", "subject")
_FIELD = re.compile(r"\{([^{}]*)\}")
_SEGMENT = re.compile(r"\[([^\[\]]*)\]|([^\[\]]+)")
_TERMS = {"Modality": re.compile(r"[A-Z]{2,6}"), "PatientSex": re.compile(r"[MFO]")}
_LITERAL = re.compile(r"[A-Za-z0-9._ -]*")
_CLOCK = re.compile(r"[0-9]{4}")  # HHMM
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
    return fill(TEMPLATE, values, rules)


def check(template: str) -> None:
    """Raise ValueError that names what is wrong with a template."""
    rest = _SEGMENT.sub(lambda found: found[1] or found[2] or "", template)
    if "[" in rest or "]" in rest or "{" in _FIELD.sub("", rest) or "}" in _FIELD.sub("", rest):
        raise ValueError("a bracket or brace is not closed, or stands in another one of its kind")
    fields = _FIELD.findall(rest)
    wrong = [field for field in fields if field not in FIELDS]
    if wrong:
        raise ValueError(f"there is no field {{{wrong[0]}}} (known: {', '.join(FIELDS)})")
    if not fields or not _LITERAL.fullmatch(_FIELD.sub("", rest)):
        raise ValueError("fields in braces, and letters, digits, blank, . _ - between them")


def fill(template: str, values: Mapping[str, str], rules: LabelRules) -> Label:
    """Make a label by a template; what stands in [brackets] is left out where one of its fields has no value.

    `values` are those of `session_label`, and those of the plain fields that the template names.

    Raises
    ------
    Rejected
        A field outside of brackets has no value.
    """
    fields = _Fields(values, rules)
    text = ""
    for optional, fixed in _SEGMENT.findall(template):
        try:
            text += _FIELD.sub(lambda found: fields.value(found[1]), optional or fixed)
        except Rejected:
            if fixed:
                raise
    return Label(text, fields.remarks)


class _Fields:
    """The values of a template's fields, each made when it is asked for."""

    def __init__(self, values: Mapping[str, str], rules: LabelRules) -> None:
        self._values, self._rules = values, rules
        self.remarks: tuple[str, ...] = ()

    def value(self, field: str) -> str:
        """Return it, or raise Rejected."""
        if field == "age":
            days, self.remarks = age_days(self._values, self._rules)
            return str(days)
        if field in ("abbreviations", "parts"):
            found = _parts([self._values.get(keyword, "") for keyword in self._rules.descriptions], self._rules)
            return found[field == "parts"]
        value = self._values.get("StudyTime" if field in ("HH", "MM") else field, "").strip()
        if field in ("HH", "MM"):
            value = (value[:2] if field == "HH" else value[2:4]) if _CLOCK.match(value) else ""
        elif field in _TERMS and not _TERMS[field].fullmatch(value):
            value = ""
        if not value:
            raise Rejected(f"no label for the session: the study has no {{{field}}}")
        return value


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
