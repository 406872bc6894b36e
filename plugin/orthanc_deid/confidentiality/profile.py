"""A profile: which options of the standard, and an existing /anonymize body, apply to a project's studies."""

import hashlib
import json
import re
from functools import cached_property
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from pydicom.datadict import dictionary_VR, tag_for_keyword

from .options import IMPLEMENTED, Option

_HEX_TAG = re.compile(r"^([0-9A-Fa-f]{4})[,-]?([0-9A-Fa-f]{4})$")
# Always replaced by the project's own values; keeping them is the option Retain UIDs.
IDENTITY = frozenset({0x00100010, 0x00100020, 0x0020000D, 0x0020000E, 0x00080018})


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Native(_Model):
    """Parts of an existing body for Orthanc's /anonymize, laid over the profile."""

    Keep: tuple[str, ...] = ()
    Remove: tuple[str, ...] = ()
    Replace: dict[str, str] = {}
    Force: bool = Field(default=True, description="accepted because bodies have it; it is always set")

    @model_validator(mode="after")
    def _one_action_each(self) -> "Native":
        names = [*self.Keep, *self.Remove, *self.Replace]
        tags = [tag_of(name) for name in names]
        for name, tag in zip(names, tags, strict=True):
            if tags.count(tag) > 1:
                raise ValueError(f"{name} stands in more than one of Keep, Remove and Replace")
            if tag in IDENTITY:
                raise ValueError(f"{name} is always replaced by the project's pseudonym")
        for name in self.Keep:
            if dictionary_VR(tag_of(name)) == "UI":
                raise ValueError(f"{name} cannot be kept: Retain UIDs is not implemented in this version")
        for name in self.Replace:
            if dictionary_VR(tag_of(name)) in _NO_TEXT:
                raise ValueError(f"{name} cannot be replaced by a text")
        return self

    def keep(self) -> frozenset[int]:
        """Tags whose values stay as they are."""
        return frozenset(map(tag_of, self.Keep))

    def remove(self) -> frozenset[int]:
        """Tags that are removed at every depth."""
        return frozenset(map(tag_of, self.Remove))

    def replace(self) -> dict[int, str]:
        """Tags of the dataset itself, not of items, with their new value."""
        return {tag_of(name): value for name, value in self.Replace.items()}


_NO_TEXT = frozenset({"SQ", "UI", "UN", "OB", "OW", "OF", "OD", "OL", "OV", "AT", "US", "SS", "UL", "SL", "FL", "FD"})


class Profile(_Model):
    """The Basic Application Level Confidentiality Profile with options (PS3.15 Annex E)."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,31}$")]
    version: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,12}$")]
    title: Annotated[str, Field(min_length=1, max_length=200)]
    options: tuple[Annotated[Option, Field(strict=False)], ...] = ()
    native: Native = Native()

    @field_validator("options")
    @classmethod
    def _known_and_once(cls, options: tuple[Option, ...]) -> tuple[Option, ...]:
        for option in options:
            if option not in IMPLEMENTED:
                raise ValueError(f"{option} is not implemented in this version (is: {', '.join(sorted(IMPLEMENTED))})")
            if options.count(option) > 1:
                raise ValueError(f"{option} stands twice")
        return options

    @cached_property
    def digest(self) -> str:
        """Twelve hexadecimal digits that change with anything in the profile."""
        canonical = json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()[:12]

    def __hash__(self) -> int:
        """By the digest: Native holds a dict, which has no hash of its own."""
        return hash(self.digest)

    def has(self, option: Option) -> bool:
        """Tell whether an option is chosen."""
        return option in self.options


def tag_of(name: str) -> int:
    """Read an attribute's keyword or gggg,eeee; raise ValueError for paths, private and unknown ones."""
    match = _HEX_TAG.match(name)
    tag = int(match[1] + match[2], 16) if match else tag_for_keyword(name)
    if tag is None:
        raise ValueError(f"{name} is neither a keyword nor gggg,eeee (paths are not implemented in this version)")
    try:
        dictionary_VR(tag)
    except KeyError:
        raise ValueError(f"{name} is not in the DICOM dictionary") from None
    return int(tag)
