"""Settings of conversion: NIfTI, pictures, BIDS and other trees."""

from typing import Literal

from pydantic import Field

from .bids import Bids
from .model import Model, Name
from .pictures import Pictures


class Nifti(Model):
    """How series become NIfTI."""

    engine: Literal["dcm2niix", "dicom2nifti"] = Field(default="dcm2niix", description="the converter")
    cross_check: bool = Field(default=False, description="convert by both and compare shape, voxels and affine")
    precise_philips: bool = Field(default=True, description="Philips: precise (true) or display values (false)")
    minimum_slices: int = Field(default=3, ge=1, description="a series with fewer is not a volume")
    resampled: Literal["refuse", "keep"] = Field(
        default="refuse", description="a series whose slices are not equidistant or tilted: not converted, or resampled"
    )
    timeout_s: int = Field(default=1800, ge=1, description="seconds that one series may take")
    text: bool = Field(default=True, description="the cleaned series description and protocol name in the side-car")
    times: bool = Field(default=False, description="times of day in the side-car")
    dates: bool = Field(default=False, description="the shifted date and time of the acquisition in the side-car")


class Conversion(Model):
    """How results are converted where a destination or a person asks for it."""

    nifti: Nifti = Field(default=Nifti(), description="how series become NIfTI")
    pictures: Pictures = Field(default=Pictures(), description="how images are drawn")
    bids: Bids = Field(default=Bids(), description="how BIDS trees are made")
    etl: Name | None = Field(
        default=None, description="template of the content `etl`, {program}/{site}/NIfTIs/...: bids/etl/<name>.yaml"
    )
