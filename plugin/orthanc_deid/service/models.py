"""The answers of the REST interface; their field descriptions are its documentation."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class Instances(BaseModel):
    """How many instances are in which state."""

    received: int = Field(description="instances of the study that Orthanc holds or held")
    deidentified: int = Field(description="of these: de-identified and stored")
    quarantined: int = Field(description="of these: cannot be de-identified")


class DeliveryAnswer(BaseModel):
    """One destination of one study."""

    destination: str = Field(description="name in the configuration")
    state: str = Field(description="pending, sent, confirmed or failed")
    attempt: int = Field(description="number of the last attempt for this version")
    confirmed: int = Field(description="instances read back from the destination")
    next_attempt_at: str | None = Field(description="ISO 8601, UTC")
    reason: str | None = Field(description="why the last attempt failed")


class EventAnswer(BaseModel):
    """One change of state."""

    at: str = Field(description="ISO 8601, UTC")
    status: str = Field(description="the state that was entered, of the study or of the destination")
    destination: str | None = Field(description="set where the event is about one destination")
    reason: str | None = Field(description="why")
    actor: str = Field(description="user name, or system")
    version: int = Field(description="the study's version at that time")


class StudySummary(BaseModel):
    """One study of the ledger."""

    id: int = Field(description="our own number, the one that logs show")
    source: str = Field(description="Orthanc id of the identified study")
    output: str | None = Field(description="Orthanc id of the de-identified study; null until something is stored")
    project: str = Field(description="name in the configuration; empty: none takes it")
    status: str = Field(description="see the list of states in docs/states.md")
    reason: str | None = Field(description="why it is in that state")
    version: int = Field(description="grows when instances arrive late, or refused ones are tried again")
    instances: Instances = Field(description="how many are in which state")
    destinations: dict[str, str] = Field(description="destination to state")
    deliveries: list[DeliveryAnswer] = Field(description="one for each destination")
    attempt: int = Field(description="try of the de-identification, from 1; 0: none yet")
    next_attempt_at: str | None = Field(description="when the next automatic attempt comes; ISO 8601, UTC")
    created_at: str = Field(description="when it became known; ISO 8601, UTC")
    updated_at: str = Field(description="when anything of it changed last; ISO 8601, UTC")


class StudyAnswer(StudySummary):
    """One study with its history."""

    events: list[EventAnswer] = Field(description="oldest first")


class StudyPage(BaseModel):
    """Studies, newest first."""

    items: list[StudySummary] = Field(description="newest first")
    next: str | None = Field(description="give it as `cursor` to get the next page; null: this is the last")


class Export(BaseModel):
    """Where a study is to go."""

    model_config = ConfigDict(extra="forbid")

    destination: str = Field(description="name in the configuration")
    anew: bool = Field(default=False, description="send what has arrived there already once more")


class Rejection(BaseModel):
    """Why a study is not released."""

    model_config = ConfigDict(extra="forbid")

    reason: str = Field(
        default="", max_length=200, description="shown with the study: no name and no number of a patient"
    )


class Picture(BaseModel):
    """Which picture of an instance is wanted, and which part of the answer."""

    base64: bool = Field(default=False, description="true: base64 text instead of the picture")
    frame: int | None = Field(
        default=None, ge=1, description="frame of a multi-frame image, from 1; without: as conversion.pictures says"
    )
    offset: int = Field(default=0, ge=0, description="first byte, from 0, of the part that is wanted")
    count: int | None = Field(default=None, ge=1, description="bytes of the part that is wanted; without: all")


class ProfileSummary(BaseModel):
    """One profile."""

    name: str = Field(description="profiles/<name>.yaml")
    version: str = Field(description="written into every output")
    digest: str = Field(description="of all that it says; written into every output")
    title: str = Field(description="what it is for")
    options: list[str] = Field(description="options of PS3.15 Annex E, by the standard's names")
    fault: str | None = Field(default=None, description="why it cannot be used")


class ProfileList(BaseModel):
    """The profiles that can be named."""

    items: list[ProfileSummary] = Field(description="by name")


class AttributeAction(BaseModel):
    """What happens to one attribute."""

    attribute: str = Field(description="gggg,eeee, or a pattern")
    keyword: str = Field(description="PS3.6 keyword; empty where it has none")
    action: str = Field(description="what is done")
    by: str = Field(description="native (Orthanc's own /anonymize), pass, or both")
    why: str = Field(description="which option, rule or table says so")


class ProfileAnswer(ProfileSummary):
    """One profile with what it does; an attribute that is in no line is removed."""

    attributes: list[AttributeAction] = Field(description="in the order of their tags")


class ProjectAnswer(BaseModel):
    """One project."""

    name: str = Field(description="name in the configuration")
    modality: list[str] = Field(description="of the studies that are its own; none: all")
    profile: str = Field(description="name of its profile")
    destinations: list[str] = Field(description="where its results go")
    convert: list[str] = Field(description="conversions that are made of each study")
    priority: int = Field(description="1: before all others, 9: after them")


class ProjectList(BaseModel):
    """The projects, in the order in which they are tried."""

    items: list[ProjectAnswer] = Field(description="the first that matches takes the study")


class DestinationAnswer(BaseModel):
    """One destination, and what waits for it."""

    name: str = Field(description="name in the configuration")
    kind: str = Field(description="what it is")
    required: bool = Field(description="a study is done only after it has confirmed")
    paused: bool = Field(description="nothing is sent to it until a person lets it go on")
    opens_in_s: float = Field(description="seconds until its time window opens; 0: now")
    deliveries: dict[str, int] = Field(description="state to number of studies: pending, sent, confirmed, failed")


class DestinationList(BaseModel):
    """All destinations."""

    items: list[DestinationAnswer] = Field(description="in the order of the configuration")


class Checked(BaseModel):
    """What a destination said when it was spoken to."""

    ok: bool = Field(description="it answers and takes the log-in")
    detail: str = Field(description="what it is, or what is wrong")


class Resent(BaseModel):
    """What was started again."""

    started: int = Field(description="studies that are being sent once more")
    refused: int = Field(description="studies that are at work or no longer there")


class RemovalAnswer(BaseModel):
    """One thing that the retention rules delete."""

    study: str = Field(description="Orthanc id of the identified study")
    what: str = Field(description="source, output or results (conversions)")
    reason: str = Field(description="which rule")
    bytes: int = Field(description="bytes that it takes on disk")


class RemovalList(BaseModel):
    """What the retention rules delete."""

    items: list[RemovalAnswer] = Field(description="in the order in which they are deleted")
    bytes: int = Field(description="bytes that all take on disk")


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
    refused_on_arrival: int = Field(description="instances that the door put into the quarantine folder")
