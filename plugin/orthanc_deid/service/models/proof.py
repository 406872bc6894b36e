"""The audit, the keys, health, and errors."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class AuditRecord(BaseModel):
    """One record of the audit."""

    id: int = Field(description="its number, from 1, without a gap")
    at: str = Field(description="ISO 8601, UTC")
    what: str = Field(description="which kind of record, see docs/audit.md")
    study_id: int | None = Field(description="our own number of the study, where it is about one")
    project: str | None = Field(description="name in the configuration")
    actor: str = Field(description="user name, system or retention")
    detail: dict[str, Any] = Field(description="names and counts, by kind of record")
    hash: str = Field(description="HMAC-SHA-256 of the record and of the hash before it")


class AuditPage(BaseModel):
    """Records of the audit."""

    items: list[AuditRecord] = Field(description="oldest first; newest first where this was asked for")
    next: int | None = Field(description="give it as `after` to get the next page; null: this is the last")


class AuditVerify(BaseModel):
    """From where the audit is verified, and what another place has noted of it."""

    model_config = ConfigDict(extra="forbid")

    after: int = Field(default=0, ge=0, description="go on after this record; 0: from the first")
    before: str = Field(default="", max_length=64, description="the hash of that record, as the part before told it")
    number: int = Field(default=0, ge=0, description="number of a record that was noted elsewhere; 0: none")
    hash: str = Field(default="", max_length=64, description="its hash, as it was noted")


class AuditFault(BaseModel):
    """The first record that is wrong."""

    number: int = Field(description="its number")
    why: str = Field(description="what is wrong with it")


class AuditVerified(BaseModel):
    """How far the audit was verified."""

    last: int = Field(description="number of the last record that is right")
    hash: str = Field(description="its hash: note both elsewhere")
    ended: bool = Field(description="false: the time was over; ask again with both as `after` and `before`")
    wrong: AuditFault | None = Field(description="the first record that is wrong; null: none")


class KeyAnswer(BaseModel):
    """The key of one project."""

    name: str = Field(description="name in the configuration")
    state: str = Field(description="here, sealed, or wrong: see `wrong`")


class GenerationAnswer(BaseModel):
    """One key of the crosswalk."""

    number: int = Field(description="from 1; the newest is written with")
    state: str = Field(description="here, wrong, or sealed: only sealed projects have rows of it")
    rows: int = Field(description="rows that are encrypted with it")


class RotationAnswer(BaseModel):
    """How far a rotation has come."""

    runs: bool = Field(description="whether it is at work")
    generation: int = Field(description="number of the new key")
    done: int = Field(description="rows that were encrypted with it")
    left: int = Field(description="rows that wait")
    unopened: int = Field(description="rows that do not open; they and their key are left as they are")
    retired: list[int] = Field(description="numbers of the keys that were destroyed in the end")
    fault: str | None = Field(description="why it has stopped")


class KeysAnswer(BaseModel):
    """Whether the keys are there and fit."""

    ok: bool = Field(description="false: something is wrong")
    wrong: list[str] = Field(description="what is wrong, and what to do about it")
    master: str = Field(description="where the master key comes from: the file key, or a variable's name")
    projects: list[KeyAnswer] = Field(description="projects that the crosswalk knows")
    generations: list[GenerationAnswer] = Field(description="keys of the crosswalk, the newest last")
    modes: dict[str, str] = Field(description="mode of each file below the home, octal")
    rotation: RotationAnswer | None = Field(description="the last since the service began; null: none")


class Problem(BaseModel):
    """An error (RFC 9457), as application/problem+json; it never holds an identity."""

    type: str = Field(description="about:blank")
    title: str = Field(description="the same for every error of that code")
    status: int = Field(description="the HTTP status code")
    detail: str = Field(description="what is wrong, for people")
    field: str | None = Field(default=None, description="the parameter at fault, where one is: query.limit")


class Health(BaseModel):
    """Whether everything that is needed works."""

    status: str = Field(description="ok or degraded")
    version: str = Field(description="of Orthanc De-ID")
    checks: dict[str, str] = Field(description="check to `ok` or to what is wrong")
    studies: dict[str, int] = Field(description="state to number of studies")
    workers: list[dict[str, Any]] = Field(description="executor and seconds since it was heard of")
    conflicts: int = Field(description="instances that came again with another content and wait for a decision")
    refused_on_arrival: int = Field(description="instances that the door put into the quarantine folder")
