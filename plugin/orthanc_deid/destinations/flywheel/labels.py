"""Labels of the hierarchy: filled templates, from values of the de-identified study alone."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from string import Formatter
from typing import Any

from ...errors import Rejected
from ...formats import names
from ...formats.labels import NONE, Labels
from ...formats.session_labels import LabelRules, age_days, session_label
from ...settings import Flywheel

# What Flywheel reads as something else in a path or a filter, and what no screen shows.
_NEVER = re.compile(r'[\x00-\x1f\x7f/\\",<>|?*]+')


@dataclass(frozen=True)
class Study:
    """The de-identified study as its destination sees it."""

    values: Mapping[str, str]  # fields of names.py
    age_days: float | None
    began: datetime | None
    remarks: tuple[str, ...] = ()  # on the session's label: an age that was estimated
    subject: str = "{PatientID}"  # template of its label
    session: str = "{StudyInstanceUID}"


def fields(settings: Flywheel) -> set[str]:
    """Return the fields of the labels above the acquisition."""
    templates = (settings.project, settings.subject, settings.session)
    return {field for template in templates for _, field, _, _ in Formatter().parse(template) if field}


def read(
    settings: Flywheel, facts: Mapping[str, Any], project: str, tags: Mapping[str, Any] | None = None,
    given: Labels = NONE,
) -> Study:  # fmt: skip
    """Read Orthanc's answer on the output study, and the attributes of one of its instances where they are needed.

    Labels that are given win over templates that nobody has written.

    Raises
    ------
    Rejected
        The session's label cannot be made by the rules.
    """
    values = {key: str(value).strip() for key, value in facts.get("PatientMainDicomTags", {}).items()}
    values |= {key: str(value).strip() for key, value in facts.get("MainDicomTags", {}).items()}
    values["project"] = project
    values |= given.fields(values)
    subject = "{subject}" if given.subject and "subject" not in settings.model_fields_set else settings.subject
    session = "{session}" if given.session and "session" not in settings.model_fields_set else settings.session
    if not tags:
        return Study(values, None, None, subject=subject, session=session)
    found = {each["Name"]: each["Value"].strip() for each in tags.values() if isinstance(each["Value"], str)} | values
    remarks: tuple[str, ...] = ()
    if settings.session_labels and not given.session and "session" in fields(settings):
        made = session_label(found, settings.session_labels.rules())
        values["session"], remarks = made.text, made.remarks
    return Study(values, _age(found), _moment(found), remarks, subject, session)


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


def _age(values: Mapping[str, str]) -> float | None:
    try:
        return float(age_days(values, LabelRules((), ()))[0])
    except Rejected:
        return None


def _moment(values: Mapping[str, str]) -> datetime | None:
    text = values.get("StudyDate", "") + values.get("StudyTime", "").partition(".")[0].ljust(6, "0")
    try:
        return datetime.strptime(text, "%Y%m%d%H%M%S")  # noqa: DTZ007  # DICOM's local time
    except ValueError:
        return None
