"""Whose study it is and which profile it gets: derived anew by each step, so that no identity is ever stored."""

import contextlib
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace

from .. import profiles
from ..confidentiality.profile import Profile
from ..confidentiality.pseudonyms import Patient, Pseudonyms, normal
from ..confidentiality.rewrite import new_uid
from ..database.crosswalk import Known, Still
from ..database.ledger import Study
from ..database.origins import Origin
from ..errors import NotFound, Rejected
from ..pseudonymization import Asked
from ..pseudonymization.reading import of_orthanc
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
    """Read the identity of a study from Orthanc, and from the crosswalk what it is called.

    Raises
    ------
    NotFound
        Orthanc does not hold the study any more.
    Rejected
        Nobody has given the patient a pseudonym: he was forgotten since.
    """
    subject, _read = _subject(study, resources)
    known = resources.pseudonymizer.known(study.project, subject.patient)
    if known is None:
        raise Rejected("the patient has no pseudonym any more: he was forgotten, or his former identity was")
    return replace(subject, patient=_called(known))


def name(study: Study, resources: Resources) -> Subject:
    """Give the patient of a study his pseudonym, from the crosswalk, a list or the project's source.

    Raises
    ------
    NotFound
        Orthanc does not hold the study any more.
    Rejected
        It has no PatientID: two patients without one would become the same person. Or the pseudonym is refused, is
        not of this patient, or says who it is.
    Postponed
        The source of pseudonyms does not answer.
    """
    subject, read = _subject(study, resources)
    listed = assigned(resources.origins.get(study.origin), subject.patient.patient_id)
    uid = new_uid(subject.profile, Pseudonyms(subject.project_key))
    asked = Asked(subject.patient, read, still(study, resources))
    known = resources.pseudonymizer.name(study.project, asked, (subject.study_uid, uid(subject.study_uid)), listed)
    return replace(subject, patient=_called(known))


def still(study: Study, resources: Resources) -> Still:
    """Return what stops who is about to write in the crosswalk for a run that was ended: its patient is forgotten."""
    return lambda connection: resources.ledger.guard_in(connection, study.id, study.run)


def _called(known: Known) -> Patient:
    # By his present identity: offsets of dates derive from it.
    return Patient(known.identity.issuer, known.identity.patient_id, known.pseudonym, known.offset_days)


def _subject(study: Study, resources: Resources) -> tuple[Subject, Callable[[str], str]]:
    project = resources.settings.configuration.project(study.project)
    source = resources.orthanc.study(study.source)
    PatientID = source["PatientMainDicomTags"].get("PatientID", "").strip("\x00 ").strip()
    if not PatientID:
        raise Rejected("PatientID (0010,0020) is empty: the patient cannot get a pseudonym")
    StudyInstanceUID = source["MainDicomTags"].get("StudyInstanceUID", "").strip()
    read = _first(study, resources)
    return Subject(
        profile=profile(study, resources),
        project_key=resources.pseudonymizer.crosswalk.keyring.project(project.name),
        patient=Patient(read("IssuerOfPatientID"), PatientID),
        study_uid=StudyInstanceUID,
    ), read


def assigned(origin: Origin | None, patient_id: str) -> str:
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


def _first(study: Study, resources: Resources) -> Callable[[str], str]:
    """Read the first instance that ever came and is there still, so that a later version agrees."""
    for instance in resources.ledger.instances(study.id):
        with contextlib.suppress(NotFound):
            return of_orthanc(resources.orthanc, instance.source)
    raise NotFound("no instance of the study is in Orthanc")


def orthanc_id(*identifiers: str) -> str:
    """Return the id that Orthanc gives a resource: SHA-1 of the identifiers from patient to level, in five groups."""
    digest = hashlib.sha1("|".join(identifiers).encode(), usedforsecurity=False).hexdigest()
    return "-".join(digest[i : i + 8] for i in range(0, 40, 8))
