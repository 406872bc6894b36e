"""A site's own rules: what `match` may name, and what a rule may do with it."""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum
from functools import cached_property

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydicom._dicom_dict import DicomDictionary
from pydicom.config import RAISE
from pydicom.datadict import dictionary_VR, keyword_dict, tag_for_keyword
from pydicom.valuerep import VR, validate_value

from .standard import attributes
from .standard.attributes import IDENTITY, PATIENT_ID, PATIENT_NAME


class RuleAction(StrEnum):
    """What a rule does, in the words of PS3.15 E.3 where it has one."""

    KEEP = "keep"
    REMOVE = "remove"
    EMPTY = "empty"
    DUMMY = "dummy"
    REPLACE = "replace"
    HASH = "hash"
    SHIFT = "shift"
    CLEAN = "clean"
    MAP_UID = "map-uid"


@dataclass(frozen=True)
class Target:
    """Attributes that a rule is for: exactly one of tag, pattern, private and vr is set."""

    text: str
    path: tuple[int, ...] = ()  # sequences above the tag, outermost first
    tag: int | None = None
    pattern: tuple[int, int] | None = None  # bits and their mask
    private: tuple[str, int, int | None] | None = None  # creator, group, offset in the block or None for all
    vr: str | None = None

    @property
    def key(self) -> object:
        """What two ways of writing one target have in common."""
        return self.path, self.tag, self.pattern, self.private, self.vr


class Rule(BaseModel):
    """One line of a profile's `rules`."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    action: RuleAction = Field(strict=False, description="what happens to the attribute")
    match: str | tuple[str, ...] = Field(description="the attribute, or a list of them")
    value: str | None = Field(default=None, description="the new value, for `replace` alone")
    reason: str | None = Field(default=None, max_length=200, description="why, for whoever reads the profile next")

    @cached_property
    def targets(self) -> tuple[Target, ...]:
        """What it is for."""
        return tuple(map(parse, (self.match,) if isinstance(self.match, str) else self.match))

    def without(self, keys: Collection[object]) -> "Rule | None":
        """Leave out the targets of these keys; the rule itself where it has none of them, None where no other."""
        left = tuple(target.text for target in self.targets if target.key not in keys)
        if len(left) == len(self.targets):
            return self
        return Rule(action=self.action, match=left, value=self.value, reason=self.reason) if left else None

    @model_validator(mode="after")
    def _fits(self) -> "Rule":
        if (self.value is not None) != (self.action is RuleAction.REPLACE):
            raise ValueError("value: belongs to the action replace, and to no other")
        if not self.match:
            raise ValueError("match: names nothing")
        for target in self.targets:
            _check(self.action, target, self.value)
        return self


# Which VRs an action can be done to; an action that is missing takes any.
_VRS = {
    RuleAction.REPLACE: frozenset({"AE", "AS", "CS", "DA", "DS", "DT", "IS", "LO", "LT", "PN"})
    | {"SH", "ST", "TM", "UC", "UR", "UT"},
    RuleAction.HASH: frozenset({"AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UT"}),
    RuleAction.SHIFT: frozenset({"DA", "DT"}),
    RuleAction.CLEAN: frozenset({"CS", "LO", "LT", "SH", "SQ", "ST", "UC", "UT"}),
    RuleAction.MAP_UID: frozenset({"UI"}),
}


def _check(action: RuleAction, target: Target, value: str | None) -> None:
    vr = target.vr or (dictionary_VR(target.tag) if target.tag is not None else None)
    if target.tag in (PATIENT_NAME, PATIENT_ID):
        raise ValueError(f"{target.text} is always the project's pseudonym")
    if target.tag in IDENTITY and action is not RuleAction.KEEP:
        raise ValueError(f"{target.text} is always mapped; the option Retain UIDs keeps it")
    if action is not RuleAction.REMOVE and not target.path and (why := removed_anyway(target.tag)):
        raise ValueError(f"{target.text} is always removed ({why})")
    if action is RuleAction.REPLACE and vr is None:
        raise ValueError(f"{target.text} can be many attributes: replace needs one")
    if vr is not None and vr.split(" ")[0] not in _VRS.get(action, {vr.split(" ")[0]}):
        raise ValueError(f"{target.text} is {vr}, which cannot be {_done(action)}")
    if value is not None and vr is not None:
        _check_value(target, vr, value)


def removed_anyway(tag: int | None) -> str | None:
    """Say why no rule can keep an attribute; None where one can."""
    if tag is None:
        return None
    if tag >> 16 in attributes.FILE_GROUPS or tag in attributes.LENGTHS:
        return "of the file that was"
    if tag in attributes.OWN:
        return "written by the pass"
    if tag in attributes.SEALED:
        return "encrypted: nobody can look into it"
    return "a date that is a text" if tag in attributes.DATES_AS_TEXT else None


def _done(action: RuleAction) -> str:
    return {"replace": "replaced", "hash": "hashed", "shift": "shifted", "clean": "cleaned"}.get(action, "mapped")


def _check_value(target: Target, vr: str, value: str) -> None:
    try:
        validate_value(vr, value, RAISE)
    except ValueError as error:
        raise ValueError(f"value: is no {vr} as {target.text} needs ({str(error).split(chr(39))[0].strip()})") from None


_TAG = re.compile(r"\(?([0-9A-Fa-fx]{4})\s*[,-]?\s*([0-9A-Fa-fx]{4})\)?")
_PRIVATE = re.compile(r'\(?([0-9A-Fa-f]{4})\s*,\s*"([^"\\]{1,64})"\s*,\s*([0-9A-Fa-f]{2}|xx)\)?')
_VR = re.compile(r"VR ([A-Z]{2})")
GRAMMAR = 'a keyword, gggg,eeee (x for any digit), gggg,"CREATOR",ee, VR XX, or Sequence/Attribute'


def parse(text: str) -> Target:
    """Read one target.

    Raises
    ------
    ValueError
        It is none of the forms, or names nothing that the dictionary knows.
    """
    if match := _VR.fullmatch(text):
        if match[1] not in set(VR):
            raise ValueError(f"{text}: there is no such VR")
        return Target(text, vr=match[1])
    if match := _PRIVATE.fullmatch(text):
        group = int(match[1], 16)
        if not group & 1:
            raise ValueError(f"{text}: a private group is odd")
        return Target(text, private=(match[2], group, None if match[3] == "xx" else int(match[3], 16)))
    *above, last = text.split("/")
    path = tuple(_sequence(part, text) for part in above)
    match = _TAG.fullmatch(last)
    if match and "x" in last:
        if path:
            raise ValueError(f"{text}: a path ends in one attribute, not in a pattern")
        return Target(text, pattern=_pattern(match[1] + match[2]))
    tag = tag_of(last)
    if not path and tag not in DicomDictionary:  # one of a repeating group: the dictionary has it as a pattern
        return Target(text, pattern=(tag, 0xFFFFFFFF))
    return Target(text, path=path, tag=tag)


def tag_of(name: str) -> int:
    """Read an attribute's keyword or gggg,eeee.

    Raises
    ------
    ValueError
        The dictionary does not know it, or it is private.
    """
    match = _TAG.fullmatch(name)
    if match and "x" not in name:
        tag = int(match[1] + match[2], 16)
        if tag >> 16 & 1:
            raise ValueError(f'{name} is private: write gggg,"CREATOR",ee')
        try:
            dictionary_VR(tag)
        except KeyError:
            raise ValueError(f"{name} is not in the DICOM dictionary") from None
        return tag
    known = tag_for_keyword(name)
    if known is None:
        raise ValueError(f"{name} is no DICOM keyword{_nearest(name)}; write {GRAMMAR}")
    return int(known)


def _sequence(name: str, text: str) -> int:
    tag = tag_of(name)
    if dictionary_VR(tag) != "SQ":
        raise ValueError(f"{text}: {name} is not a sequence")
    return tag


def _pattern(digits: str) -> tuple[int, int]:
    bits = int(digits.replace("x", "0"), 16)
    mask = int("".join("0" if digit == "x" else "F" for digit in digits), 16)
    return bits, mask


def _nearest(name: str) -> str:
    close = get_close_matches(name, keyword_dict, n=1)
    return f" (did you mean {close[0]}?)" if close else ""


def contradictions(rules: tuple[Rule, ...]) -> Iterator[str]:
    """Say which targets are named by two rules of one file that want different things."""
    seen: dict[object, Rule] = {}
    for rule in rules:
        for target in rule.targets:
            before = seen.setdefault(target.key, rule)
            if (before.action, before.value) != (rule.action, rule.value):
                yield f"{target.text}: one rule says {before.action}, another {rule.action}"
