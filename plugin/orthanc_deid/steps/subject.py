"""Whose study it is and which profile it gets: derived anew by each step, so that no identity is ever stored."""

import contextlib
import hashlib
from dataclasses import dataclass
from typing import Any

from .. import profiles
from ..confidentiality.profile import Profile
from ..confidentiality.pseudonyms import Patient, Pseudonyms, project_key
from ..confidentiality.rewrite import new_uid
from ..database.assigned import normal
from ..database.ledger import Study
from ..database.origins import Origin
from ..errors import NotFound, Rejected
from . import Resources


@dataclass(frozen=True)
class Subject:
    """The patient and study of one project, before and after."""

    profile: Profile
    project_key: bytes
    patient: Patient
    study_uid: str

    @property
    def output(self) -> str:
        """The Orthanc id that the de-identified study has in every Orthanc."""
        pseudonyms = Pseudonyms(self.project_key)
        uid = new_uid(self.profile, pseudonyms)
        return orthanc_id(pseudonyms.patient_id(self.patient), uid(self.study_uid))


def find(study: Study, resources: Resources) -> Subject:
    """Read the identity of a study from Orthanc.

    Raises
    ------
    NotFound
        Orthanc does not hold the study any more.
    Rejected
        It has no PatientID: two patients without one would become the same person. Or the pseudonym that a list
        gives is not of this patient, or says who it is.
    """
    project = resources.settings.configuration.project(study.project)
    source = resources.orthanc.study(study.source)
    PatientID = source["PatientMainDicomTags"].get("PatientID", "").strip()
    if not PatientID:
        raise Rejected("PatientID (0010,0020) is empty: the patient cannot get a pseudonym")
    StudyInstanceUID = source["MainDicomTags"].get("StudyInstanceUID", "").strip()
    assigned = _assigned(resources.origins.get(study.origin), PatientID)
    issuer = str(_first_tags(study, resources).get("0010,0021", {}).get("Value") or "")
    return Subject(
        profile=profile(study, resources),
        project_key=project_key(resources.key, project.name),
        patient=Patient(issuer, PatientID, assigned),
        study_uid=StudyInstanceUID,
    )


def _assigned(origin: Origin | None, patient_id: str) -> str:
    """Return the pseudonym that a list gives; its study is found by a UID, which two patients may share."""
    if origin is None or not origin.pseudonym:
        return ""
    if origin.patient and normal(origin.patient) != normal(patient_id):
        raise Rejected("the pseudonym that the list gives is of another PatientID: that which the archive told")
    if normal(origin.pseudonym) == normal(patient_id):
        raise Rejected("the pseudonym that the list gives is the PatientID itself")
    return origin.pseudonym


def profile(study: Study, resources: Resources) -> Profile:
    """Read the profile of a study's project."""
    return profiles.load(resources.settings, resources.settings.configuration.project(study.project).profile)


def _first_tags(study: Study, resources: Resources) -> dict[str, Any]:
    """Read the first instance that ever came and is there still, so that a later version agrees."""
    for instance in resources.ledger.instances(study.id):
        with contextlib.suppress(NotFound):
            return resources.orthanc.tags(instance.source)
    raise NotFound("no instance of the study is in Orthanc")


def orthanc_id(*identifiers: str) -> str:
    """Return the id that Orthanc gives a resource: SHA-1 of the identifiers from patient to level, in five groups."""
    digest = hashlib.sha1("|".join(identifiers).encode(), usedforsecurity=False).hexdigest()
    return "-".join(digest[i : i + 8] for i in range(0, 40, 8))
