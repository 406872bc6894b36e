"""Rules that say where a converted series stands in a BIDS tree: the first that matches its fields."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

# In the order of file names, BIDS 1.10 appendix "Entities".
ENTITIES = ("task", "acq", "ce", "trc", "rec", "dir", "run", "mod", "echo", "flip", "inv", "mt", "part", "chunk")
DATATYPES = ("anat", "func", "dwi", "fmap", "perf", "pet")
_LABEL = re.compile(r"[^A-Za-z0-9]+")
_COMPARISON = re.compile(r"(<=|>=|<|>)\s*(-?[0-9]+(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?)")
_FIELD = re.compile(r"\{([A-Za-z_]+)\}")
# Labels for the direction in which phase was encoded, of images whose axes run right, anterior, superior.
_DIRECTIONS = {"j": "PA", "j-": "AP", "i": "LR", "i-": "RL", "k": "IS", "k-": "SI"}

Value = str | int | float | bool
Condition = Value | Sequence[Value]


@dataclass(frozen=True)
class Extract:
    """A label taken out of a field: the first group of the pattern, any case."""

    field: str
    pattern: str


@dataclass(frozen=True)
class Rule:
    """Where a series goes that has every one of these traits."""

    name: str
    when: Mapping[str, Condition]
    datatype: str = ""
    suffix: str = ""
    entities: Mapping[str, str | Extract] = field(default_factory=dict)
    sidecar: Mapping[str, Any] = field(default_factory=dict)  # added to the sidecar where it has no such key
    sourcedata: bool = False  # BIDS has no place for it: below sourcedata/
    volumes: tuple[str, ...] = ()  # of perf: what the volumes are in turn, for aslcontext.tsv
    skip: str = ""  # the reason why it is left out


@dataclass(frozen=True)
class BidsRules:
    """A rule set with what is common to all series."""

    rules: tuple[Rule, ...]
    dataset: str = "De-identified images"  # name of the dataset
    unmatched: str = "leave-out"  # or "sourcedata"
    acquisition_times: bool = False  # written to scans.tsv
    participant_columns: tuple[str, ...] = ("age", "sex")
    ignore: tuple[str, ...] = ()  # lines of .bidsignore


@dataclass(frozen=True)
class Placed:
    """What a rule says of one image."""

    rule: Rule
    entities: Mapping[str, str]  # without run


def place(fields: Mapping[str, Any], rules: Sequence[Rule]) -> Placed | None:
    """Return what the first rule says that matches, None where none does."""
    for rule in rules:
        if all(matches(fields.get(key), condition) for key, condition in rule.when.items()):
            entities = {key: _entity(key, text, fields) for key, text in rule.entities.items()}
            if None not in entities.values():
                return Placed(rule, {key: text for key, text in entities.items() if text})
    return None


def matches(value: Any, condition: Condition) -> bool:  # noqa: ANN401  # whatever a sidecar holds
    """Tell whether a field has a trait.

    Text is a glob, any case; `!` before it says that no value is like it, which a missing field fulfils. `< 0.01`,
    `>=`, ... and a number compare numbers; a list wants one of its conditions.
    """
    if not isinstance(condition, str | int | float):
        return any(matches(value, one) for one in condition)
    values = value if isinstance(value, list | tuple) else [] if value is None or value == "" else [value]
    if isinstance(condition, bool):
        return any(one is condition for one in values)
    if isinstance(condition, int | float):
        return any(_number(one) == condition for one in values)
    if condition.startswith("!"):
        return not any(_like(one, condition[1:]) for one in values)
    compared = _COMPARISON.fullmatch(condition.strip())
    if compared:
        return any(_compare(_number(one), compared[1], float(compared[2])) for one in values)
    return any(_like(one, condition) for one in values)


def label(text: str) -> str:
    """Return text as a label of BIDS: letters and digits."""
    return _LABEL.sub("", text)


def _like(value: Any, glob: str) -> bool:  # noqa: ANN401  # whatever a sidecar holds
    return fnmatchcase(str(value).casefold(), glob.strip().casefold())


def _number(value: Any) -> float:  # noqa: ANN401  # whatever a sidecar holds
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan


def _compare(value: float, sign: str, bound: float) -> bool:
    if sign.startswith("<"):
        return value < bound or (sign == "<=" and value == bound)
    return value > bound or (sign == ">=" and value == bound)


def _entity(key: str, text: str | Extract, fields: Mapping[str, Any]) -> str | None:
    """Return the label; empty to leave the entity out, None where the rule cannot be this one's."""
    if isinstance(text, Extract):
        found = re.search(text.pattern, str(fields.get(text.field) or ""), re.IGNORECASE)
        return label(found[1]) or None if found else None
    if key == "dir" and text == "auto":
        return _DIRECTIONS.get(str(fields.get("PhaseEncodingDirection")))
    if key == "echo" and text == "auto":  # one of several images of a series
        return label(str(fields.get("EchoNumber") or "")) if fields.get("images", 1) > 1 else ""
    if key == "part" and text == "auto":
        return _part(fields)
    missing = [name for name in _FIELD.findall(text) if fields.get(name) in (None, "", [])]
    if missing:
        return None
    return label(_FIELD.sub(lambda found: str(fields[found[1]]), text)) or None


def _part(fields: Mapping[str, Any]) -> str:
    image_type = {str(each).upper() for each in fields.get("ImageType") or ()}
    for part, words in (("phase", {"PHASE", "P"}), ("real", {"REAL", "R"}), ("imag", {"IMAGINARY", "I"})):
        if image_type & words:
            return part
    return ""
