"""What the tests of pseudonym services have in common: a patient, settings in few words, a token file."""

import json
from pathlib import Path
from typing import Any

from orthanc_deid.confidentiality.pseudonyms import Patient
from orthanc_deid.pseudonymization.base import Asked, Given, Missing, Tools
from orthanc_deid.pseudonymization.http.source import HttpSource
from orthanc_deid.settings.pseudonym_http import HttpPseudonyms
from planting import ACCESSION, BIRTH, FIRST, ID, NAME, STUDY

PATIENT = {
    "PatientName": f"{NAME}^{FIRST}",
    "PatientBirthDate": BIRTH,
    "PatientSex": "F",
    "StudyDate": "20200615",
    "AccessionNumber": ACCESSION,
    "StudyInstanceUID": STUDY,
}
# What may stand in no log, message, repr, request line or header: also as DASHER takes it, without hyphens.
MARKERS = (NAME, FIRST, ID, ID.replace("-", ""), BIRTH, "1963-04-17", ACCESSION, STUDY, "Sankt Fictia")
TIMES: dict[str, Any] = {"timeout_s": 0.4, "connect_timeout_s": 0.4, "total_s": 3.0, "tries": 2}
GENERIC: dict[str, Any] = {
    "body": {"who": {"id": "{PatientID}", "issuer": "{IssuerOfPatientID}"}, "study": "{StudyInstanceUID}", "n": 1},
    "pseudonym": "/data/0/pseudonym",
}


def asked(patient_id: str = ID, **attributes: str) -> Asked:
    """Return a study of the patient, with other attributes where they are given."""
    values = PATIENT | attributes
    return Asked(Patient("Sankt Fictia", patient_id), lambda name: values.get(name, ""))


def source(url: str, folder: Path = Path(), project: str = "trial", **settings: Any) -> HttpSource:  # noqa: ANN401  # as in YAML
    """Return a source with time-outs that a test can wait for."""
    made = HttpPseudonyms.model_validate({"kind": "http", "url": url} | TIMES | settings)
    return HttpSource(made, Tools(project, bytes(32), None, folder))


def one(made: HttpSource, study: Asked | None = None) -> Given | Missing:
    """Ask for one study."""
    (found,) = made.give([study or asked()])
    return found


def token_file(folder: Path, url: str, access: str = "access-1") -> Path:
    """Write DASHER's token file."""
    path = folder / "dasher.json"
    content = {"accessToken": access, "client_id": "deid", "refreshToken": "refresh-1", "token_uri": f"{url}/token"}
    path.write_text(json.dumps(content))
    path.chmod(0o600)
    return path
