"""A profile: which options of the standard, a site's rules and an existing /anonymize body apply to a study."""

import hashlib
import json
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from pydicom.datadict import dictionary_VR

from .rules import Rule, RuleAction, contradictions, tag_of
from .standard.attributes import IDENTITY
from .standard.options import IMPLEMENTED, Option

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,31}$")]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Native(_Model):
    """Parts of an existing body for Orthanc's /anonymize, laid over the profile."""

    Keep: tuple[str, ...] = Field(default=(), description="attributes whose values stay as they are")
    Remove: tuple[str, ...] = Field(default=(), description="attributes that are removed at every depth")
    Replace: dict[str, str] = Field(default={}, description="attributes of the dataset itself with their new value")
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
                raise ValueError(f"{name} cannot be kept here: use the option Retain UIDs or a rule")
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


class Dates(_Model):
    """How dates are shifted; needs Retain Longitudinal Temporal Information Modified Dates."""

    keep_weekday: bool = Field(default=False, description="shift by whole weeks, so that a Monday stays a Monday")


class Private(_Model):
    """Which private attributes count as safe; needs Retain Safe Private."""

    lists: tuple[Literal["standard", "converter", "tcia"], ...] = Field(
        default=("standard", "converter"),
        description="standard: PS3.15 E.3.10; converter: what NIfTI converters need; tcia: what TCIA keeps",
    )


class Text(_Model):
    """How Clean Descriptors cleans texts that people type."""

    mode: Literal["remove", "known", "vocabulary"] = Field(
        default="vocabulary",
        description="remove: nothing stays; known: all but what is known of the study and patterns; vocabulary: only"
        " clinical words and measures stay",
    )
    words: tuple[str, ...] = Field(default=(), description="more words that may stay, any case")


class Pixels(_Model):
    """What is done about pixels, as long as nothing cleans them."""

    burned_in: Literal["quarantine", "keep"] = Field(
        default="quarantine", description="images that say BurnedInAnnotation YES: refuse them, or let them pass"
    )


class Profile(_Model):
    """The Basic Application Level Confidentiality Profile with options (PS3.15 Annex E)."""

    name: Name = Field(description="the same as the file's; written into DeidentificationMethod")
    version: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,12}$")] = Field(
        description='a text, "1"; written there too, with digits that change with anything in the profile'
    )
    title: Annotated[str, Field(min_length=1, max_length=200)] = Field(description="a line for people")
    based_on: Name | None = Field(default=None, description="the profile that says all that this one leaves out")
    options: tuple[Annotated[Option, Field(strict=False)], ...] = Field(
        default=(), description="the standard's names; given with based_on they take the place of all of its options"
    )
    dates: Dates = Field(default=Dates(), description="how dates are shifted")
    private: Private = Field(default=Private(), description="which private attributes count as safe")
    text: Text = Field(default=Text(), description="how texts are cleaned")
    pixels: Pixels = Field(default=Pixels(), description="what is done about pixels")
    documents: Literal["replace", "clean", "quarantine"] = Field(
        default="replace",
        description="encapsulated PDF and CDA: an empty document instead, a new one of cleaned text, or refuse them",
    )
    refused: Literal["study", "instance"] = Field(
        default="study", description="one instance that cannot be de-identified: stops its study, or only itself"
    )
    rules: tuple[Rule, ...] = Field(default=(), description="the site's own, stronger than the options; see below")
    native: Native = Field(default=Native(), description="parts of an existing body for Orthanc's /anonymize")

    @field_validator("options")
    @classmethod
    def _known_and_once(cls, options: tuple[Option, ...]) -> tuple[Option, ...]:
        for option in options:
            if option not in IMPLEMENTED:
                raise ValueError(f"{option} is not implemented in this version (is: {', '.join(sorted(IMPLEMENTED))})")
            if options.count(option) > 1:
                raise ValueError(f"{option} stands twice")
        if Option.FULL_DATES in options and Option.MODIFIED_DATES in options:
            raise ValueError("dates are either retained in full or modified: name one of the two options")
        return options

    @field_validator("rules")
    @classmethod
    def _no_contradiction(cls, rules: tuple[Rule, ...]) -> tuple[Rule, ...]:
        for contradiction in contradictions(rules):
            raise ValueError(contradiction)
        return rules

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> "Profile":
        by_native = self.native.keep() | self.native.remove() | set(self.native.replace())
        for rule in self.rules:
            for target in rule.targets:
                if not target.path and target.tag in by_native:
                    raise ValueError(f"{target.text} stands in rules and in native: one of them must go")
                if target.tag in IDENTITY and rule.action is RuleAction.KEEP:
                    raise ValueError(f"{target.text} is kept by the option Retain UIDs, not by a rule")
        if self.based_on is None:
            self._has_effect()
        return self

    def _has_effect(self) -> None:
        """Refuse a setting that does nothing without its option: whoever wrote it expects something of it."""
        for field, option in _NEEDED.items():
            if field in self.model_fields_set and option not in self.options:
                raise ValueError(f"{field} has no effect without the option {option}")

    def over(self, base: "Profile") -> "Profile":
        """Lay this profile over the one that it is based on; rules of both stand, this one's win.

        Raises
        ------
        ValueError
            The two together contradict themselves.
        """
        merged: dict[str, Any] = {name: getattr(base, name) for name in base.model_fields_set}
        for name in self.model_fields_set - {"rules", "based_on"}:
            mine, theirs = getattr(self, name), merged.get(name)
            if isinstance(mine, _Model) and isinstance(theirs, _Model):
                mine = theirs.model_copy(update={key: getattr(mine, key) for key in mine.model_fields_set})
            merged[name] = mine
        said = {target.key for rule in self.rules for target in rule.targets}
        inherited = [left for rule in base.rules if (left := rule.without(said)) is not None]
        return Profile(**merged | {"rules": (*inherited, *self.rules), "based_on": None})

    @cached_property
    def digest(self) -> str:
        """Twelve hexadecimal digits that change with anything that the profile says.

        What it leaves as it is by default does not count: a key that a later version adds makes no output an old one.
        """
        said = self.model_dump(mode="json", exclude_defaults=True)
        canonical = json.dumps(said, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()[:12]

    def __hash__(self) -> int:
        """By the digest: Native holds a dict, which has no hash of its own."""
        return hash(self.digest)

    def has(self, option: Option) -> bool:
        """Tell whether an option is chosen."""
        return option in self.options


_NEEDED = {
    "dates": Option.MODIFIED_DATES,
    "private": Option.SAFE_PRIVATE,
    "text": Option.CLEAN_DESCRIPTORS,
}
