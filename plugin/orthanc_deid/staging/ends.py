"""What has become of each line of the list, and how the run tells it: by line, without any identity."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from .. import states
from .batch import Pulled
from .options import Options
from .studies import Rested

PUSHED, READY, REFUSED, ERROR, LATER, LEFT = "pushed", "ready", "refused", "error", "later", "left"
# What is told of a line with several studies: the first of these that occurs.
ORDER = (ERROR, REFUSED, LATER, LEFT, PUSHED, READY)
GOOD = frozenset({PUSHED, READY, LEFT})
MARKED = frozenset({PUSHED, REFUSED, ERROR})
TITLES = {
    PUSHED: "Pushed",
    READY: "Ready, not pushed",
    REFUSED: "Refused by the hook (no_encounter)",
    ERROR: "Not pushed: a person must look",
    LATER: "Not pushed: run again",
    LEFT: "Left for a later run",
}


@dataclass(frozen=True)
class LineEnd:
    """The end of one line; `outputs` are Orthanc's ids of its de-identified studies."""

    line: int
    end: str
    reason: str = ""
    outputs: Sequence[str] = ()

    def values(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return asdict(self)


def study_end(study: Rested, reason: str, pushed: Mapping[str, Any] | None) -> tuple[str, str]:
    """Return end and reason of one study; `reason` is the hook's refusal, `pushed` what pushing ended with."""
    status, why = (pushed["status"], pushed["reason"]) if pushed else (study.status, study.reason)
    if status == states.DONE:
        return PUSHED, ""
    if reason:
        return REFUSED, reason
    if pushed is None and study.waits:
        return READY, ""
    if status in (states.WAITING, states.REVIEW):
        return LATER, why
    return ERROR, f"{status}: {why}" if why else status


def line_end(pulled: Pulled, ends: Mapping[str, tuple[str, str]], outputs: Mapping[str, str]) -> LineEnd:
    """Join what became of the studies of a line with what did not come at all."""
    found = [ends[study] for study in pulled.studies]
    if pulled.error:
        found.append((ERROR, pulled.error))
    if pulled.later:
        found.append((LATER, pulled.later))
    if pulled.left:
        found.append((LEFT, "more studies than --max"))
    end = next((each for each in ORDER if any(kind == each for kind, _ in found)), ERROR)
    reasons = dict.fromkeys(why for kind, why in found if kind == end and why)
    made = [outputs[study] for study in pulled.studies if outputs.get(study)]
    return LineEnd(pulled.line, end, "; ".join(reasons), made)


def all_well(ends: Iterable[LineEnd]) -> bool:
    """Tell whether nothing is left to do for a person."""
    return all(each.end in GOOD for each in ends)


@dataclass(frozen=True)
class Told:
    """What an overview is made of."""

    name: str
    began: datetime
    options: Options
    batch: int | None
    ends: Sequence[LineEnd]
    notes: Sequence[str] = ()
    beyond: int = 0
    stopped: str = ""
    comments: int = 0


def overview(told: Told, now: datetime) -> str:
    """Write the summary for people."""
    asked = told.options
    kind = "practice, nothing is pushed" if asked.practice else "nothing is pushed" if asked.no_push else "for real"
    lines = [f"{told.name} ({kind})", f"Began {told.began:%Y-%m-%d %H:%M} UTC, ended {now:%Y-%m-%d %H:%M} UTC"]
    limits = f"at most {asked.most} studies, modalities {', '.join(asked.modalities) or 'any'}"
    lines.append(f"From {asked.source}, project {asked.project or 'by the configuration'}, {limits}")
    if told.batch:
        lines.append(f"Batch {told.batch}: orthanc-deid batches show {told.batch}")
    if told.comments:
        lines.append(f"{told.comments} studies with comments of reviewers: see comments.txt")
    if told.stopped:
        lines.append(f"STOPPED: {told.stopped}")
    lines += [f"hook: {note}" for note in told.notes]
    for end, title in TITLES.items():
        lines += _section(title, [each for each in told.ends if each.end == end])
    if told.beyond:
        lines += ["", f"{told.beyond} further lines of the list wait for a later run (--max)"]
    if not told.ends and not told.stopped:
        lines += ["", "Nothing of the list is left to push."]
    return "\n".join(lines) + "\n"


def _section(title: str, ends: Sequence[LineEnd]) -> list[str]:
    if not ends:
        return []
    rows = []
    for each in ends:
        rest = "; ".join(part for part in (each.reason, " ".join(each.outputs)) if part)
        rows.append(f"  line {each.line}{': ' + rest if rest else ''}")
    return ["", f"{title}: {len(ends)}", *rows]
