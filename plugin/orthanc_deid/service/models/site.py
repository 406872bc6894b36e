"""What the configuration names, and what waits for a person."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


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


class SourceAnswer(BaseModel):
    """One source; counts are of files, or of studies of another Orthanc, since its first start."""

    name: str = Field(description="name in the configuration")
    kind: str = Field(description="what it is")
    project: str | None = Field(description="its studies belong to this project; null: to the first that matches")
    paused: bool = Field(description="nothing is taken from it until a person lets it go on")
    opens_in_s: float = Field(description="seconds until its time window opens; 0: now")
    state: str | None = Field(
        description="working, waiting, paused or away; null: it is asked by batches alone, or was never looked at"
    )
    reason: str | None = Field(description="why it is away, or what a person is to know")
    waiting: int = Field(description="seen and not taken yet")
    taken: int = Field(description="taken")
    refused: int = Field(description="refused")
    looked_at: str | None = Field(description="ISO 8601, UTC")


class SourceList(BaseModel):
    """All sources."""

    items: list[SourceAnswer] = Field(description="in the order of the configuration")


class Checked(BaseModel):
    """What a destination or source said when it was spoken to."""

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


class ConflictAnswer(BaseModel):
    """One instance that came again with another content."""

    id: int = Field(description="our own number")
    study: str = Field(description="Orthanc id of the identified study")
    instance: str = Field(description="Orthanc id of the instance")
    state: str = Field(description="open; kept: what was stored stays; replacing, replaced: what came takes its place")
    attributes: list[str] | None = Field(
        description="keywords of the attributes that differ, tags of those without; null: what was stored is not there"
        " any more or cannot be read, or it is decided"
    )
    origin: str | None = Field(description="how it came, as Orthanc says: DICOM_PROTOCOL, REST_API and others")
    bytes: int | None = Field(description="size of the file that came")
    at: str = Field(description="when it was taken up; ISO 8601, UTC")
    actor: str = Field(description="who has decided; `system` while nobody has")
    resolved_at: str | None = Field(description="when what was decided was carried out; ISO 8601, UTC")


class ConflictPage(BaseModel):
    """Conflicts, newest first."""

    items: list[ConflictAnswer] = Field(description="newest first")
    next: str | None = Field(description="give it as `cursor` to get the next page; null: this is the last")


class Decision(BaseModel):
    """Which of the two contents of an instance is the right one."""

    model_config = ConfigDict(extra="forbid")

    keep: Literal["stored", "arrived"] = Field(
        description="stored: what came is deleted; arrived: it takes the place of what is stored, and is de-identified"
        " and delivered anew"
    )
