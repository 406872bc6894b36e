"""Look at one study in Orthanc and decide what it is: ours, nobody's, incomplete, or work to start."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from .. import states
from ..batches import question
from ..confidentiality.method import PRODUCT
from ..database.batches import Batches
from ..database.conflicts import Conflicts
from ..database.ledger import Ledger, Study
from ..database.marks import is_marked
from ..database.origins import Origins
from ..database.studies import demand_remembered
from ..engine import Queue
from ..errors import Conflict
from ..orthanc_rest import Orthanc
from ..pipeline import DEIDENTIFY, DELIVER, EXPORT, PRIORITY, Job
from ..settings import Configuration
from . import completeness
from .arrivals import passed_the_door
from .belonging import Belonging

METHOD = "0012,0063"  # DeidentificationMethod
NO_PROJECT = "no project matches"
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


def examine(intake: Intake, source: str, *, stable: bool) -> None:
    """Compare one study with the ledger, and start what is stable and new.

    Raises
    ------
    NotFound
        Orthanc does not hold the study.
    """
    if intake.ledger.is_output(source):
        return
    study = intake.ledger.find(source) or _add(intake, source)
    if study.status in states.ACTIVE:
        intake.ledger.mark_recheck(study.id)
        return
    if _is_settled(study):
        if study.recheck:  # left by a start by hand that a crash has ended
            intake.ledger.mark_recheck(study.id, needed=False)
        # Else each sweep would come back to it, and there may be 100,000 of this kind.
        intake.ledger.note_seen(study, str(intake.orthanc.study(source)["LastUpdate"]))
        return
    if not stable:
        if study.status == states.RECEIVED:
            intake.ledger.move(study.id, states.WAITING, reason="instances are still arriving")
        return
    _start_if_due(intake, study)


def start_by_hand(intake: Intake, source: str, actor: str) -> int:
    """Start a study because a person asks, stable or not; answer its number.

    Raises
    ------
    NotFound
        Orthanc does not hold the study.
    Conflict
        It is at work already, it is an output of ours, or instances are de-identified on arrival.
    """
    if intake.ledger.is_output(source):
        raise Conflict("this study is itself the result of a de-identification")
    study = intake.ledger.find(source) or _add(intake, source)
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
    study = compared
    if study.status != states.DONE and not _start(intake, study, "asked for by a person", actor):
        raise Conflict(f"the study is ignored: {NO_PROJECT}")
    return study.id


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
    if is_late or study.status in states.BEFORE_WORK:
        why_not = _why_not_started(intake.configuration, study)
        why_not = why_not or Conflicts(intake.ledger.engine).why_waits(study.id)
        verdict = completeness.judge(intake, study) if why_not is None else completeness.Verdict(why_not)
        why_not = verdict.why_not
        if why_not is None:
            _start(intake, study, verdict.remark, "system")
            return
        intake.ledger.move(study.id, states.WAITING, reason=why_not)
    if study.status not in states.ACTIVE:  # started by hand at this moment
        intake.ledger.mark_recheck(study.id, needed=False)


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
    project = _belonging(intake, source, series).project()
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


def _why_not_started(configuration: Configuration, study: Study) -> str | None:
    if configuration.intake.on_arrival != study.arrived:
        return OTHER_MODE[study.arrived]
    return None if configuration.intake.automatic else "automatic processing is off"


def _is_settled(study: Study) -> bool:
    """Tell whether a study is left alone for good; where no project matched, another series or configuration may."""
    return bool(study.forgotten) or (study.status == states.IGNORED and study.reason != NO_PROJECT)


def _is_ours(tags: dict[str, dict[str, object]]) -> bool:
    return str(tags.get(METHOD, {}).get("Value") or "").startswith(PRODUCT)


def _belonging(intake: Intake, source: str, series: list[dict[str, Any]]) -> Belonging:
    return Belonging(intake.configuration, intake.orthanc, intake.origins, source, series)


def _compare(intake: Intake, study: Study) -> Study | None:
    """Note what Orthanc holds of a study now; None where some of it came past the door that the rest went through."""
    last_update = str(intake.orthanc.study(study.source)["LastUpdate"])
    present = intake.orthanc.instance_ids(study.source)
    if study.arrived and not _new_passed_the_door(intake, study, present):
        return None
    intake.ledger.forget_vanished(study.id, present)
    intake.ledger.compare(study.id, present, last_update)
    return intake.ledger.get(study.id)


def _start(intake: Intake, study: Study, reason: str | None, actor: str) -> bool:
    """Begin a run; False where no project takes the study."""
    belonging = _belonging(intake, study.source, intake.orthanc.series(study.source))
    project = belonging.project_of(study)
    if project is None:
        if states.IGNORED in states.MOVES[study.status] and not _is_settled(study):
            intake.ledger.move(study.id, states.IGNORED, reason=NO_PROJECT)
        intake.ledger.mark_recheck(study.id, needed=False)
        return False
    started = intake.ledger.start(
        study.id, project.name, project.destinations, reason=reason, actor=actor, hold=belonging.origin.hold,
        origin=belonging.origin.digest,
    )  # fmt: skip
    intake.queue.enqueue(first_job(intake, started))
    return True


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
