"""Which studies belong to a project."""

from typing import Annotated

from pydantic import Field

from .model import File, Model, Name
from .network import AeTitle

Pattern = Annotated[str, Field(min_length=1, max_length=64)]
PATTERNS = "; * stands for any letters, ? for one, case does not count"


class Match(Model):
    """Which studies belong to a project; every key that is given must agree, none given matches all."""

    modality: tuple[str, ...] = Field(
        default=(), description="one of these is the modality of one of its series; on arrival: of the instance itself"
    )
    source: tuple[Name, ...] = Field(default=(), description="it came from one of these sources; not on arrival")
    batch: tuple[Name, ...] = Field(
        default=(), description="a batch with one of these labels has fetched it (`pull --label`); not on arrival"
    )
    ae: tuple[AeTitle, ...] = Field(
        default=(), description="one of these calling AE titles has sent its first instance; not on arrival"
    )
    called_ae: tuple[AeTitle, ...] = Field(
        default=(), description="its first instance was sent to one of these AE titles of ours; not on arrival"
    )
    description: tuple[Pattern, ...] = Field(
        default=(), description="one of these is its StudyDescription" + PATTERNS + "; not on arrival"
    )
    series_description: tuple[Pattern, ...] = Field(
        default=(),
        description="one of these is the SeriesDescription of one of its series" + PATTERNS + "; not on arrival",
    )
    institution: tuple[Pattern, ...] = Field(
        default=(), description="one of these is its InstitutionName" + PATTERNS + "; not on arrival"
    )
    patients: File | None = Field(
        default=None,
        description="file that lists its patients: one PatientID a line, or CSV with the columns PatientID and"
        " IssuerOfPatientID; a relative path begins at the folder of deid.yaml; not on arrival",
    )

    @property
    def given(self) -> tuple[str, ...]:
        """The keys that are given; what is dear to look up comes last."""
        return tuple(name for name in type(self).model_fields if getattr(self, name))
