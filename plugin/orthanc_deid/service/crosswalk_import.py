"""The route by which pseudonyms and UIDs of other systems come into the crosswalk."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from .. import log
from ..database.crosswalk import KINDS, Identity, Mapped
from ..database.imports import Offered, Taken, compare, take
from ..errors import ConfigurationError, NotFound
from ..pseudonymization import fitting
from .access import REIDENTIFY, demand_role
from .parameters import Held, User

MOST = 1000  # rows at once
ITSELF = "the pseudonym is the PatientID itself"


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("holds a character that cannot be printed")
    return text.strip()


Text = Annotated[str, AfterValidator(_printable)]


class ImportedRow(BaseModel):
    """A patient with his pseudonym; with a kind other than patient: a value of one of his studies."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    row: int = Field(ge=0, description="by which the answer names it")
    patient_id: Text = Field(min_length=1, max_length=256, description="PatientID")
    issuer: Text = Field(default="", max_length=256, description="IssuerOfPatientID")
    pseudonym: Text = Field(min_length=1, max_length=256, description="what the patient is called")
    offset_days: int | None = Field(
        default=None, ge=-fitting.MOST_DAYS, le=fitting.MOST_DAYS, description="days that were added to his dates"
    )
    kind: Literal["patient", "study", "series", "instance", "accession"] = Field(
        default="patient", description="what the row is about"
    )
    original: Text = Field(default="", max_length=256, description="UID or accession number of the source")
    replaced: Text = Field(default="", max_length=256, description="what it became")

    @model_validator(mode="after")
    def _whole(self) -> "ImportedRow":
        if (self.kind != "patient") != bool(self.original and self.replaced):
            raise ValueError("original and replaced belong to every kind but patient")
        return self


class ImportWanted(BaseModel):
    """Rows to take over."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    project: str = Field(pattern="^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$", description="whose patients they are")
    dry_run: bool = Field(default=False, description="compare only, and write nothing")
    rows: list[ImportedRow] = Field(min_length=1, max_length=MOST, description="patients before their values")


class ImportConflict(BaseModel):
    """A row that was not taken."""

    row: int = Field(description="its number as it was sent")
    reason: str = Field(description="why")


class ImportAnswer(BaseModel):
    """What became of the rows."""

    patients_new: int = Field(description="patients who had no pseudonym")
    patients_known: int = Field(description="patients who had this pseudonym already")
    values_new: int = Field(description="UIDs and accession numbers that were not there")
    values_known: int = Field(description="those that were there already")
    conflicts: list[ImportConflict] = Field(description="rows that were not taken; what is there stays as it is")


def import_crosswalk(runtime: Held, wanted: ImportWanted, user: User) -> Any:
    """Take over what patients and studies are called elsewhere. Needs the role reidentify.

    What is there already is compared and never changed; the same rows sent again change nothing.
    """
    demand_role(runtime, user, REIDENTIFY)
    try:
        runtime.settings.configuration.project(wanted.project)
    except ConfigurationError:
        raise NotFound("no project is called so") from None
    refused = {row.row: reason for row in wanted.rows if (reason := _fault(row))}
    offered = [_offered(row) for row in wanted.rows if row.row not in refused]
    takes = compare if wanted.dry_run else take
    taken = takes(runtime.crosswalk, wanted.project, offered, actor=user) if offered else Taken()
    log.event("crosswalk rows imported", count=taken.patients_new + taken.values_new)
    conflicts = sorted([*taken.conflicts, *refused.items()])
    return {
        "patients_new": taken.patients_new,
        "patients_known": taken.patients_known,
        "values_new": taken.values_new,
        "values_known": taken.values_known,
        "conflicts": [{"row": row, "reason": reason} for row, reason in conflicts],
    }


def _fault(row: ImportedRow) -> str:
    """Return why a row cannot be taken; empty where it can."""
    if wrong := fitting.fault(row.pseudonym):
        return f"the pseudonym {wrong}"
    return ITSELF if row.pseudonym.casefold() == row.patient_id.casefold() else ""


def _offered(row: ImportedRow) -> Offered:
    mapped = None if row.kind == "patient" else Mapped(KINDS[row.kind], row.original, row.replaced)
    return Offered(row.row, Identity(row.issuer, row.patient_id), row.pseudonym, row.offset_days or None, mapped)
