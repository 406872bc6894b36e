"""Studies and what is asked of them."""

from typing import Annotated

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


class AwaitedAnswer(BaseModel):
    """What a study waits for until it is complete."""

    expected: int | None = Field(description="instances that there should be; null: nobody has told yet")
    present: int = Field(description="instances that are here or were processed before")
    missing: int | None = Field(description="of those expected, by SOP Instance UID where these were told")
    until: str | None = Field(description="its deadline, ISO 8601, UTC; null: it is held until a person processes it")
    source: str | None = Field(description="the source that is asked; null: nobody is")
    requests: int = Field(description="times that what is missing was requested")
    reason: str | None = Field(description="why the source could not be asked, or is not believed")


class MakerAnswer(BaseModel):
    """A profile as DeidentificationMethod (0012,0063) tells it."""

    name: str = Field(description="its name")
    version: str = Field(description="what it says of its version")
    digest: str = Field(description="twelve digits that change with anything in it")


class StudySummary(BaseModel):
    """One study of the ledger."""

    id: int = Field(description="our own number, the one that logs show")
    address: str = Field(
        description="what routes and commands call it: the Orthanc id of its source, or of a further project's study an"
        " id of our own"
    )
    source: str = Field(description="Orthanc id of the identified study")
    output: str | None = Field(description="Orthanc id of the de-identified study; null until something is stored")
    project: str = Field(description="name in the configuration; empty: none takes it")
    status: str = Field(description="see the list of states in docs/states.md")
    reason: str | None = Field(description="why it is in that state")
    version: int = Field(description="grows when instances arrive late, or refused ones are tried again")
    profile: MakerAnswer | None = Field(
        description="that made the outputs; null: nothing was made yet, it was before this was noted, or on arrival"
    )
    instances: Instances = Field(description="how many are in which state")
    conflicts: int = Field(description="instances that came again with another content and wait for a decision")
    destinations: dict[str, str] = Field(description="destination to state")
    deliveries: list[DeliveryAnswer] = Field(description="one for each destination")
    awaited: AwaitedAnswer | None = Field(description="what it waits for until it is complete; null: nothing")
    attempt: int = Field(description="try of the de-identification, from 1; 0: none yet")
    next_attempt_at: str | None = Field(description="when the next automatic attempt comes; ISO 8601, UTC")
    created_at: str = Field(description="when it became known; ISO 8601, UTC")
    updated_at: str = Field(description="when anything of it changed last; ISO 8601, UTC")


class OtherProject(BaseModel):
    """The same source in another project."""

    project: str = Field(description="its name")
    address: str = Field(description="what routes and commands call the study of that project")
    status: str = Field(description="see the list of states in docs/states.md")


class StudyAnswer(StudySummary):
    """One study with its history."""

    belongs: str | None = Field(description="its project and the rule by which it is in it; null: it has not begun")
    also: list[OtherProject] = Field(description="other projects that the same source is in")
    events: list[EventAnswer] = Field(description="oldest first")


class StudyPage(BaseModel):
    """Studies, newest first."""

    items: list[StudySummary] = Field(description="newest first")
    next: str | None = Field(description="give it as `cursor` to get the next page; null: this is the last")


class UnprocessedStudy(BaseModel):
    """One study in Orthanc that is not processed yet."""

    source: str = Field(description="Orthanc id of the study")
    status: str | None = Field(description="received or waiting; null: it is not known yet")
    project: str = Field(description="that it belongs to; empty: it is not known yet, or none takes it")
    last_update: str = Field(description="when its last instance arrived; ISO 8601, UTC")


class UnprocessedPage(BaseModel):
    """Studies that are not processed yet, in Orthanc's order."""

    items: list[UnprocessedStudy] = Field(description="may be none although there is a next page")
    next: str | None = Field(description="give it as `cursor` to get the next page; null: this is the last")


class ProcessedElsewhere(BaseModel):
    """Studies that something else has processed."""

    model_config = ConfigDict(extra="forbid")

    studies: list[Annotated[str, Field(pattern="^[0-9a-f]{8}(-[0-9a-f]{8}){4}$")]] = Field(
        min_length=1, max_length=1000, description="Orthanc ids, also of studies that this Orthanc does not hold"
    )


class MarkedAnswer(BaseModel):
    """What became of them."""

    marked: int = Field(description="studies that are left alone from now on")
    already: int = Field(description="studies that had ended before: unchanged")
    at_work: int = Field(description="studies that are being processed: unchanged, cancel them first")
    results: int = Field(description="studies that are results of this software: unchanged")
    absent: int = Field(description="of all of them: studies that this Orthanc does not hold")


class Processed(BaseModel):
    """In which project a study is to be processed."""

    model_config = ConfigDict(extra="forbid")

    project: str = Field(default="", max_length=64, description="name in the configuration; without: its own")


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


class ReprocessWanted(BaseModel):
    """Which outputs are to be made anew."""

    model_config = ConfigDict(extra="forbid")

    profile: str | None = Field(default=None, description="only of projects with this profile")
    version: str | None = Field(
        default=None, description="refuse where the profile is another version than this: with `profile` or `project`"
    )
    project: str | None = Field(default=None, description="only of this project")
    older: bool = Field(default=True, description="only what another profile than the project's present one has made")
    dry_run: bool = Field(default=False, description="change nothing")
    limit: int = Field(default=100, ge=1, le=1000, description="most studies in the answer")
    cursor: str | None = Field(default=None, pattern="^[0-9]{1,18}$", description="`next` of the answer before")


class ReprocessStudy(BaseModel):
    """One study, and what became of it."""

    source: str = Field(description="Orthanc id of the identified study")
    project: str = Field(description="that made it")
    made_by: MakerAnswer | None = Field(description="the profile of its outputs; null: nobody knows")
    taken: bool = Field(description="it is made anew; with `dry_run`: it would be")
    reason: str | None = Field(description="why it is not")


class ReprocessPage(BaseModel):
    """Studies that were found, oldest first."""

    items: list[ReprocessStudy] = Field(description="may be none although there is a next page")
    next: str | None = Field(description="give it as `cursor` to go on; null: this is the last")


class Picture(BaseModel):
    """Which picture of an instance is wanted, and which part of the answer."""

    base64: bool = Field(default=False, description="true: base64 text instead of the picture")
    frame: int | None = Field(
        default=None, ge=1, description="frame of a multi-frame image, from 1; without: as conversion.pictures says"
    )
    offset: int = Field(default=0, ge=0, description="first byte, from 0, of the part that is wanted")
    count: int | None = Field(default=None, ge=1, description="bytes of the part that is wanted; without: all")
