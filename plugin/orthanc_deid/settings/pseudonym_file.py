"""Settings of pseudonyms that stand in a file."""

from typing import Literal

from pydantic import Field, model_validator

from .model import File, Model

FORMS = ("new-ids", "mapper", "two-columns", "subjects-cbtn", "subjects-corsica", "columns")


class Columns(Model):
    """Which columns of a CSV file hold what; names in its first line are compared without case and outer blanks."""

    pseudonym: str = Field(min_length=1, description="PatientID of the output")
    patient_id: str = Field(default="", description="PatientID")
    issuer: str = Field(default="", description="IssuerOfPatientID; without: a PatientID is meant whoever issued it")
    name: str = Field(
        default="", description="name, as Last^First or Last, First; used where the PatientID is not listed"
    )
    birth_date: str = Field(default="", description="YYYYMMDD or YYYY-MM-DD; may not contradict that of the study")
    offset_days: str = Field(default="", description="whole days that are added to all dates of the patient")
    subject: str = Field(default="", description="label of the subject, where it is not the pseudonym")
    session: str = Field(default="", description="label of the patient's sessions")

    @model_validator(mode="after")
    def _finds_patients(self) -> "Columns":
        if not (self.patient_id or self.name):
            raise ValueError("give patient_id, name or both: else no patient is found")
        if self.issuer and not self.patient_id:
            raise ValueError("issuer needs patient_id")
        named = [name.strip().casefold() for name in self.model_dump().values() if name]
        if len(set(named)) != len(named):
            raise ValueError("one column is named twice")
        return self


class FilePseudonyms(Model):
    """Looked up in a file, which is read again whenever it has changed."""

    kind: Literal["file"] = Field(description="where pseudonyms come from")
    path: File = Field(description="the file; relative to the folder of this configuration")
    form: Literal["auto", "new-ids", "mapper", "two-columns", "subjects-cbtn", "subjects-corsica", "columns"] = Field(
        default="auto", description="what kind of file it is; auto: told by its content, or by the name mapper.json"
    )
    columns: Columns | None = Field(default=None, description="which columns hold what, for the form columns")
    day_shift: File | None = Field(
        default=None, description="JSON file of PACSIFIER with the days that are added to each patient's dates"
    )
    date_offsets: File | None = Field(
        default=None, description="date_offsets.csv of PACSIFIER: a line of days in the order of the folders"
    )
    folders: File | None = Field(
        default=None, description="the folders that date_offsets is about, sub-PATIENTID, a line each, in that order"
    )

    @model_validator(mode="after")
    def _fits_together(self) -> "FilePseudonyms":
        if (self.form == "columns") != (self.columns is not None):
            raise ValueError("form: columns and the key columns belong together: give both or none")
        if (self.date_offsets is None) != (self.folders is None):
            raise ValueError("date_offsets and folders belong together: the first holds no patient")
        if self.day_shift and self.date_offsets:
            raise ValueError("give day_shift or date_offsets, not both")
        by_name = self.form in ("subjects-cbtn", "subjects-corsica")
        if by_name and (self.day_shift or self.date_offsets):
            raise ValueError(f"day shifts are found by PatientID, which the form {self.form} does not need to hold")
        return self
