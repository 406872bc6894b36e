"""Settings of pictures: PNG, JPEG and contact sheets."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from .model import Model

FrameNumber = Annotated[int, Field(ge=1)]


class Sheet(Model):
    """Contact sheet of a series."""

    tiles: int = Field(default=20, ge=1, le=400, description="slices on a sheet, evenly spaced over the series")
    columns: int = Field(default=5, ge=1, le=40, description="slices beside each other")
    tile_px: int = Field(default=192, ge=16, le=2048, description="pixels of each side of a tile")


class Pictures(Model):
    """How images are drawn."""

    frames: Literal["all", "middle"] | tuple[FrameNumber, ...] = Field(
        default="middle", description="of a multi-frame image: `all`, `middle` or a list of numbers from 1"
    )
    window: Literal["file", "percentiles"] = Field(
        default="file", description="`file`: its VOI LUT or window, percentiles where it has none"
    )
    window_number: int = Field(default=1, ge=1, le=64, description="which window of the file, where it has several")
    percentiles: tuple[float, float] = Field(
        default=(0.5, 99.5), description="of the values, that become black and white"
    )
    bits: Literal[8, 16] = Field(default=8, description="16: stored values of a monochrome image as PNG, no window")
    quality: int = Field(default=90, ge=1, le=95, description="of JPEG")
    sheet: Sheet = Field(default=Sheet(), description="contact sheet of a series")

    @model_validator(mode="after")
    def _sensible(self) -> "Pictures":
        low, high = self.percentiles
        if not 0 <= low < high <= 100:  # noqa: PLR2004  # per cent
            raise ValueError("percentiles: two numbers from 0 to 100, the lower first: [0.5, 99.5]")
        if self.frames == ():
            raise ValueError("frames: `all`, `middle` or at least one number")
        return self
