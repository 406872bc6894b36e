"""Compiles a profile into exactly one decision for every attribute of the dictionary; what is missing is removed."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache

from pydicom._dicom_dict import DicomDictionary

from .profile import Profile
from .rules import Rule, RuleAction, Target, removed_anyway
from .standard import attribute_types, attributes, table
from .standard.attributes import NUMBERS, PATIENT_ID, PATIENT_NAME
from .standard.options import Option


class Action(StrEnum):
    """What happens to an attribute, at every depth."""

    KEEP = "keep"  # without what is known of the study; a VR in the file that needs an action of its own gets it
    NUMBER = "keep a number"  # or bulk data
    AS_IS = "keep as it is"  # a person asked for it, or it names a class of the standard
    REMOVE = "remove"
    EMPTY = "empty"  # dummy where the object requires a value (Type 1)
    DUMMY = "dummy"
    UNLESS_REQUIRED = "remove unless the object requires it"
    REMOVE_OR_EMPTY = "by type: remove, empty"  # the combined letters: Type 3, Type 2, Type 1
    REMOVE_OR_DUMMY = "by type: remove, dummy"
    BY_TYPE = "by type: remove, empty, dummy"
    REPLACE = "replace"
    HASH = "hash"
    CLEAN = "clean"
    ITEMS = "clean its items"
    UID = "map its UIDs"
    CLASS = "keep a class UID"
    SHIFT = "shift its dates"
    DATE = "keep a date"
    TIME = "keep a time"
    AGE = "keep an age of up to 89 years"
    MEASURED = "keep a number, an age of up to 89 years"
    NAME = "pseudonym as name"
    ID = "pseudonym"
    DOCUMENT = "document"  # replaced, cleaned or refused as the profile says


@dataclass(frozen=True, slots=True)
class Decision:
    """What happens to an attribute and who said so."""

    action: Action
    why: str
    value: str = ""  # of REPLACE
    otherwise: Action = Action.EMPTY  # of CLEAN where no word is left


@dataclass
class Node:
    """Decisions for the items of one sequence, and of sequences in them."""

    tags: dict[int, Decision] = field(default_factory=dict)
    below: dict[int, "Node"] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Plan:
    """All decisions of a profile."""

    tags: Mapping[int, Decision]  # standard attributes; a tag that is not in it is removed
    patterns: tuple[tuple[int, int, Decision], ...]  # bits, mask: repeating groups, the last that fits counts
    private: Mapping[tuple[str, int, int | None], Decision]  # creator, group, offset
    lists: frozenset[str]  # of private attributes that are safe
    paths: Node
    kept: frozenset[int]  # tags whose own values may identify and stay by request

    @property
    def keeps_private(self) -> bool:
        """Whether any private attribute can stay."""
        return bool(self.lists or self.private)


LETTERS = {
    "D": Action.DUMMY,
    "Z": Action.EMPTY,
    "X": Action.REMOVE,
    "U": Action.UID,
    "Z/D": Action.EMPTY,
    "X/Z": Action.REMOVE_OR_EMPTY,
    "X/D": Action.REMOVE_OR_DUMMY,
    "X/Z/D": Action.BY_TYPE,
    "X/Z/U*": Action.ITEMS,
}

OPTION_ACTIONS = {"keep": Action.KEEP, "clean": Action.CLEAN, "shift": Action.SHIFT, "age": Action.AGE}
# Where two options want different things, retaining wins: it was asked for by name.
_STRENGTH = ("keep", "age", "shift", "clean")

RULE_ACTIONS = {
    RuleAction.KEEP: Action.AS_IS,
    RuleAction.REMOVE: Action.REMOVE,
    RuleAction.EMPTY: Action.EMPTY,
    RuleAction.DUMMY: Action.DUMMY,
    RuleAction.REPLACE: Action.REPLACE,
    RuleAction.HASH: Action.HASH,
    RuleAction.SHIFT: Action.SHIFT,
    RuleAction.CLEAN: Action.CLEAN,
    RuleAction.MAP_UID: Action.UID,
}


@lru_cache(maxsize=32)
def plan(profile: Profile) -> Plan:
    """Compile a profile; compiled once for each."""
    rules = [(target, rule) for rule in profile.rules for target in rule.targets]
    site = _Site(rules)
    tags = {tag: decision for tag, decision in _decisions(profile, site) if decision.action is not Action.REMOVE}
    safe = frozenset(profile.private.lists) if profile.has(Option.SAFE_PRIVATE) else frozenset()
    return Plan(tags, site.patterns, site.private, safe, site.paths, frozenset(_kept(profile, tags)))


def decisions(profile: Profile) -> Iterator[tuple[int, Decision]]:
    """Yield tag and decision of every attribute of the dictionary, those that are removed too."""
    return _decisions(profile, _Site([(target, rule) for rule in profile.rules for target in rule.targets]))


class _Site:
    """A profile's own rules, sorted by what they name."""

    def __init__(self, rules: Iterable[tuple[Target, Rule]]) -> None:
        self.tags: dict[int, Decision] = {}
        self.vrs: dict[str, Decision] = {}
        self.private: dict[tuple[str, int, int | None], Decision] = {}
        self.paths = Node()
        patterns: list[tuple[int, int, Decision]] = []
        for target, rule in rules:
            decision = _ruled(target, rule)
            if target.path:
                self._add_path(target, decision)
            elif target.tag is not None:
                self.tags[target.tag] = decision
            elif target.pattern is not None:
                patterns.append((*target.pattern, decision))
            elif target.private is not None:
                self.private[target.private] = decision
            elif target.vr is not None:
                self.vrs[target.vr] = decision
        self.patterns = tuple(sorted(patterns, key=lambda pattern: pattern[1].bit_count()))  # the narrowest is last

    def _add_path(self, target: Target, decision: Decision) -> None:
        node = self.paths
        for sequence in target.path:
            node = node.below.setdefault(sequence, Node())
        if target.tag is not None:
            node.tags[target.tag] = decision

    def find(self, tag: int, vr: str) -> Decision | None:
        """Answer the decision of the rule that names the tag most narrowly."""
        if tag in self.tags:
            return self.tags[tag]
        fitting = [decision for bits, mask, decision in self.patterns if tag & mask == bits]
        return fitting[-1] if fitting else self.vrs.get(vr.split(" ", maxsplit=1)[0])


def _ruled(target: Target, rule: Rule) -> Decision:
    action = RULE_ACTIONS[rule.action]
    vr = DicomDictionary[target.tag][0] if target.tag in DicomDictionary else target.vr
    if vr == "SQ" and action in (Action.AS_IS, Action.CLEAN):
        action = Action.ITEMS
    return Decision(action, f"rule {rule.action} {target.text}", rule.value or "")


def _decisions(profile: Profile, site: _Site) -> Iterator[tuple[int, Decision]]:
    options = [(option, table.option(option)) for option in profile.options]
    keep, remove = profile.native.keep(), profile.native.remove()
    for tag, (vr, _, _, _, keyword) in DicomDictionary.items():
        if why := removed_anyway(tag):
            yield tag, Decision(Action.REMOVE, why)
        elif tag in keep:
            yield tag, Decision(Action.ITEMS if vr == "SQ" else Action.AS_IS, "native.Keep")
        elif tag in remove:
            yield tag, Decision(Action.REMOVE, "native.Remove")
        else:
            yield (
                tag,
                (
                    _identity(tag, profile)
                    or site.find(tag, vr)
                    or _removed_group(tag)
                    or _special(tag, profile)
                    or _listed(tag, vr, options)
                    or _uncovered(tag, vr, keyword, profile)
                ),
            )


def _identity(tag: int, profile: Profile) -> Decision | None:
    if tag == PATIENT_NAME:
        return Decision(Action.NAME, "the project's pseudonym")
    if tag == PATIENT_ID:
        return Decision(Action.ID, "the project's pseudonym")
    if tag in attributes.IDENTITY and not profile.has(Option.UIDS):
        return Decision(Action.UID, "the project's own UID")
    return None


def _removed_group(tag: int) -> Decision | None:
    return Decision(Action.REMOVE, "a group that is removed whole") if table.in_removed_group(tag) else None


def _special(tag: int, profile: Profile) -> Decision | None:
    """Decide on what the letters of the table cannot tell."""
    if tag == attributes.DOCUMENT:
        return Decision(Action.DOCUMENT, f"Table E.1-1: D; documents: {profile.documents}")
    if tag == attributes.TIME_ZONE and not profile.has(Option.FULL_DATES):
        return Decision(Action.REMOVE, "Table E.1-1: X; a zone tells where it was")
    if tag == attributes.GRAPHIC_TEXT and profile.has(Option.CLEAN_GRAPHICS):
        return Decision(Action.CLEAN, "Clean Graphics: text of an annotation", otherwise=Action.DUMMY)
    if tag == attributes.MEASURED or tag in attributes.MEASURED_EXACTLY:
        return Decision(Action.MEASURED, "not in Table E.1-1: a number, which may be an age")
    if tag == attributes.CODE_MEANING:
        return Decision(Action.CLEAN, "not in Table E.1-1: a text that may be typed", otherwise=Action.DUMMY)
    return None


def _listed(tag: int, vr: str, options: list[tuple[Option, Mapping[int, str]]]) -> Decision | None:
    letter = table.basic().get(tag)
    basic = _basic(letter, tag, vr) if letter else Action.REMOVE
    asked = [(words[tag], option) for option, words in options if tag in words]
    if tag in attributes.SHARED_DATES:
        asked = [each for each in asked if each[1] is not Option.MODIFIED_DATES]
    elif any(option is Option.MODIFIED_DATES for _, option in asked):
        # A calibration's real date beside shifted ones would tell the shift.
        asked = [each for each in asked if each[1] is Option.MODIFIED_DATES]
    if asked:
        word, option = min(asked, key=lambda each: _STRENGTH.index(each[0]))
        action = _for_vr(OPTION_ACTIONS[word], vr, basic)
        return Decision(action, f"{option}: {word}", otherwise=basic)
    return Decision(basic, f"Table E.1-1: {letter}") if letter else None


def _basic(letter: str, tag: int, vr: str) -> Action:
    action = LETTERS[letter]
    if action is Action.REMOVE and tag in attribute_types.required_somewhere():
        return Action.UNLESS_REQUIRED
    # A UID that the table gives a dummy (Annotation Group UID) is mapped: references to it still resolve.
    return Action.UID if vr == "UI" and action not in (Action.REMOVE, Action.EMPTY) else action


def _for_vr(action: Action, vr: str, basic: Action) -> Action:
    """Fit what an option asks for to the kind of value."""
    first = vr.split(" ", maxsplit=1)[0]
    if action is Action.KEEP:
        by_vr = {"SQ": Action.ITEMS, "TM": Action.TIME, "DA": Action.DATE, "DT": Action.DATE, "UI": Action.AS_IS}
        return by_vr.get(first, Action.AS_IS if first == "PN" else _kept_value(vr))
    if action is Action.CLEAN:
        by_vr = {"SQ": Action.ITEMS, "AE": Action.KEEP, "DA": Action.SHIFT, "DT": Action.SHIFT, "TM": Action.TIME}
        if first in by_vr:
            return by_vr[first]
        # Numbers, bytes and names hold no words that could stay.
        return basic if first in NUMBERS or first in ("PN", "UI", "UN", "UR") else action
    return action


def _kept_value(vr: str) -> Action:
    return Action.NUMBER if vr.split(" ", maxsplit=1)[0] in NUMBERS else Action.KEEP


def _uncovered(tag: int, vr: str, keyword: str, profile: Profile) -> Decision:
    """Choose for what the table does not list: the standard keeps it, unless its kind of value identifies."""
    why = "not in Table E.1-1"
    if vr == "UI":
        if tag in attributes.CLASS_UIDS:
            return Decision(Action.CLASS, f"{why}: names a class")
        return Decision(Action.AS_IS if profile.has(Option.UIDS) else Action.UID, f"{why}: a UID")
    if vr == "UR":
        named = tag in attributes.CODE_ADDRESSES
        return Decision(Action.KEEP if named else Action.REMOVE, f"{why}: an address")
    if vr in attributes.DATES or vr == "TM":
        return Decision(_uncovered_date(tag, vr, profile), f"{why}: a date or time")
    if attributes.is_typed(vr, keyword):
        cleaned = profile.has(Option.CLEAN_DESCRIPTORS) and keyword not in attributes.NO_WORDS
        action = Action.CLEAN if cleaned else Action.DUMMY
        return Decision(action, f"{why}: a text that people type", otherwise=Action.DUMMY)
    return Decision({"SQ": Action.ITEMS, "PN": Action.EMPTY}.get(vr, _kept_value(vr)), why)


def _uncovered_date(tag: int, vr: str, profile: Profile) -> Action:
    if profile.has(Option.FULL_DATES):
        return Action.TIME if vr == "TM" else Action.DATE
    if profile.has(Option.MODIFIED_DATES) and tag not in attributes.SHARED_DATES:
        return Action.TIME if vr == "TM" else Action.SHIFT
    return Action.EMPTY


def _kept(profile: Profile, tags: Mapping[int, Decision]) -> Iterator[int]:
    """Yield tags whose values stay although they may identify: kept by a rule, a body or a retaining option."""
    retaining = {str(option) for option in profile.options if str(option).startswith("Retain")}
    for tag, decision in tags.items():
        asked = decision.why.startswith(("rule keep", "native.Keep"))
        if asked or (decision.action in (Action.AS_IS, Action.KEEP) and decision.why.split(":")[0] in retaining):
            yield tag
    if profile.has(Option.UIDS):
        yield from (tag for tag, (vr, *_) in DicomDictionary.items() if vr == "UI")
