"""Labels of sessions by a project's template, from values of the source study: its age is true, its texts are whole."""

from ..confidentiality.pseudonyms import Patient
from ..errors import NotFound, Rejected
from ..formats import labels
from ..formats.session_labels import LabelRules, fill
from ..orthanc_rest import Orthanc
from ..settings.etl import Session
from .base import Asked, Given
from .reading import Reading, of_orthanc

_VALUES = ("StudyDate", "StudyTime", "PatientAge", "Modality", "PatientSex")
_MRN = 8  # digits to which some systems fill a PatientID with zeros
_MOST_STUDIES = 20
_WILD = frozenset("*?\\")  # PS3.4 C.2.2.2.4


def label(settings: Session, rules: LabelRules, project: str, asked: Asked, given: Given) -> str:
    """Return the label of a study's session; empty where it cannot be made and none is required.

    Raises
    ------
    Rejected
        It cannot be made, and the project requires one.
    """
    values = {name: asked.read(name) for name in (*_VALUES, *rules.descriptions)}
    values |= {"project": project, "pseudonym": given.pseudonym, "subject": given.subject or given.pseudonym}
    if "{age}" in settings.template:
        values["PatientBirthDate"] = birth_date(asked, given, rules)
    try:
        made = fill(settings.template, values, rules).text
        if wrong := labels.fault(made):
            raise Rejected(f"no label for the session: {wrong}")  # noqa: TRY301  # as where a field is missing
    except Rejected:
        if settings.required:
            raise
        return ""
    return made


def birth_date(asked: Asked, given: Given, rules: LabelRules) -> str:
    """Return when the patient was born: by the study, his other studies in Orthanc, the list; '' where none says it."""
    own = asked.read("PatientBirthDate")
    if _is_one(own, rules):
        return own
    if isinstance(asked.read, Reading):
        found = {each for each in elsewhere(asked.read.orthanc, asked.patient) if _is_one(each, rules)}
        if len(found) == 1:  # of two that differ nobody knows which is right
            return found.pop()
    return given.birth_date if _is_one(given.birth_date, rules) else ""


def elsewhere(orthanc: Orthanc, patient: Patient) -> list[str]:
    """Return the birth dates that Orthanc has of a patient: of his issuer, zeros before his number left aside."""
    wanted = patient.patient_id.strip()
    if not wanted or _WILD & set(wanted):
        return []
    names = {wanted, *((wanted.zfill(_MRN), wanted.lstrip("0") or "0") if wanted.isdecimal() else ())}
    found = []
    for name in sorted(names):
        query = {"Level": "Study", "Expand": True, "Limit": _MOST_STUDIES, "Query": {"PatientID": name}}
        for study in orthanc.post("/tools/find", query):
            told = study.get("PatientMainDicomTags", {})
            born = str(told.get("PatientBirthDate", "")).strip()
            if born and str(told.get("PatientID", "")).strip() in names and _is_of(orthanc, study, patient.issuer):
                found.append(born)
    return found


def _is_of(orthanc: Orthanc, study: dict[str, list[str]], issuer: str) -> bool:
    try:
        first = orthanc.get(f"/series/{study['Series'][0]}")["Instances"][0]
        return of_orthanc(orthanc, first)("IssuerOfPatientID").casefold() == issuer.strip().casefold()
    except (NotFound, IndexError):  # deleted at this moment
        return False


def _is_one(text: str, rules: LabelRules) -> bool:
    return len(text) == 8 and text.isdecimal() and text not in rules.missing_birth_dates  # noqa: PLR2004  # YYYYMMDD
