"""Labels of the hierarchy: filled templates, from values of the de-identified study alone."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from string import Formatter
from typing import Any

from ...errors import Rejected
from ...formats import names
from ...settings import Flywheel

# What Flywheel reads as something else in a path or a filter, and what no screen shows.
_NEVER = re.compile(r'[\x00-\x1f\x7f/\\",<>|?*]+')
_AGE = re.compile(r"([0-9]{3})([DWMY])")
_DAYS = {"D": 1.0, "W": 7.0, "M": 365.25 / 12, "Y": 365.25}


@dataclass(frozen=True)
class Study:
    """The de-identified study as its destination sees it."""

    values: Mapping[str, str]  # fields of names.py
    age_days: float | None
    began: datetime | None


def read(facts: Mapping[str, Any], project: str, age: str = "") -> Study:
    """Read Orthanc's answer on the output study; `age` is PatientAge of one of its instances."""
    values = {"project": project, **facts.get("PatientMainDicomTags", {}), **facts.get("MainDicomTags", {})}
    values = {key: str(value).strip() for key, value in values.items()}
    day = _date(values.get("StudyDate", ""))
    return Study(values, _age(day, _date(values.get("PatientBirthDate", "")), age), _moment(day, values))


def label(settings: Flywheel, template: str, values: Mapping[str, str]) -> str:
    """Fill a template; missing values become `none`, or nothing in free labels."""
    if not settings.free_labels:
        return names.fill(template, values)
    text = "".join(
        literal + (_written(values.get(field, ""), form or "") if field else "")
        for literal, field, form, _ in Formatter().parse(template)
    )
    return _NEVER.sub("_", " ".join(text.split()))[: names.LONGEST].strip() or "none"


def distinct(settings: Flywheel, template: str, values: Mapping[str, str]) -> str:
    """Fill a template whose values must be there: without them one container would take in all patients or studies."""
    missing = [field for _, field, _, _ in Formatter().parse(template) if field and not values.get(field)]
    if missing:
        raise Rejected(f"the de-identified study has no {missing[0]}, of which a label on Flywheel is made")
    return label(settings, template, values)


def _written(value: str, form: str) -> str:
    return format(int(value), form) if form and value.lstrip("-").isdecimal() else value


def _date(text: str) -> date | None:
    try:
        return datetime.strptime(text, "%Y%m%d").date()  # noqa: DTZ007  # a day has no zone
    except ValueError:
        return None


def _age(day: date | None, born: date | None, age: str) -> float | None:
    if day and born and day >= born:
        return float((day - born).days)
    found = _AGE.fullmatch(age.strip())
    return int(found[1]) * _DAYS[found[2]] if found else None


def _moment(day: date | None, values: Mapping[str, str]) -> datetime | None:
    found = re.match(r"([01][0-9]|2[0-3])([0-5][0-9])([0-5][0-9])?", values.get("StudyTime", ""))
    if not day or not found:
        return None
    return datetime(day.year, day.month, day.day, int(found[1]), int(found[2]), int(found[3] or 0))  # noqa: DTZ001  # DICOM's local time
