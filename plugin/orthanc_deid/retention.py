"""What may be deleted now: a pure decision, the same in a dry run and in a run."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal

from . import states
from .settings.retention import Keeping, Retention, Rule

What = Literal["results", "source", "output"]

# What can be made again goes before what cannot.
WHAT: tuple[What, ...] = ("results", "source", "output")
_DAY_S = 86400.0
_NONE: Mapping[str, Keeping] = MappingProxyType({})


@dataclass(frozen=True)
class Kept:
    """What is held of one study."""

    study: int  # our own number
    project: str
    status: str
    done_at: float | None  # seconds since the epoch: every required destination had confirmed
    confirmed: bool  # every required destination has the current version
    copies: int  # destinations that have all DICOM instances of the current version, required or not
    held: bool  # a review or quarantine has something of it
    has_source: bool
    has_output: bool
    results_bytes: int
    source_bytes: int
    output_bytes: int
    # The same source in further projects: it goes when the rules of all let it, and `has_source` is False of these.
    further: tuple["Kept", ...] = ()


@dataclass(frozen=True)
class Removal:
    """One thing that goes, and why."""

    study: int
    what: What
    reason: str
    bytes: int


@dataclass(frozen=True)
class _Candidate:
    kept: Kept
    done_at: float
    what: What
    rule: Rule
    bytes: int
    others: tuple["_Candidate", ...] = ()  # what must be removable as well

    @property
    def may_free(self) -> bool:
        """Tell whether it may go because the disk is low."""
        return all(each.rule.when_disk_is_low for each in (self, *self.others))

    def removal(self, reason: str) -> Removal:
        return Removal(self.kept.study, self.what, reason, self.bytes)


def decide(  # noqa: PLR0913  # what a decision is made from
    studies: Iterable[Kept],
    retention: Retention,
    now: float,
    free_bytes: int,
    results_bytes: int,
    projects: Mapping[str, Keeping] = _NONE,
) -> list[Removal]:
    """Decide what goes, the oldest first; carried out and asked again with the same clock, nothing more goes.

    Parameters
    ----------
    studies
        Every study once.
    retention
        Bounds of the machine, and rules of the projects that `projects` does not name.
    now
        Seconds since the epoch.
    free_bytes
        Free on the disk.
    results_bytes
        That all conversions together take, also those of studies that are not done.
    projects
        Rules of the projects that have their own, by name.
    """
    candidates = sorted(
        (each for kept in studies for each in _candidates(kept, lambda name: projects.get(name, retention))),
        key=lambda each: (each.done_at, each.kept.study, WHAT.index(each.what)),
    )
    gone: dict[_Candidate, Removal] = {each: each.removal(_age(each.rule)) for each in candidates if _is_old(each, now)}
    results = results_bytes - sum(each.bytes for each in gone if each.what == "results")
    for each in candidates if retention.most_bytes is not None else ():
        if each.what == "results" and each not in gone and results > (retention.most_bytes or 0):
            gone[each] = each.removal("conversions take more than most_bytes")
            results -= each.bytes
    free = free_bytes + sum(each.bytes for each in gone)
    for each in candidates if retention.free_bytes is not None else ():
        if each.may_free and each not in gone and free < (retention.free_bytes or 0):
            gone[each] = each.removal("less than free_bytes are free")
            free += each.bytes
    return [gone[each] for each in candidates if each in gone]


def _candidates(kept: Kept, rules_of: Callable[[str], Keeping]) -> Iterator[_Candidate]:
    """Yield what of a study is there and could go at all."""
    if not _is_at_rest(kept):
        return
    rules, done_at = rules_of(kept.project), kept.done_at or 0.0
    if kept.results_bytes > 0:
        yield _Candidate(kept, done_at, "results", rules.results, kept.results_bytes)
    sources = [_source(each, rules_of) for each in (kept, *kept.further)]
    if kept.has_source and all(_is_at_rest(each.kept) and _is_safe(each.kept) for each in sources):
        yield replace(sources[0], others=tuple(sources[1:]))
    if kept.has_output and kept.copies > 0:
        yield _Candidate(kept, done_at, "output", rules.outputs, kept.output_bytes)


def _source(kept: Kept, rules_of: Callable[[str], Keeping]) -> _Candidate:
    return _Candidate(kept, kept.done_at or 0.0, "source", rules_of(kept.project).sources, kept.source_bytes)


def _is_at_rest(kept: Kept) -> bool:
    return kept.status == states.DONE and kept.done_at is not None and kept.confirmed and not kept.held


def _is_safe(kept: Kept) -> bool:
    """Tell whether the source may go: without a copy elsewhere our output is the only one, and is to be there."""
    return kept.copies > 0 or kept.has_output


def _is_old(candidate: _Candidate, now: float) -> bool:
    days = candidate.rule.after_days
    is_old = days is not None and candidate.done_at + days * _DAY_S <= now
    return is_old and all(_is_old(other, now) for other in candidate.others)


def _age(rule: Rule) -> str:
    return f"{rule.after_days:g} days have passed since the study was done"
