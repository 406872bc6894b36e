"""What everything has in common that may be used only so much at once, and only at certain times."""

from zoneinfo import available_timezones

from pydantic import Field, field_validator

from .model import Model, Name
from .windows import Window


class Paced(Model):
    """A remote system under a name: how many studies at once, how many an hour, and when."""

    name: Name = Field(description="the name that projects and commands give")
    concurrency: int = Field(default=2, ge=1, le=16, description="studies at the same time")
    studies_per_hour: float | None = Field(default=None, gt=0, description="most studies begun in an hour")
    windows: tuple[Window, ...] = Field(
        default=(), description="when it may be used: `mon-fri 18:00-06:00`, `sat 00:00-24:00`; none: always"
    )
    timezone: str | None = Field(default=None, description="of the windows: Europe/Berlin; without: the machine's")

    @field_validator("timezone")
    @classmethod
    def _known(cls, value: str | None) -> str | None:
        if value is not None and value not in available_timezones():
            raise ValueError("not a time zone: Europe/Berlin is one")
        return value
