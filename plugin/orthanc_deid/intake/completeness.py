"""Whether a stable study is complete, and what follows where it is not.

Nothing here asks another system: `counting` does, in a thread of its own, and leaves what it was told in the database.
"""

from __future__ import annotations

import calendar
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ..database.awaited import NEVER, Awaited, Waiting
from ..database.manifests import Announced, Manifests
from ..settings.completeness import Completeness
from .belonging import Belonging
from .standing import Standing, clock, span

if TYPE_CHECKING:
    from ..database.ledger import Study
    from .examine import Intake

STABLE = Completeness()


@dataclass(frozen=True)
class Verdict:
    """`why_not`: it is not started, for this reason; `remark`: it is started all the same, with this warning."""

    why_not: str | None = None
    remark: str | None = None


def judge(intake: Intake, study: Study) -> Verdict:
    """Decide by the rule of its sender, its project or of intake whether a study may begin."""
    rule = rule_of(intake, study)
    if rule.by == "stable" and not rule.quiet_s:
        return Verdict()
    told = intake.orthanc.study(study.source)
    quiet_until = _seconds(str(told["LastUpdate"])) + rule.quiet_s
    if rule.by == "stable":
        return _judge_quiet(intake, study, rule, quiet_until)
    return _judge_count(intake, study, rule, told, quiet_until)


def rule_of(intake: Intake, study: Study) -> Completeness:
    """Return when a study is complete: by its sender, else by its project, else by intake.

    What a batch has fetched was not sent by anybody: its project says.

    Raises
    ------
    ConfigurationError
        The configuration no longer names the project that has made its output.
    """
    configuration = intake.configuration
    if all(rule == STABLE for _, rule in configuration.completeness()):
        return STABLE
    series = intake.orthanc.series(study.source)
    belonging = Belonging(configuration, intake.orthanc, intake.origins, intake.lists, study.source, series)
    senders = {sender.ae: sender.completeness for sender in configuration.intake.senders if sender.completeness}
    if senders and not belonging.origin.source and belonging.ae in senders:
        return senders[belonging.ae]
    project = belonging.project_of(study)
    if project is None:
        return STABLE  # nobody's: it is not started anyway
    return project.completeness or configuration.intake.completeness


def requests_next(rule: Completeness, row: Awaited, now: float) -> bool:
    """Tell whether what is missing is to be requested from the source."""
    return rule.then == "request" and row.deadline_at <= now and row.requests < rule.requests_most


def here(intake: Intake, study: Study) -> tuple[set[str], int]:
    """Return the SOP Instance UIDs that Orthanc holds of a study, and how many more it held when they were processed.

    Raises
    ------
    NotFound
        Orthanc does not hold the study.
    """
    held = intake.orthanc.instances(study.source)
    gone = {i.source for i in intake.ledger.instances(study.id)} - {str(i["ID"]) for i in held}
    return {str(i["MainDicomTags"].get("SOPInstanceUID", "")) for i in held}, len(gone)


def _judge_quiet(intake: Intake, study: Study, rule: Completeness, quiet_until: float) -> Verdict:
    waiting = Waiting(intake.ledger.engine)
    if quiet_until <= time.time():
        return Verdict()
    present = len(intake.ledger.instances(study.id))
    row = waiting.begin(study.id, quiet_until, "", present)
    waiting.look_at(row, quiet_until, quiet_until)
    waiting.note_numbers(study.id, None, present, None)
    return _not_quiet(rule, quiet_until)


def _not_quiet(rule: Completeness, quiet_until: float) -> Verdict:
    return Verdict(f"an instance came less than {span(rule.quiet_s)} ago, waiting until {clock(quiet_until)}")


def _judge_count(intake: Intake, study: Study, rule: Completeness, told: dict[str, Any], quiet_until: float) -> Verdict:
    row = _row(intake, study, rule)
    standing = _announced(intake, study, told, row) if rule.by == "manifest" else _counted(row)
    now = time.time()
    past = now >= row.deadline_at
    if rule.by == "count" and requests_next(rule, row, now):
        if row.next_look_at >= NEVER:  # it was held by an earlier configuration
            Waiting(intake.ledger.engine).look_at(row, now)
    elif standing.compared:
        asks_again = now + rule.ask_every_s if rule.by == "count" and not past else NEVER
        _look_next(intake, row, [asks_again, row.deadline_at, quiet_until])
    if quiet_until > now:
        return _not_quiet(rule, quiet_until)
    if standing.complete:
        return Verdict(remark=standing.surplus)
    if not past:
        requested = f", requested {row.requests} of {rule.requests_most} times" if row.requests else ""
        return Verdict(f"{standing}{requested}, waiting until {clock(row.deadline_at)}")
    return _at_the_deadline(rule, row, standing)


def _row(intake: Intake, study: Study, rule: Completeness) -> Awaited:
    """Return what is known of a study that is waited for; what was told of other instances counts no more."""
    waiting = Waiting(intake.ledger.engine)
    present = len(intake.ledger.instances(study.id))
    row = waiting.begin(study.id, time.time() + rule.deadline_s, rule.ask or "", present)
    if row.present == present or rule.by == "manifest":
        return row
    waiting.note_present(study.id, present)
    return replace(row, present=present, missing=None, asked_at=None)


def _look_next(intake: Intake, row: Awaited, times: list[float]) -> None:
    now = time.time()
    Waiting(intake.ledger.engine).look_at(row, min((at for at in times if at > now), default=NEVER))


def _counted(row: Awaited) -> Standing:
    untold = f"instances are not counted{'' if row.asked_at else ' yet'}" + (f" ({row.reason})" if row.reason else "")
    return Standing(row.present, row.expected, row.missing, row.asked_at is not None, untold)


def _announced(intake: Intake, study: Study, told: dict[str, Any], row: Awaited) -> Standing:
    """Compare with the manifest; instances that retention has deleted count as any of those that are not here."""
    manifests = Manifests(intake.ledger.engine, intake.origins.seal)
    announced = manifests.find(str(told["MainDicomTags"].get("StudyInstanceUID", "")))
    present = len(intake.ledger.instances(study.id))
    expected = announced.instances if announced else None
    missing = None
    if announced and announced.digests is not None and present >= announced.instances:
        missing = _missing(intake, study, manifests, announced)
    if (expected, present, missing) != (row.expected, row.present, row.missing):
        Waiting(intake.ledger.engine).note_numbers(study.id, expected, present, missing)
    untold = "its sender has not announced its instances"
    return Standing(present, expected, missing, compared=True, untold=untold)


def _missing(intake: Intake, study: Study, manifests: Manifests, announced: Announced) -> int:
    uids, gone = here(intake, study)
    return max(0, len((announced.digests or frozenset()) - {manifests.digest(uid) for uid in uids}) - gone)


def _at_the_deadline(rule: Completeness, row: Awaited, standing: Standing) -> Verdict:
    if rule.then == "process":
        how = "uncounted" if standing.expected is None else "incomplete"
        return Verdict(remark=f"{standing}: processed {how} after {span(rule.deadline_s)}")
    if requests_next(rule, row, time.time()):
        why = f" ({row.reason})" if row.reason and standing.expected is not None else ""
        return Verdict(f"{standing}: what is missing is to be requested{why}")
    requested = f" after {row.requests} requests" if row.requests else ""
    return Verdict(f"{standing}{requested}: held, process starts it as it is")


def _seconds(last_update: str) -> float:
    """Read Orthanc's LastUpdate, 20261121T173000 in UTC."""
    return float(calendar.timegm(time.strptime(last_update[:15], "%Y%m%dT%H%M%S")))
