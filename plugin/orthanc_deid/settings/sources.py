"""Settings of where studies come from beside those that are sent: archives, other Orthancs, folders, object stores."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from ..errors import ConfigurationError
from .model import File, Model, Name
from .network import AeTitle, DicomNode, DicomwebServer
from .old_archive import source_of
from .paced import Paced
from .peer import OrthancNode
from .stores import Store


class Source(Paced):
    """What every source has."""

    project: Name | None = Field(
        default=None, description="its studies belong to this project; without: to the first that matches"
    )


class Archive(Source):
    """A source that is asked for studies: by `orthanc-deid pull`, and for counts by `completeness`."""

    batch_size: int | None = Field(default=None, ge=1, description="series after which batch_wait_s is waited")
    batch_wait_s: float = Field(default=0.0, ge=0, le=86400, description="seconds to wait after batch_size series")
    attempts: int = Field(
        default=3, ge=1, le=100, description="times that what did not arrive, or was refused, is requested in all"
    )
    arrive_s: float = Field(
        default=60.0,
        ge=1,
        le=86400,
        description="seconds without a new instance after which the rest is missing",
    )

    @model_validator(mode="after")
    def _whole_batches(self) -> "Archive":
        if self.batch_wait_s and not self.batch_size:
            raise ValueError("batch_wait_s needs batch_size")
        return self


class PacsSource(Archive, DicomNode):
    """A PACS, asked by C-FIND and C-MOVE (or C-GET) through this Orthanc."""

    kind: Literal["pacs"] = Field(description="what the source is")
    old_config: File | None = Field(
        default=None,
        description="JSON configuration of PACSMAN or PACSIFIER, from which the keys are taken that are not given here",
    )
    retrieve: Literal["move", "get"] = Field(
        default="move", description="C-MOVE, or C-GET where this Orthanc has it (1.12.7 and later)"
    )
    timeout_s: int = Field(
        default=60,
        ge=1,
        le=3600,
        description="the longest that the PACS may be silent, in seconds: some say nothing until the last image is out",
    )
    move_to: AeTitle | None = Field(
        default=None, description="AE title under which the PACS knows this Orthanc; without: this Orthanc's own"
    )

    @model_validator(mode="before")
    @classmethod
    def _with_old_config(cls, values: Any) -> Any:  # noqa: ANN401  # whatever stands in the file
        if not isinstance(values, dict) or not values.get("old_config"):
            return values
        try:
            entry, _ = source_of(Path(str(values["old_config"])).read_text(encoding="utf-8"), str(values.get("name")))
        except OSError as error:
            raise ValueError(f"old_config: the file cannot be read ({type(error).__name__})") from None
        except ConfigurationError as error:
            raise ValueError(f"old_config: {error}") from None
        return entry | values


class DicomwebSource(Archive, DicomwebServer):
    """A DICOMweb server, asked by QIDO-RS, retrieved from by WADO-RS."""

    kind: Literal["dicomweb"] = Field(description="what the source is")


class OrthancSource(Source, OrthancNode):
    """Another Orthanc whose stable studies are fetched by its REST API; nothing in it is changed."""

    kind: Literal["orthanc"] = Field(description="what the source is")
    since: Literal["now", "beginning"] = Field(
        default="now", description="which studies at the first start: those that become stable from now on, or all"
    )
    poll_s: float = Field(default=10.0, ge=0.2, le=86400, description="seconds between two looks at its /changes")


class Incoming(Model):
    """What becomes of files that were taken in."""

    after: Literal["archive", "delete", "keep"] = Field(
        default="archive",
        description="what happens to a file that is in Orthanc: moved below `taken`, deleted, or left where it is",
    )
    taken_days: float | None = Field(
        default=None, ge=0, description="days after which what was archived is deleted; without: never"
    )
    refused_days: float | None = Field(
        default=None, ge=0, description="days after which what was refused is deleted; without: never"
    )
    file_bytes: int = Field(
        default=4 * 2**30, ge=1024, description="bytes; a larger file, or what an archive unpacks to, is refused"
    )
    settle_s: float = Field(
        default=10.0,
        ge=0,
        le=86400,
        description="seconds that size and time of a file must stay the same; of object stores only on SFTP",
    )
    ignore: tuple[str, ...] = Field(
        default=(".*", "*.tmp*", "*.part", "*.partial", "*.filepart", "*.crdownload", "*~"),
        description="names of files and folders that are not looked at until they are renamed",
    )
    poll_s: float = Field(default=30.0, ge=0.2, le=86400, description="seconds between two looks at everything")


class FolderSource(Source, Incoming):
    """A watch folder; folders in it, ZIP, TAR and DICOMDIR are looked into."""

    kind: Literal["folder"] = Field(description="what the source is")
    path: File = Field(description="the folder; it must exist")
    must_be_mount: bool = Field(default=False, description="it must be a mount point, so that an absent share is told")
    notify: bool = Field(default=True, description="false: only look every poll_s, for network shares")


class PrefixSource(Source, Incoming, Store):
    """A prefix of an object store that is looked at like a watch folder."""

    kind: Literal["object-store"] = Field(description="what the source is")


# The next kind of source is one more member.
AnySource = Annotated[
    PacsSource | DicomwebSource | OrthancSource | FolderSource | PrefixSource, Field(discriminator="kind")
]
