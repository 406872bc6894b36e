"""Settings of the kind `flywheel`."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from ..formats import names
from .delivery import Delivery
from .etl import SessionLabels
from .model import File, Model, secret

MAPPING = Path(__file__).resolve().parents[3] / "orthanc-config" / "flywheel" / "diagnosis_mapping.json"
Content = Literal["dicom", "nifti"]


def _label(level: names.Level) -> AfterValidator:
    def check(template: str) -> str:
        if "/" in template:
            raise ValueError("a label has no /: each level of Flywheel has a setting of its own")
        names.check(template, level)
        return template

    return AfterValidator(check)


StudyLabel = Annotated[str, _label("study")]
SeriesLabel = Annotated[str, _label("series")]


class Diagnoses(Model):
    """The project of a study is that of the diagnosis nearest to the patient's age at the study."""

    table: File = Field(description="CSV, a row for each diagnosis; its key is the PSEUDONYM, never an original id")
    key: str = Field(default="CBTN Subject ID", description="its column with the de-identified PatientID")
    diagnosis: str = Field(default="Diagnosis", description="its column with one diagnosis or several joined by `; `")
    age: str = Field(default="Age at Diagnosis", description="its column with the age in days")
    mapping: File = Field(default=MAPPING, description="flat JSON object: diagnosis to project")
    suffix: str = Field(default="_v2", pattern=r"^[A-Za-z0-9_.-]{0,32}$", description="put behind the project")
    missing: str = Field(
        default="Other",
        description="diagnosis of a patient without one; it is looked up in the mapping like all others",
    )


class Flywheel(Delivery):
    """A Flywheel site, by its own SDK (`./run setup flywheel` installs it)."""

    kind: Literal["flywheel"] = Field(description="what the destination is")
    api_key_file: File | None = Field(default=None, description="file that holds nothing but the key: host[:port]:KEY")
    api_key_env: str | None = Field(default=None, description="environment variable that holds the key")
    group: str = Field(pattern=r"^[0-9a-z][0-9a-z.@_-]{0,62}[0-9a-z]$", description="id of the group")
    project: StudyLabel = Field(default="{project}", description="template of the project's label")
    diagnoses: Diagnoses | None = Field(default=None, description="the project by diagnosis instead of the template")
    create_projects: bool = Field(
        default=False, description="make a project that is missing, with the users of the group's permission template"
    )
    subject: StudyLabel = Field(
        default="{PatientID}",
        description="template of the subject's label; without, the subject that the source of pseudonyms gives wins",
    )
    session: StudyLabel = Field(
        default="{StudyInstanceUID}",
        description="template of the session's label; without, the session that the project gives its studies wins",
    )
    session_labels: SessionLabels | None = Field(
        default=None,
        description="how {session} is made of the de-identified study where the project gives none, as in"
        " bids/etl/cbtn.yaml; without: date and time",
    )
    acquisition: SeriesLabel = Field(
        default="{SeriesNumber:02d}-{SeriesDescription}",
        description="template of the acquisition's label; a second series of the same label gets -2",
    )
    free_labels: bool = Field(
        default=False, description="keep blanks and other characters in labels; without, all but A-Za-z0-9_.- become _"
    )
    hierarchy: Literal["find", "upsert"] = Field(
        default="find", description="how subject, session and acquisition come about: find, then create; or upsert"
    )
    content: tuple[Content, ...] = Field(
        default=("dicom",), min_length=1, description="dicom: a zip for each series; nifti: conversions and sidecars"
    )
    existing: Literal["replace", "skip", "fail"] = Field(
        default="replace",
        description="a file of the same name and other content that is not ours: make a new version of it, keep it and"
        " count it as delivered (--skip-existing), or stop. What is the same is never sent again",
    )
    metadata: bool = Field(default=True, description="write the sidecar into the info of the NIfTI file")
    classification: bool = Field(default=True, description="set the modality, and for MR what the series measures")
    timestamps: bool = Field(
        default=False, description="give the session its time and age: those of the de-identified study"
    )
    connect_s: int = Field(default=10, ge=1, le=300, description="seconds that a connection may take to begin")
    timeout_s: int = Field(default=60, ge=1, le=3600, description="seconds without any answer that count as failure")
    attempts: int = Field(default=3, ge=1, le=10, description="tries of one request, before the study waits its turn")

    @model_validator(mode="after")
    def _one_key(self) -> "Flywheel":
        if (self.api_key_file is None) == (self.api_key_env is None):
            raise ValueError("give api_key_file or api_key_env: one of the two")
        if self.diagnoses and self.project != "{project}":
            raise ValueError("give project or diagnoses, not both")
        return self

    def api_key(self) -> str:
        """Read the key; raise ConfigurationError where the file or variable is missing."""
        return secret(self.api_key_file, self.api_key_env) or ""
