"""The answers of the REST interface; their field descriptions are its documentation."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator


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


class BatchWanted(BaseModel):
    """A list, and how it is to be fetched."""

    model_config = ConfigDict(extra="forbid")

    list: str = Field(description="the list: CSV with a header, or one StudyInstanceUID a line")
    source: str = Field(
        default="",
        description="name of the archive (kind pacs or dicomweb); without: the only one",
    )
    to: str = Field(
        default="local",
        pattern=r"^[ -\[\]-~]{1,16}$",
        description="local: this Orthanc; or the AE title it is moved to",
    )
    mode: Literal["retrieve", "find"] = Field(default="retrieve", description="find: ask only, retrieve nothing")
    project: str = Field(default="", max_length=64, description="of rows that name none; empty: the first that matches")
    label: str = Field(
        default="",
        pattern="^([A-Za-z0-9][A-Za-z0-9_.-]{0,63})?$",
        description="by which projects match what it fetches (`match.batch`)",
    )
    hold: bool = Field(default=False, description="its studies wait in review after verification")
    priority: int = Field(default=5, ge=1, le=9, description="1: before all others, 9: after them")
    most: int | None = Field(default=None, ge=1, description="most studies that are retrieved")
    key: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9._:-]{1,64}$",
        description="a word of your own: sent once more with it, the list answers the batch that it began",
    )


class BatchRetry(BaseModel):
    """Which rows are tried once more."""

    model_config = ConfigDict(extra="forbid")

    state: str = Field(default="", description="states of rows, separated by commas; without: all that are undone")


class BatchInstances(BaseModel):
    """Instances of a batch; what was here before is not counted."""

    expected: int = Field(description="that the archive says there are")
    arrived: int = Field(description="of these, here")


class BatchAnswer(BaseModel):
    """One batch."""

    id: int = Field(description="its number")
    source: str = Field(description="name of the archive")
    to: str = Field(description="local, or the AE title that it is moved to")
    mode: str = Field(description="retrieve or find")
    state: str = Field(description="running, paused, cancelled or done")
    project: str = Field(description="of rows that name none; empty: the first that matches")
    label: str = Field(description="by which projects match what it fetches; may be empty")
    hold: bool = Field(description="whether its studies wait in review")
    priority: int = Field(description="1 to 9")
    most: int | None = Field(description="most studies that are retrieved; null: all")
    actor: str = Field(description="who began it")
    rows: dict[str, int] = Field(description="state to the number of rows in it")
    studies: int = Field(description="studies (or series, where rows name series) found and not here before")
    instances: BatchInstances = Field(description="what is expected and what has arrived")
    created_at: str = Field(description="ISO 8601, UTC")
    updated_at: str = Field(description="ISO 8601, UTC")


class BatchPage(BaseModel):
    """Batches, newest first."""

    items: list[BatchAnswer] = Field(description="newest first")
    next: int | None = Field(description="give it as `cursor` to get the next page; null: this is the last")


class RowStudyAnswer(BaseModel):
    """One study, or series, that a row names."""

    state: str = Field(description="as of rows")
    expected: int | None = Field(description="instances that the archive says there are; null: it does not say")
    arrived: int = Field(description="of these, here")
    orthanc: str | None = Field(description="Orthanc id of the study here")
    status: str | None = Field(description="its state in the pipeline; null: not known yet")


class RowAnswer(BaseModel):
    """One row of a batch, without what it asks for."""

    line: int = Field(description="line of the list, from 1")
    state: str = Field(
        description="queued, working, delivered, partial, not-found, found, duplicate, refused, failed, skipped or"
        " cancelled"
    )
    reason: str | None = Field(description="why")
    attempt: int = Field(description="tries, from 1")
    next_attempt_at: str | None = Field(description="ISO 8601, UTC")
    studies: list[RowStudyAnswer] = Field(description="what it names")


class RowPage(BaseModel):
    """Rows of a batch in the order of the list."""

    items: list[RowAnswer] = Field(description="in the order of the list")
    next: int | None = Field(description="give it as `cursor` to get the next page; null: this is the last")


class CopyLine(BaseModel):
    """A line of a list and the studies here that it names."""

    line: int = Field(description="line of the list, from 1")
    studies: list[str] = Field(description="Orthanc ids of studies that are in this Orthanc")


class CopyList(BaseModel):
    """What may be copied out of this Orthanc; each of the studies tells in its events who asked."""

    items: list[CopyLine] = Field(description="in the order of the list")
    identified: bool = Field(description="false: instances were de-identified on arrival")


class SeriesList(BaseModel):
    """What an archive tells of series; identified."""

    items: list[dict[str, str]] = Field(description="one for each series: attribute keyword to value")


Uid = Annotated[str, Field(pattern=r"^[0-9][0-9.]{0,63}$")]


class ManifestWanted(BaseModel):
    """What a sender announces of one study; names of attributes are those of the standard."""

    model_config = ConfigDict(extra="forbid")

    StudyInstanceUID: Uid = Field(description="of the study; kept as a digest only")
    instances: int | None = Field(
        default=None, ge=1, le=1000000, description="how many instances it has; without: as many as are listed"
    )
    SOPInstanceUIDs: tuple[Uid, ...] = Field(
        default=(), max_length=1000000, description="which instances it has; kept as digests only"
    )

    @model_validator(mode="after")
    def _list_and_number_agree(self) -> "ManifestWanted":
        listed = len(self.SOPInstanceUIDs)
        if not listed and self.instances is None:
            raise ValueError("give instances, SOPInstanceUIDs or both")
        if len(set(self.SOPInstanceUIDs)) != listed:
            raise ValueError("SOPInstanceUIDs names an instance twice")
        if listed and self.instances not in (None, listed):
            raise ValueError(f"instances is {self.instances}, and SOPInstanceUIDs names {listed}")
        return self


class ManifestAnswer(BaseModel):
    """One manifest that was taken."""

    instances: int = Field(description="that are expected now")
    listed: bool = Field(description="their UIDs are known too")
    replaced: bool = Field(description="one that was sent before is replaced")


class ManifestList(BaseModel):
    """The manifests that were taken, all or none."""

    items: list[ManifestAnswer] = Field(description="in the order in which they were sent")


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
