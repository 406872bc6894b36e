"""When a study is complete: by quiet alone, by what the archive counts, or by what its sender announced."""

from typing import Literal

from pydantic import Field, model_validator

from .model import Model, Name
from .network import AeTitle


class Completeness(Model):
    """What must be known of a study before it is processed, how long it is waited for, and what follows then."""

    by: Literal["stable", "count", "manifest"] = Field(
        default="stable",
        description="stable: Orthanc's StableAge (and quiet_s); count: a source says how many instances the study has;"
        " manifest: its sender has announced them (POST /deid/manifests)",
    )
    quiet_s: float = Field(
        default=0.0,
        ge=0,
        le=604800,
        description="seconds without a new instance, where StableAge is too short",
    )
    ask: Name | None = Field(
        default=None, description="count: the source (kind pacs or dicomweb) that is asked how many instances it has"
    )
    deadline_s: float = Field(
        default=3600.0, ge=1, le=2592000, description="seconds after it was stable first that it is waited for"
    )
    then: Literal["process", "request", "hold"] = Field(
        default="hold",
        description="what follows when it is incomplete at the deadline: it is processed with a warning; what is"
        " missing is requested from the source, and after requests_most it is held; or it is held until a person"
        " processes it",
    )
    ask_every_s: float = Field(default=60.0, ge=1, le=86400, description="seconds between two questions to the source")
    requests_most: int = Field(default=3, ge=1, le=100, description="request: times that what is missing is requested")

    @model_validator(mode="after")
    def _can_be_asked(self) -> "Completeness":
        if (self.by == "count") != (self.ask is not None):
            raise ValueError("by: count and ask belong together: ask names the source that counts")
        if self.then == "request" and self.by != "count":
            raise ValueError("then: request needs by: count, since only a source can be asked for what is missing")
        return self


class Sender(Model):
    """A system that sends by C-STORE, and what is particular to it."""

    ae: AeTitle = Field(description="its calling AE title")
    completeness: Completeness | None = Field(
        default=None, description="when its studies are complete; wins over that of the project"
    )
