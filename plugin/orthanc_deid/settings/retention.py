"""Settings of retention: what may be deleted, and when."""

from collections.abc import Mapping
from typing import Any

from pydantic import Field, model_validator

from .model import Model


class Rule(Model):
    """When one kind of thing may be deleted; never before every required destination has confirmed."""

    keep: bool = Field(default=True, description="never delete it; false where one of the two below is given")
    after_days: float | None = Field(
        default=None, ge=0, le=36500, description="days after the study was done; then it is deleted"
    )
    when_disk_is_low: bool = Field(
        default=False, description="delete it at once while less than free_bytes are free, the oldest first"
    )

    @model_validator(mode="before")
    @classmethod
    def _implied(cls, values: Any) -> Any:  # noqa: ANN401  # whatever the file holds
        if not isinstance(values, Mapping) or "keep" in values:
            return values
        says_when = values.get("after_days") is not None or values.get("when_disk_is_low") is True
        return {**values, "keep": not says_when}

    @model_validator(mode="after")
    def _coherent(self) -> "Rule":
        if self.keep and (self.after_days is not None or self.when_disk_is_low):
            raise ValueError("keep: true contradicts after_days and when_disk_is_low: leave it out")
        if not self.keep and self.after_days is None and not self.when_disk_is_low:
            raise ValueError("keep: false does not say when: give after_days or when_disk_is_low")
        return self


class Keeping(Model):
    """What a project keeps, and how long."""

    sources: Rule = Field(default=Rule(), description="studies as they came in")
    outputs: Rule = Field(
        default=Rule(), description="de-identified studies in this Orthanc; kept where no destination has a copy"
    )
    results: Rule = Field(default=Rule(), description="conversions: NIfTI, BIDS, pictures, DICOMDIR")


class Retention(Keeping):
    """The rules of every project that has none of its own, and the bounds of the machine."""

    free_bytes: int | None = Field(
        default=None, ge=0, description="bytes; below, what is when_disk_is_low goes until so much is free again"
    )
    most_bytes: int | None = Field(
        default=None, ge=0, description="bytes; most that conversions may hold, the oldest go first, also with keep"
    )
    look_s: float = Field(default=600.0, ge=1, le=86400, description="seconds between looks at what may go")
