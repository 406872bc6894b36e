"""Questions to the crosswalk and its answers; their field descriptions are the documentation."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Kind = Literal["patient", "study", "series", "instance", "accession"]
Text = Annotated[str, Field(max_length=500)]
Value = Annotated[str, Field(min_length=1, max_length=500)]
ProjectText = Annotated[str, Field(pattern="^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]
Reason = Annotated[Text, Field(description="why it is asked, 3 to 500 characters; kept encrypted")]
MOST_VALUES = 10000


class Wanted(BaseModel):
    """What all questions have in common."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class LookupWanted(Wanted):
    """Values that are looked up."""

    direction: Literal["original", "pseudonym"] = Field(
        description="what the values are: `original`, of sources, or `pseudonym`, of outputs"
    )
    values: Annotated[tuple[Value, ...], Field(min_length=1, max_length=MOST_VALUES)] = Field(
        description=f"at most {MOST_VALUES} PatientIDs, UIDs or accession numbers"
    )
    reason: Reason
    project: ProjectText | None = Field(default=None, description="without: every project whose key is here")
    kind: Kind | None = Field(default=None, description="without: all")
    issuer: Text | None = Field(
        default=None, description="IssuerOfPatientID, empty for none; without: any, for which all patients are read"
    )


class ForgetWanted(Wanted):
    """Whom to forget."""

    project: ProjectText = Field(description="whose crosswalk")
    patient_id: Value | None = Field(default=None, description="PatientID of the source; or give `pseudonym`")
    issuer: Text | None = Field(default=None, description="IssuerOfPatientID, empty for none; without: any")
    pseudonym: Value | None = Field(default=None, description="PatientID of the output")
    reason: Reason
    dry_run: bool = Field(default=False, description="tell what would be erased, and erase nothing")

    @model_validator(mode="after")
    def _one_of_both(self) -> "ForgetWanted":
        if (self.patient_id is None) == (self.pseudonym is None):
            raise ValueError("give patient_id or pseudonym")
        return self


class SealWanted(Wanted):
    """Which project to seal."""

    project: ProjectText = Field(description="whose crosswalk")
    confirm: Text = Field(description="the project's name once more: what is sealed cannot be undone")
    reason: Reason


class AliasWanted(Wanted):
    """Two identities of one patient."""

    project: ProjectText | None = Field(default=None, description="without: every project whose key is here")
    old: Value = Field(description="the former PatientID")
    old_issuer: Text = Field(default="", description="its IssuerOfPatientID")
    new: Value = Field(description="the present PatientID")
    issuer: Text = Field(default="", description="its IssuerOfPatientID")
    reason: Reason


class MatchAnswer(BaseModel):
    """What one value is in one project."""

    value: str = Field(description="as it was asked for")
    found: bool = Field(description="whether it was noted; false: the fields below are null, unless `derived`")
    derived: bool = Field(description="`replaced` was made of the project's key: no study with it was noted")
    kind: str | None = Field(description="patient, study, series, instance or accession")
    project: str | None = Field(description="name of the project")
    original: str | None = Field(description="what the source says")
    issuer: str | None = Field(description="IssuerOfPatientID of whose it is")
    replaced: str | None = Field(description="what the output says")
    patient: str | None = Field(description="pseudonym of whose it is")
    patient_id: str | None = Field(description="PatientID of whose it is")
    offset_days: int | None = Field(description="what is added to all dates of the patient, in days")


class MatchList(BaseModel):
    """What was found, in the order of the values."""

    items: list[MatchAnswer] = Field(description="in their order")
    unread: list[str] = Field(description="projects that could not be asked: their key is not here, or another one")


class ForgetAnswer(BaseModel):
    """What was erased, and what is left."""

    project: str = Field(description="name in the configuration")
    dry_run: bool = Field(description="nothing was erased")
    mappings: int = Field(description="rows of the crosswalk")
    aliases: int = Field(description="former identities")
    batch_rows: int = Field(description="rows of lists by which studies of his were fetched")
    conversions: int = Field(description="conversions of his studies that were kept")
    studies: list[int] = Field(description="our numbers of his studies, now marked")
    sources: list[str] = Field(description="Orthanc ids of his identified studies that are here still")
    outputs: list[str] = Field(description="Orthanc ids of his results that are here still")
    remains: list[str] = Field(description="what this product does not erase")


class SealAnswer(BaseModel):
    """How far a project is sealed."""

    project: str = Field(description="name in the configuration")
    complete: bool = Field(description="false: ask once more, it goes on where it was")
    key: bool = Field(description="the project's key is here still")
    rows: int = Field(description="rows of the crosswalk that are left")
    aliases: int = Field(description="former identities that are left")
    studies: int = Field(description="studies whose source and output are still tied")
    unreadable: bool = Field(description="it was tried: nothing of the project can be looked up")
    remains: list[str] = Field(description="what this product does not erase")


class JoinedAnswer(BaseModel):
    """Two identities joined in one project."""

    project: str = Field(description="name in the configuration")
    is_new: bool = Field(description="false: it was so before")
    studies: list[int] = Field(
        description="our numbers of studies that were made under the former identity's own pseudonym: process them anew"
    )
    unknown: int = Field(description="such studies that are not in the ledger")


class JoinedList(BaseModel):
    """Two identities joined."""

    items: list[JoinedAnswer] = Field(description="in their order")
    unread: list[str] = Field(description="projects that could not be asked: their key is not here, or another one")


class CrosswalkStatus(BaseModel):
    """The crosswalk of one project."""

    project: str = Field(description="name in the configuration")
    source: str | None = Field(description="kind of its source of pseudonyms; null: the configuration does not name it")
    key: str = Field(description="here, missing, another, sealed, or none: nothing was noted yet")
    sealed_at: str | None = Field(description="ISO 8601, UTC")
    counts: dict[str, int] = Field(description="how many are noted, by kind, and former identities (`alias`)")


class CrosswalkList(BaseModel):
    """The crosswalk, counted."""

    items: list[CrosswalkStatus] = Field(description="in their order")


class ReasonAnswer(BaseModel):
    """One use of the crosswalk."""

    record: int = Field(description="number of the audit's record")
    at: str = Field(description="ISO 8601, UTC")
    actor: str = Field(description="who asked")
    what: str = Field(description="looked-up, exported-records, forgotten, sealed or alias")
    project: str | None = Field(description="name in the configuration")
    reason: str | None = Field(description="null: none was kept, or the project is sealed")


class ReasonList(BaseModel):
    """Uses of the crosswalk, newest first."""

    items: list[ReasonAnswer] = Field(description="in their order")
    next: str | None = Field(description="`cursor` of the next page; null: that was all")


def never(**fields: Any) -> dict[str, Any]:
    """Return a match of a value that was not found."""
    return dict.fromkeys(MatchAnswer.model_fields) | {"found": False, "derived": False} | fields
