"""What the settings of every kind of destination have in common."""

from zoneinfo import available_timezones

from pydantic import Field, field_validator

from .model import Model, Name
from .windows import Window

DICOM = frozenset({"dicom", "zip", "tar.gz", "dicomdir"})  # contents that are made of all instances


class Delivery(Model):
    """How much may go to a destination at once, how fast and when."""

    name: Name = Field(description="the name that projects give")
    required: bool = Field(
        default=True,
        description="a study is done, and its source may be deleted, only after this one has confirmed; false: its"
        " failure is not counted, but while it is tried the study waits",
    )
    concurrency: int = Field(default=2, ge=1, le=16, description="studies that are sent to it at the same time")
    studies_per_hour: float | None = Field(default=None, gt=0, description="most studies begun in an hour")
    bytes_per_s: int | None = Field(default=None, ge=1024, description="most bytes a second, all studies together")
    windows: tuple[Window, ...] = Field(
        default=(), description="when it may be sent to: `mon-fri 18:00-06:00`, `sat 00:00-24:00`; none: always"
    )
    timezone: str | None = Field(default=None, description="of the windows: Europe/Berlin; without: the machine's")

    @property
    def conversions(self) -> tuple[str, ...]:
        """What is sent beside DICOM instances: of nifti, bids, png, jpeg, dicomdir."""
        return tuple(getattr(self, "content", ()))

    @property
    def holds_dicom(self) -> bool:
        """Whether every instance is there in the end; pictures and volumes are no copy of a study."""
        content = getattr(self, "content", ())
        return not content or not DICOM.isdisjoint(content)

    @field_validator("timezone")
    @classmethod
    def _known(cls, value: str | None) -> str | None:
        if value is not None and value not in available_timezones():
            raise ValueError("not a time zone: Europe/Berlin is one")
        return value
