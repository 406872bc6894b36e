"""Settings of pseudonyms that stand in the studies themselves."""

from typing import Literal

from pydantic import Field, model_validator

from .model import Model


class PrivateAttribute(Model):
    """A private attribute: its block is found by the creator (PS3.5 7.8.1)."""

    group: str = Field(pattern="^[0-9A-Fa-f]{3}[13579BDFbdf]$", description="odd, four hexadecimal digits: 000B")
    element: str = Field(pattern="^[0-9A-Fa-f]{2}$", description="without its block, two hexadecimal digits: 01")
    creator: str = Field(min_length=1, max_length=64, pattern=r"^[^,\\]+$", description="who has reserved the block")

    @property
    def name(self) -> str:
        """What a study is read by."""
        return f"{self.group},{self.element},{self.creator}"


_KARNAK = "CHUV_DEV_TML"


class TagPseudonyms(Model):
    """Read from each study: something before has put it there."""

    kind: Literal["tag"] = Field(description="where pseudonyms come from")
    preset: Literal["karnak", "pacsifier"] | None = Field(
        default=None, description=f"pseudonym (000B,xx01) and day shift (000B,xx03) of the creator {_KARNAK}"
    )
    attribute: str = Field(
        default="", pattern="^([A-Z][A-Za-z0-9]*)?$", description="keyword of the attribute that holds the pseudonym"
    )
    private: PrivateAttribute | None = Field(default=None, description="the private attribute that holds it")
    day_shift: PrivateAttribute | None = Field(
        default=None, description="the private attribute that holds the days that are added to all dates"
    )

    @model_validator(mode="after")
    def _one_place(self) -> "TagPseudonyms":
        if sum((bool(self.preset), bool(self.attribute), bool(self.private))) != 1:
            raise ValueError("give one of preset, attribute and private")
        if self.preset and self.day_shift:
            raise ValueError("the preset says where the day shift is")
        if self.attribute == "PatientID":
            raise ValueError("attribute: the PatientID itself is no pseudonym")
        return self

    @property
    def pseudonym_name(self) -> str:
        """What a study's pseudonym is read by."""
        if self.preset:
            return f"000B,01,{_KARNAK}"
        return self.private.name if self.private else self.attribute

    @property
    def day_shift_name(self) -> str:
        """What a study's day shift is read by; empty: it has none."""
        if self.preset:
            return f"000B,03,{_KARNAK}"
        return self.day_shift.name if self.day_shift else ""
