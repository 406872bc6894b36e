"""Settings of BIDS trees: which rule set, and the rule sets themselves (`bids/<name>.yaml`)."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator, model_validator

from ..errors import ConfigurationError
from ..formats import bids_rules
from ..formats.bids_rules import DATATYPES, ENTITIES
from ..yaml_file import nearest, validated
from .model import Model, Name

Trait = str | int | float | bool


class Extract(Model):
    """A label that is taken out of a field."""

    field: str = Field(description="of the sidecar or series: SeriesDescription, ProtocolName, ...")
    pattern: str = Field(description="a regular expression; its first group is the label, any case")

    @field_validator("pattern")
    @classmethod
    def _one_group(cls, value: str) -> str:
        try:
            groups = re.compile(value).groups
        except re.error:
            raise ValueError("not a regular expression") from None
        if groups < 1:
            raise ValueError("has no group: task-([a-z0-9]+) has one")
        return value


class Rule(Model):
    """Where a series goes that has every one of these traits; the first rule that matches decides."""

    name: Name = Field(description="shown with what the rule made")
    when: dict[str, Trait | tuple[Trait, ...]] = Field(
        description="field: glob (any case), `!glob`, `< 0.01`, a number, true, or a list of which one must hold"
    )
    datatype: str | None = Field(default=None, description=f"one of {', '.join(DATATYPES)}, or any below sourcedata")
    suffix: str | None = Field(default=None, pattern=r"^[A-Za-z0-9]+$", description="T1w, bold, dwi, ...")
    entities: dict[str, str | Extract] = Field(
        default={},
        description="acq, task, dir, ...: a label, {EchoNumber}, `auto` (dir, echo, part), or field and pattern",
    )
    sidecar: dict[str, Trait | tuple[Trait, ...]] = Field(default={}, description="added where the sidecar lacks it")
    sourcedata: bool = Field(default=False, description="BIDS has no place for it: below sourcedata/")
    volumes: tuple[Literal["control", "label", "m0scan", "deltam", "cbf", "noRF", "n/a"], ...] = Field(
        default=(), description="of perf: what the volumes are, in turn: [control, label]"
    )
    skip: str | None = Field(default=None, min_length=1, description="leave it out; the reason")

    @model_validator(mode="after")
    def _complete(self) -> "Rule":
        if self.skip is not None:
            if self.datatype or self.suffix or self.entities:
                raise ValueError(f"rule {self.name}: what is skipped has no datatype, suffix or entities")
            return self
        if not self.datatype or not self.suffix:
            raise ValueError(f"rule {self.name}: give datatype and suffix, or skip with a reason")
        if not self.sourcedata and self.datatype not in DATATYPES:
            raise ValueError(
                f"rule {self.name}: there is no datatype {self.datatype}{nearest(self.datatype, [*DATATYPES])}"
            )
        for entity in self.entities:
            if entity not in ENTITIES or entity == "run":
                raise ValueError(f"rule {self.name}: there is no entity {entity} to set{nearest(entity, [*ENTITIES])}")
        return self


class Template(Model):
    """A rule set: `bids/<name>.yaml`."""

    description: str = Field(default="", description="what it is for")
    rules: tuple[Rule, ...] = Field(min_length=1, description="the first that matches decides")
    ignore: tuple[str, ...] = Field(default=(), description="lines of .bidsignore")


class Bids(Model):
    """How BIDS trees are made."""

    template: Name = Field(default="default", description="name of a rule set: bids/<name>.yaml")
    dataset: str = Field(default="De-identified images", min_length=1, description="name of the dataset")
    unmatched: Literal["leave-out", "sourcedata"] = Field(
        default="leave-out", description="series that no rule matches: left out and listed, or below sourcedata/"
    )
    acquisition_times: bool = Field(default=False, description="write (shifted) acquisition times to scans.tsv")
    participant_columns: tuple[Literal["age", "sex"], ...] = Field(
        default=("age", "sex"), description="columns of participants.tsv, of what the profile has kept"
    )


def template(name: str, folders: Iterable[Path]) -> Template:
    """Read a rule set from the first folder that has it.

    Raises
    ------
    ConfigurationError
        There is none of that name, or it is faulty: `file:line: field: message`.
    """
    looked = list(folders)
    for folder in looked:
        path = folder / f"{name}.yaml"
        if path.is_file():
            return validated(Template, path)
    known = sorted({path.stem for folder in looked if folder.is_dir() for path in folder.glob("*.yaml")})
    raise ConfigurationError(f"no rule set of BIDS is called {name}{nearest(name, known)}")


def rules(bids: Bids, chosen: Template) -> bids_rules.BidsRules:
    """Return what the layout needs: plain values, which a child process can be given."""
    return bids_rules.BidsRules(
        rules=tuple(_rule(rule) for rule in chosen.rules),
        dataset=bids.dataset,
        unmatched=bids.unmatched,
        acquisition_times=bids.acquisition_times,
        participant_columns=bids.participant_columns,
        ignore=chosen.ignore,
    )


def _rule(rule: Rule) -> bids_rules.Rule:
    entities: dict[str, str | bids_rules.Extract] = {
        key: value if isinstance(value, str) else bids_rules.Extract(value.field, value.pattern)
        for key, value in rule.entities.items()
    }
    sidecar = {
        key: list(value) if isinstance(value, Sequence) and not isinstance(value, str) else value
        for key, value in rule.sidecar.items()
    }
    return bids_rules.Rule(
        rule.name, dict(rule.when), rule.datatype or "", rule.suffix or "", entities, sidecar,
        rule.sourcedata, rule.volumes, rule.skip or "",
    )  # fmt: skip
