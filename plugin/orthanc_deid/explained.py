"""What a profile does with every attribute, who does it and why: a line for each, for people."""

from collections.abc import Iterator
from typing import NamedTuple

from .confidentiality import native
from .confidentiality.plan import Action, Decision, decisions, plan
from .confidentiality.private import lists
from .confidentiality.profile import Profile
from .confidentiality.standard import attributes, table


class Line(NamedTuple):
    """One attribute: what happens to it, who does it, and why."""

    attribute: str
    keyword: str
    action: str
    by: str
    why: str


def explained(told: Profile) -> Iterator[Line]:
    """Yield every attribute of the dictionary, of the table, and every private one that is safe."""
    kept = set(native.kept(told))
    for tag, decision in sorted(decisions(told)):
        text = f"{tag >> 16:04X},{tag & 0xFFFF:04X}"
        yield Line(text, table.name(tag), _action(decision), _by(tag, decision, kept), decision.why)
    for row in table.rows():
        if row.tag is None:
            yield Line(row.text, row.name, Action.REMOVE.value, "pass", f"Table E.1-1: {row.basic}, by its group")
        elif row.tag in table.newer():
            yield Line(row.text, row.name, Action.REMOVE.value, "native, pass", "newer than the dictionary at hand")
    found = plan(told)
    for (creator, group, offset), decision in found.private.items():
        shown = "xx" if offset is None else f"{offset:02X}"
        yield Line(f'{group:04X},"{creator}",{shown}', "", _action(decision), "pass", decision.why)
    for safe in lists.listed(found.lists):
        text = f'{safe.group:04X},"{safe.creator}",{safe.offset:02X}'
        yield Line(text, "", safe.safe.action, "pass", "Retain Safe Private")


def _action(decision: Decision) -> str:
    if decision.action is Action.CLEAN:
        return f"clean, else {decision.otherwise}"
    return decision.action.value


def _by(tag: int, decision: Decision, kept: set[int]) -> str:
    if decision.action is Action.REMOVE and tag in table.basic() and tag not in kept:
        return "native, pass"
    return "native" if tag in attributes.IDENTITY else "pass"
