"""The answers of the REST interface; their field descriptions are its documentation."""

from typing import Any

from pydantic import BaseModel, Field


class Instances(BaseModel):
    """How many instances are in which state."""

    received: int = Field(description="instances of the study that Orthanc holds or held")
    deidentified: int = Field(description="of these: de-identified and stored")
    quarantined: int = Field(description="of these: cannot be de-identified")


class DeliveryAnswer(BaseModel):
    """One destination of one study."""

    destination: str
    state: str = Field(description="pending, sent, confirmed or failed")
    attempt: int
    confirmed: int = Field(description="instances read back from the destination")
    next_attempt_at: str | None = Field(description="ISO 8601, UTC")
    reason: str | None = Field(description="why the last attempt failed")


class EventAnswer(BaseModel):
    """One change of state."""

    at: str = Field(description="ISO 8601, UTC")
    status: str
    destination: str | None
    reason: str | None
    actor: str = Field(description="user name, or system")
    version: int


class StudySummary(BaseModel):
    """One study of the ledger."""

    id: int = Field(description="our own number, the one that logs show")
    source: str = Field(description="Orthanc id of the identified study")
    output: str | None = Field(description="Orthanc id of the de-identified study; null until something is stored")
    project: str
    status: str = Field(description="see the list of states in docs/states.md")
    reason: str | None
    version: int = Field(description="grows when instances arrive late")
    instances: Instances
    destinations: dict[str, str] = Field(description="destination to state")
    deliveries: list[DeliveryAnswer]
    attempt: int
    next_attempt_at: str | None = Field(description="when the next automatic attempt comes; ISO 8601, UTC")
    created_at: str
    updated_at: str


class StudyAnswer(StudySummary):
    """One study with its history."""

    events: list[EventAnswer]


class StudyPage(BaseModel):
    """Studies, newest first."""

    items: list[StudySummary]
    next: str | None = Field(description="give it as `cursor` to get the next page; null: this is the last")


class Health(BaseModel):
    """Whether everything that is needed works."""

    status: str = Field(description="ok or degraded")
    version: str
    checks: dict[str, str] = Field(description="check to `ok` or to what is wrong")
    studies: dict[str, int] = Field(description="state to number of studies")
    workers: list[dict[str, Any]] = Field(description="executor and seconds since it was heard of")
    refused_on_arrival: int = Field(description="instances that the door put into the quarantine folder")
