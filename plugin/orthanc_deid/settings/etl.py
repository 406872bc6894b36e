"""Settings of the tree of image-deid-etl and of session labels (`bids/etl/<program>.yaml`)."""

from collections.abc import Sequence
from pathlib import Path

from pydantic import Field, field_validator

from ..errors import ConfigurationError
from ..formats import session_labels as labels
from ..formats.session_labels import BodyPart, LabelRules
from ..yaml_file import validated
from .model import Model, Name


class Part(Model):
    """Words in a description that tell a part of the body."""

    words: tuple[str, ...] = Field(min_length=1, description="any of them, any case, anywhere in the description")
    abbreviation: str = Field(pattern=r"^[A-Za-z0-9]{1,16}$", description="in the label: B")
    part: str = Field(pattern=r"^[A-Za-z0-9]{1,32}$", description="in the label: brain")


class SessionLabels(Model):
    """How a session is named: {age}d_{abbreviations}_{parts}_{HH}h{MM}m."""

    descriptions: tuple[str, ...] = Field(
        default=("PerformedProcedureStepDescription", "StudyDescription", "RequestedProcedureDescription"),
        min_length=1, description="attributes in the order in which they are asked: the first that names a part wins",
    )  # fmt: skip
    parts: tuple[Part, ...] = Field(min_length=1, description="parts of the body, in the order of the label")
    missing_birth_dates: tuple[str, ...] = Field(default=("19010101",), description="birth dates that are none")

    def rules(self) -> LabelRules:
        """Return the rules as plain values."""
        parts = tuple(BodyPart(each.words, each.abbreviation, each.part) for each in self.parts)
        return LabelRules(self.descriptions, parts, self.missing_birth_dates)


class Session(Model):
    """How the sessions of a project are called; made of the source study when it gets its pseudonym, and kept."""

    template: str = Field(
        default=labels.TEMPLATE,
        description="fields {age} in days, {abbreviations}, {parts}, {HH}, {MM}, {Modality}, {PatientSex}, {project},"
        " {pseudonym}, {subject}; what stands in [brackets] is left out where one of its fields has no value",
    )
    rules: Name = Field(
        default="cbtn", description="bids/etl/<name>.yaml: its session_labels say which words mean which part of a body"
    )
    session_labels: SessionLabels | None = Field(default=None, description="the same, written here")
    required: bool = Field(
        default=False, description="a study whose session cannot be named is quarantined; without, it gets its date"
    )

    @field_validator("template")
    @classmethod
    def _known_fields(cls, value: str) -> str:
        labels.check(value)
        return value

    def label_rules(self, folders: Sequence[Path]) -> LabelRules:
        """Return the rules; `folders` hold those that are shipped or beside the configuration file."""
        return (self.session_labels or find(self.rules, folders).session_labels).rules()


class Etl(Model):
    """The tree {program}/{site}/NIfTIs/{project}/{subject}/{session}/{NN - SeriesDescription}/."""

    program: str = Field(default="cbtn", min_length=1, description="first folder")
    site: str = Field(default="chop", min_length=1, description="second folder")
    session_labels: SessionLabels = Field(description="how a session is named")
    dropped: tuple[str, ...] = Field(default=(), description="words in the description of series that are left out")
    removed_keys: tuple[str, ...] = Field(default=(), description="keys that are taken out of sidecars")
    minimum_keys: int = Field(default=20, ge=0, description="of a sidecar, but of CT; with fewer: NIfTIs_short_json")
    wanted_type: str = Field(default="int16", pattern=r"^[a-z0-9]*$", description="of voxels; another: NIfTIs_to_check")
    exempt: tuple[str, ...] = Field(default=(), description="words in names that pass both checks")
    exempt_from_keys: tuple[str, ...] = Field(default=(), description="words in names that pass the first check")


def find(name: str, folders: Sequence[Path]) -> Etl:
    """Read the template of that name; raise ConfigurationError where there is none."""
    for folder in folders:
        path = folder / "etl" / f"{name}.yaml"
        if path.is_file():
            return template(path)
    raise ConfigurationError(f"there is no bids/etl/{name}.yaml")


def template(path: Path) -> Etl:
    """Read the file; raise ConfigurationError with `file:line: field: message` per fault."""
    return validated(Etl, path)
