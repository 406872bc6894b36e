"""The direct door: one DICOM file in, the de-identified file out and searched, with no Orthanc between."""

import warnings
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pydicom import Dataset

from orthanc_deid.errors import Rejected

from . import encode, residual
from .identifiers import Identifiers, from_dataset
from .plan import plan
from .profile import Profile
from .pseudonyms import Patient, Pseudonyms, normal
from .rewrite import new_uid, rewrite

LEVELS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")


@dataclass(frozen=True, repr=False)
class Done:
    """A de-identified file, and who it was: `uids` maps the three old UIDs to the new ones."""

    data: bytes
    patient: Patient
    patient_id: str  # the new one
    accession: str  # the old AccessionNumber
    levels: tuple[str, ...]  # the old UIDs of study, series and instance
    uids: Mapping[str, str]
    notes: Counter[str]  # what a person should know, with how often; never a value


def deidentify(  # noqa: PLR0913  # what an output is made of
    data: bytes,
    profile: Profile,
    pseudonyms: Pseudonyms,
    known: Identifiers,
    *,
    version: str,
    called: Callable[[Patient], Patient] = lambda patient: patient,
) -> Done:
    """De-identify one file.

    `known` is what identifies the patient in the other instances of the study; `called` adds to a patient what a
    source of pseudonyms gives him.

    Raises
    ------
    Rejected
        It is no DICOM file, has no PatientID or UID, cannot be cleaned, or something known is left in it.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a library's warning may hold a value
        return _done(encode.decode(data), called, profile, pseudonyms, known, version)


def _done(  # noqa: PLR0913  # as above
    ds: Dataset,
    called: Callable[[Patient], Patient],
    profile: Profile,
    pseudonyms: Pseudonyms,
    known: Identifiers,
    version: str,
) -> Done:
    patient = called(patient_of(ds))
    uid = new_uid(profile, pseudonyms)
    levels = tuple(_text(ds, level) for level in LEVELS)
    accession = _text(ds, "AccessionNumber")
    uids = {old: uid(old) for old in levels}
    if "" in uids:
        raise Rejected("it lacks a Study, Series or SOP Instance UID")
    known |= from_dataset(ds, kept=plan(profile).kept)
    notes: Counter[str] = Counter()
    rewrite(ds, profile, pseudonyms, patient, version=version, known=known, notes=notes)
    output = encode.encode(ds)
    del ds  # as large as the file
    findings = residual.search(output, known)
    if findings:
        raise Rejected(f"identity left: {findings[0].kind} in {findings[0].tag}")
    return Done(output, patient, pseudonyms.patient_id(patient), accession, levels, uids, notes)


def patient_of(ds: Dataset) -> Patient:
    """Say whose dataset it is.

    Raises
    ------
    Rejected
        It has no PatientID: two patients without one would become the same person.
    """
    patient_id = _text(ds, "PatientID")
    if not normal(patient_id):
        raise Rejected("it has no PatientID")
    return Patient(_text(ds, "IssuerOfPatientID"), patient_id)


def _text(ds: Dataset, keyword: str) -> str:
    return str(ds.get(keyword) or "").strip("\x00 ")
