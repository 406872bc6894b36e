"""What the settings of every kind of destination have in common."""

from pydantic import Field

from .paced import Paced

DICOM = frozenset({"dicom", "zip", "tar.gz", "dicomdir"})  # contents that are made of all instances


class Delivery(Paced):
    """How much may go to a destination, and whether a study waits for it."""

    required: bool = Field(
        default=True,
        description="a study is done, and its source may be deleted, only after this one has confirmed; false: its"
        " failure is not counted, but while it is tried the study waits",
    )
    bytes_per_s: int | None = Field(default=None, ge=1024, description="most bytes a second, all studies together")

    @property
    def conversions(self) -> tuple[str, ...]:
        """What is sent beside DICOM instances: of nifti, bids, png, jpeg, dicomdir."""
        return tuple(getattr(self, "content", ()))

    @property
    def holds_dicom(self) -> bool:
        """Whether every instance is there in the end; pictures and volumes are no copy of a study."""
        content = getattr(self, "content", ())
        return not content or not DICOM.isdisjoint(content)
