"""Labels of a subject and a session: what a patient and a study are called where they are filed; pure."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass

LONGEST = 64
_LABEL = re.compile(r"[A-Za-z0-9_-](?:[A-Za-z0-9._ -]*[A-Za-z0-9_-])?")
_DATE, _MINUTE = 8, 4  # characters of YYYYMMDD, HHMM


@dataclass(frozen=True)
class Labels:
    """What a source of pseudonyms or a project's rule has given; empty where nothing is given."""

    subject: str = ""
    session: str = ""

    def fields(self, values: Mapping[str, str]) -> dict[str, str]:
        """Return `subject` and `session` of names; where none is given, made of values of the de-identified study."""
        subject = self.subject or values.get("PatientID", "").strip()
        return {"subject": subject, "session": self.session or default_session(values)}


NONE = Labels()


def none_given(facts: Mapping[str, object]) -> Labels:  # noqa: ARG001  # as what asks the crosswalk
    """Answer that nothing is given."""
    return NONE


def fault(text: str) -> str:
    """Say what is wrong with a label, without repeating it; empty where it is one."""
    if len(text) > LONGEST:
        return f"it is longer than {LONGEST} characters"
    if not _LABEL.fullmatch(text):
        return "letters, digits, _ and -, and between them blanks and points, are allowed"
    return ""


def default_session(study: Mapping[str, str]) -> str:
    """Name a session by its (shifted) date and minute; by a hash of its UID where the profile has taken the date."""
    date, minute = study.get("StudyDate", "").strip(), study.get("StudyTime", "").strip()[:_MINUTE]
    if len(date) == _DATE and date.isdigit():
        return f"{date}T{minute}" if len(minute) == _MINUTE and minute.isdigit() else date
    return hashlib.sha256(study.get("StudyInstanceUID", "").encode()).hexdigest()[:12]
