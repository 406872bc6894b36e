"""What templates may say of a study."""

import re
from collections.abc import Mapping

from ...settings.pseudonym_http import OF_DICOM
from ..base import Asked

_OF_PATIENT = ("PatientID", "IssuerOfPatientID")
_DATE = re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})")


def study_fields(asked: Asked, project: str) -> Mapping[str, str]:
    """Return every field of settings.pseudonym_http.FIELDS; '' for what the study does not say."""
    found = {name: asked.read(name).strip() for name in OF_DICOM if name not in _OF_PATIENT}
    # After all aliases: the instance may still hold a former identity.
    found |= {"PatientID": asked.patient.patient_id.strip(), "IssuerOfPatientID": asked.patient.issuer.strip()}
    # PS3.5 6.2: alphabetic = ideographic = phonetic, each of family ^ given ^ middle ^ prefix ^ suffix.
    family, given = [*found["PatientName"].split("=")[0].split("^"), ""][:2]
    year, month, day = date_parts(found["PatientBirthDate"])
    return found | {
        "FamilyName": family.strip(), "GivenName": given.strip(), "BirthYear": year, "BirthMonth": month,
        "BirthDay": day, "project": project,
    }  # fmt: skip


def date_parts(value: str) -> tuple[str, str, str]:
    """Return year, month and day of a DA value (PS3.5 6.2), each '' where it is none."""
    found = _DATE.fullmatch(value.strip())
    return (found[1], found[2], found[3]) if found else ("", "", "")
