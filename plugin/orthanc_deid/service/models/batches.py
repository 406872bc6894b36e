"""Batches of query and retrieve, and manifests."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Uid = Annotated[str, Field(pattern=r"^[0-9][0-9.]{0,63}$")]


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
