"""Look at one study in Orthanc and decide what it is: ours, nobody's, incomplete, or work to start.

It has a row in each of its projects, and each is looked at and started by itself.
"""

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from .. import states
from ..batches import question
from ..confidentiality.method import PRODUCT
from ..database.batches import Batches
from ..database.conflicts import Conflicts
from ..database.ledger import Ledger, Study
from ..database.marks import is_marked
from ..database.origins import Origins
from ..database.studies import address_of, demand_remembered
from ..engine import Queue
from ..errors import ConfigurationError, Conflict, Rejected
from ..orthanc_rest import Orthanc
from ..pipeline import DEIDENTIFY, DELIVER, EXPORT, PRIORITY, Job
from ..settings import Configuration
from . import completeness, projects
from .arrivals import passed_the_door
from .belonging import Belonging
from .patient_lists import PatientLists, Undecided

METHOD = "0012,0063"  # DeidentificationMethod
NO_PROJECT = "no project matches"
STOPPED = (states.CANCELLED, states.REJECTED)  # a person does not want it: no further project gets it by itself
FETCHED = "a batch is fetching it"
BEFORE = "de-identified by this software before"
# By whether the study was de-identified on arrival. The door would de-identify the pipeline's outputs once more: they
# would not be what verify expects. And what comes without the door may be anything, whatever its UIDs say.
OTHER_MODE = {
    False: "stored before de-identification on arrival was switched on",
    True: "de-identified on arrival, which is switched off",
}


@dataclass(frozen=True)
class Intake:
    """What an examination uses."""

    configuration: Configuration
    orthanc: Orthanc
    ledger: Ledger
    queue: Queue
    origins: Origins
    arrival_since: float = float("inf")  # UTC seconds: since when the door de-identifies without a gap
    lists: PatientLists = field(default_factory=PatientLists)
    is_sealed: Callable[[str], bool] = field(default=lambda _project: False)


def examine(intake: Intake, source: str, *, stable: bool) -> None:
    """Compare one study with the ledger, and start in each of its projects what is stable and new.

    Raises
    ------
    NotFound
        Orthanc does not hold the study.
    Conflict, Rejected, ConfigurationError
        It could not be started in one of them; it was looked at in all.
    """
    if intake.ledger.is_output(source):
        return
    errors = []
    for study in _rows(intake, source):
        try:
            examine_row(intake, study, stable=stable)
        except (Conflict, Rejected, ConfigurationError) as error:
            errors.append(error)
    if errors:
        raise errors[0]


def _rows(intake: Intake, source: str) -> Iterator[Study]:
    """Yield the study's row of its first project, and when that was dealt with those of further ones."""
    yield intake.ledger.find(source) or _add(intake, source)
    yield from intake.ledger.further(source)


def examine_row(intake: Intake, study: Study, *, stable: bool) -> None:
    """Examine a study in one of its projects; raises as `examine`."""
    if study.status in states.ACTIVE:
        intake.ledger.mark_recheck(study.id)
        return
    if _is_settled(study):
        if study.recheck:  # left by a start by hand that a crash has ended
            intake.ledger.mark_recheck(study.id, needed=False)
        # Else each sweep would come back to it, and there may be 100,000 of this kind.
        intake.ledger.note_seen(study, str(intake.orthanc.study(study.source)["LastUpdate"]))
        return
    if not stable:
        if study.status == states.RECEIVED:
            intake.ledger.move(study.id, states.WAITING, reason="instances are still arriving")
        return
    _start_if_due(intake, study)


def start_by_hand(intake: Intake, address: str, actor: str, project: str = "") -> int:
    """Start a study because a person asks, stable or not; answer its number.

    With the study of the first project what has not begun in further ones is started too. `project`: only in this one,
    where it becomes a further study unless it is there already.

    Raises
    ------
    NotFound
        Orthanc does not hold the study.
    Conflict
        It is at work already, it is an output of ours, or instances are de-identified on arrival.
    ConfigurationError
        No project has that name.
    """
    if intake.ledger.is_output(address):
        raise Conflict("this study is itself the result of a de-identification")
    study = intake.ledger.find(address) or _add(intake, address)
    if project:
        study = _in_project(intake, study, project)
    _start_row_by_hand(intake, study, actor)
    for other in () if project or study.is_further else intake.ledger.further(study.source):
        if other.status in states.BEFORE_WORK:
            with contextlib.suppress(Conflict, ConfigurationError):  # its own state says why
                _start_row_by_hand(intake, other, actor)
    return study.id


def _in_project(intake: Intake, study: Study, project: str) -> Study:
    """Return a study's row of a project; where it has none it gets one."""
    intake.configuration.project(project)
    first = (intake.ledger.find(study.source) if study.is_further else None) or study
    if first.arrived or first.reason == BEFORE:
        raise Conflict("what is here of the study was de-identified before: no other project can be given it")
    decided = None
    if not first.run:
        with contextlib.suppress(Undecided):
            decided = belonging_of(intake, first.source).project()
    if (decided.name if decided else first.project) == project:
        return first
    intake.orthanc.study(first.source)
    intake.ledger.join(first.id, {project: "asked for by a person"})
    return intake.ledger.find(address_of(first.source, project)) or first


def _start_row_by_hand(intake: Intake, study: Study, actor: str) -> None:
    if study.status in states.ACTIVE:
        raise Conflict(f"the study is {study.status}: it is at work already")
    demand_remembered(study)
    if _is_settled(study) and not is_marked(study.status, study.reason):
        raise Conflict(f"the study is ignored: {study.reason}")
    if intake.configuration.intake.on_arrival != study.arrived:
        raise Conflict(f"the study was {OTHER_MODE[study.arrived]}: it is processed when that is changed back")
    compared = _compare(intake, study)
    if compared is None:
        raise Conflict("instances of the study came while de-identification on arrival was off: delete them")
    if compared.status == states.DONE:
        _join(intake, compared)
        return
    lacks = projects.lacks(intake.ledger, compared)
    asked = "asked for by a person" + (f", although {lacks}" if lacks else "")
    why_not = _start(intake, compared, asked, actor)
    if why_not:
        raise Conflict(f"the study is ignored: {why_not}")


def _start_if_due(intake: Intake, study: Study) -> None:
    """Compare a study that is stable, and start it where there is something new and nothing speaks against it."""
    if _is_being_fetched(intake, study.source):
        if study.status in (states.RECEIVED, states.WAITING):
            intake.ledger.move(study.id, states.WAITING, reason=FETCHED)
        intake.ledger.mark_recheck(study.id)  # looked at again until the row has ended
        return
    compared = _compare(intake, study)
    if compared is None:
        if states.WAITING in states.MOVES[study.status]:
            intake.ledger.move(study.id, states.WAITING, reason=OTHER_MODE[True])
        intake.ledger.mark_recheck(study.id, needed=False)
        return
    study = compared
    is_late = study.status == states.REVIEW and study.verified_version < study.version
    needed = False
    if is_late or study.status in states.BEFORE_WORK:
        why_not, needed = _start_or_say_why(intake, study)
        if why_not is None:
            return
        intake.ledger.move(study.id, states.WAITING, reason=why_not)
    _join(intake, study)
    intake.ledger.mark_recheck(study.id, needed=needed)


def _start_or_say_why(intake: Intake, study: Study) -> tuple[str | None, bool]:
    """Start a study, or answer why it waits, and whether it is to be looked at again without anything new."""
    why_not = _why_not_started(intake, study)
    try:
        verdict = completeness.judge(intake, study) if why_not is None else completeness.Verdict(why_not)
        if verdict.why_not is None:
            _start(intake, study, verdict.remark, "system")
    except Undecided as error:
        return str(error), False  # looked at again when the list can be read
    except ConfigurationError as error:
        if not study.is_further:
            raise
        return str(error), True
    return verdict.why_not, False


def _is_being_fetched(intake: Intake, source: str) -> bool:
    """Tell whether a row of a batch has it sent: between two series an archive may be silent for long."""
    batches = Batches(intake.ledger.engine)
    if not batches.running():
        return False
    study_uid = str(intake.orthanc.study(source)["MainDicomTags"].get("StudyInstanceUID", ""))
    series = [str(s["MainDicomTags"].get("SeriesInstanceUID", "")) for s in intake.orthanc.series(source)]
    return batches.fetches([question.digest(intake.origins.seal, study_uid, uid) for uid in ("", *series)])


def _add(intake: Intake, source: str) -> Study:
    series = intake.orthanc.series(source)
    first = next((i for s in series for i in s["Instances"]), None)
    # Only what is shown until the study starts: the first series that came says little about a study.
    project = None
    with contextlib.suppress(Undecided):
        project = belonging_of(intake, source, series).project()
    name = project.name if project else ""
    if first and _is_ours(intake.orthanc.tags(first)):
        instances = [i for s in series for i in s["Instances"]]
        on_arrival = intake.configuration.intake.on_arrival
        if on_arrival and passed_the_door(intake.orthanc, instances, intake.arrival_since):
            # Its instances are of the project that took them one by one: all have its key, and Modality stays.
            return intake.ledger.add(source, name, arrived=True)
        return intake.ledger.add(source, "", status=states.IGNORED, reason=BEFORE)
    return intake.ledger.add(source, name)


def _new_passed_the_door(intake: Intake, study: Study, present: Sequence[str]) -> bool:
    """Tell whether what has come to a study since was de-identified as the rest of it was."""
    known = {i.source for i in intake.ledger.instances(study.id)}
    new = [i for i in present if i not in known]
    return not new or (
        intake.configuration.intake.on_arrival and passed_the_door(intake.orthanc, new, intake.arrival_since)
    )


def _why_not_started(intake: Intake, study: Study) -> str | None:
    if intake.configuration.intake.on_arrival != study.arrived:
        return OTHER_MODE[study.arrived]
    if not intake.configuration.intake.automatic:
        return "automatic processing is off"
    undecided = Conflicts(intake.ledger.engine).why_waits(study.id)
    lacks = None if undecided else projects.lacks(intake.ledger, study)
    return f"{lacks}: send them again, or process it as it is" if lacks else undecided


def _is_settled(study: Study) -> bool:
    """Tell whether a study is left alone for good; where no project matched, another series or configuration may."""
    return bool(study.forgotten) or (study.status == states.IGNORED and study.reason != NO_PROJECT)


def _is_ours(tags: dict[str, dict[str, object]]) -> bool:
    return str(tags.get(METHOD, {}).get("Value") or "").startswith(PRODUCT)


def belonging_of(intake: Intake, source: str, series: list[dict[str, Any]] | None = None) -> Belonging:
    """Return what tells whose a study in Orthanc is."""
    found = intake.orthanc.series(source) if series is None else series
    return Belonging(intake.configuration, intake.orthanc, intake.origins, intake.lists, source, found)


def _compare(intake: Intake, study: Study) -> Study | None:
    """Note what Orthanc holds of a study now; None where some of it came past the door that the rest went through."""
    last_update = str(intake.orthanc.study(study.source)["LastUpdate"])
    present = intake.orthanc.instance_ids(study.source)
    if study.arrived and not _new_passed_the_door(intake, study, present):
        return None
    intake.ledger.forget_vanished(study.id, present)
    intake.ledger.compare(study.id, present, last_update)
    return intake.ledger.get(study.id)


def _start(intake: Intake, study: Study, reason: str | None, actor: str) -> str | None:
    """Begin a run; else answer why not: no project takes the study, or the one that does is sealed."""
    belonging = belonging_of(intake, study.source)
    decided = belonging.decision_of(study)
    also = projects.wanted(belonging, intake, study, decided.project.name if decided else "")
    if decided is None or intake.is_sealed(decided.project.name):
        if also:
            intake.ledger.join(study.id, also)
        return _ignore(intake, study, projects.SEALED.format(decided.project.name) if decided else NO_PROJECT)
    project, origin = decided.project, projects.origin_of(belonging, intake.origins, study)
    projects.demand_free(intake.ledger, study, project.name)
    started = intake.ledger.start(
        study.id, project.name, project.destinations, reason=reason, actor=actor, hold=origin.hold,
        origin=origin.digest, why="" if study.is_further else decided.why, also=also,
    )  # fmt: skip
    intake.queue.enqueue(first_job(intake, started))
    return None


def _ignore(intake: Intake, study: Study, why: str) -> str:
    if states.IGNORED in states.MOVES[study.status] and not _is_settled(study):
        intake.ledger.move(study.id, states.IGNORED, reason=why)
    elif why != NO_PROJECT:
        raise Conflict(f"the study is {study.status}: {why}")
    intake.ledger.mark_recheck(study.id, needed=False)
    return why


def _join(intake: Intake, study: Study) -> None:
    """Give a study to the further projects that its own names by now, or a list, and that do not have it yet."""
    if len(intake.configuration.projects) < 2 or study.is_further:  # noqa: PLR2004  # there is no other
        return
    belonging = belonging_of(intake, study.source)
    own = study.project
    if not study.run:
        with contextlib.suppress(Undecided):
            decided = belonging.decide()
            own = decided.project.name if decided else ""
    also = projects.wanted(belonging, intake, study, own, may_begin=bool(study.run) and study.status not in STOPPED)
    if also.keys() - {other.project for other in intake.ledger.further(study.source)}:
        intake.ledger.join(study.id, also)


def deliver_by_hand(  # noqa: PLR0913  # what a delivery is begun with
    intake: Intake, study: Study, destinations: Sequence[str], *, anew: bool, actor: str, approved: bool = False
) -> None:
    """Send what is verified, because a person asks; its source need not be there any more.

    Raises
    ------
    Conflict
        The study is at work, its newest version is not verified, or some of it is no longer in this Orthanc.
    """
    if anew or destinations:
        made = {i.output for i in intake.ledger.instances(study.id, state=states.INSTANCE_DEIDENTIFIED)}
        missing = made - intake.orthanc.present(study.output or "")
        if missing:
            raise Conflict(f"{len(missing)} of {len(made)} instances of the result are no longer in this Orthanc")
    started = intake.ledger.deliver(
        study.id, destinations, anew=anew, reason="asked for by a person", actor=actor, approved=approved
    )
    if started.status != states.EXPORTING:
        intake.queue.enqueue(first_job(intake, started))
        return
    for name in destinations:  # `waits` tells the job from those of this run that have failed
        job = Job(EXPORT, study.id, started.version, started.run, destination=name, waits=int(time.time()))
        intake.queue.enqueue(replace(job, priority=priority(intake, started.project)))


def first_job(intake: Intake, study: Study, attempt: int = 1) -> Job:
    """Return the job that a study begins with: what is verified is delivered, all else is de-identified first."""
    verified = study.version > 0 and study.verified_version == study.version
    return Job(
        DELIVER if verified else DEIDENTIFY, study.id, study.version, study.run, attempt,
        priority=priority(intake, study.project),
    )  # fmt: skip


def priority(intake: Intake, project: str) -> int:
    """Return a project's priority, also where the configuration no longer names it."""
    return next((p.priority for p in intake.configuration.projects if p.name == project), PRIORITY)
