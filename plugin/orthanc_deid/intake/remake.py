"""Have the outputs of a study made, verified and delivered anew, because a person asks."""

from collections.abc import Sequence
from dataclasses import replace

from .. import states
from ..database.deliveries import Deliveries
from ..database.ledger import Instance, Study
from ..database.makers import why_not_remade
from ..errors import ConfigurationError, Conflict
from ..settings import Project
from .examine import OTHER_MODE, Intake, first_job

LAST = 9  # of priorities: what arrives meanwhile comes first


def why_not(intake: Intake, study: Study, stored: Sequence[Instance]) -> str | None:
    """Return why outputs are not made anew; None where nothing speaks against it. `stored`: those that are made."""
    told = why_not_remade(study)
    if told:
        return told
    if intake.configuration.intake.on_arrival:
        return OTHER_MODE[False]
    if not stored:
        return "nothing of it was made yet: retry it"
    try:
        intake.configuration.project(study.project)
    except ConfigurationError:
        return "the configuration no longer names its project"
    present = intake.orthanc.present(study.source)
    gone = [i for i in stored if i.source not in present]
    if gone:
        return f"the sources of {len(gone)} of {len(stored)} instances are no longer in this Orthanc: send them again"
    return None


def remake(intake: Intake, study: Study, actor: str) -> None:
    """Begin to make a study anew, as its next version, under the same pseudonym and UIDs.

    Raises
    ------
    Conflict
        It cannot be: see `why_not`.
    """
    stored = intake.ledger.instances(study.id, state=states.INSTANCE_DEIDENTIFIED)
    told = why_not(intake, study, stored)
    if told:
        raise Conflict(told)
    project = intake.configuration.project(study.project)
    origin = intake.origins.get(study.origin)
    present = intake.orthanc.instance_ids(study.source)
    intake.ledger.forget_vanished(study.id, present)
    known = {i.source for i in intake.ledger.instances(study.id)}
    started = intake.ledger.start(
        study.id, project.name, _destinations(intake, study, project), reason="to be made anew", actor=actor,
        hold=bool(origin and origin.hold), origin=study.origin, anew=True,
    )  # fmt: skip
    if study.recheck or not known.issuperset(present):
        intake.ledger.mark_recheck(study.id)  # what came late is the next version but one
    intake.queue.enqueue(replace(first_job(intake, started), priority=LAST))


def _destinations(intake: Intake, study: Study, project: Project) -> list[str]:
    """Return those of the project, and all others that have the study and that the configuration still names."""
    known = {d.name for d in intake.configuration.destinations}
    having = [d.destination for d in Deliveries(intake.ledger.engine).of(study.id) if d.confirmed_version]
    return list(dict.fromkeys([*project.destinations, *(name for name in having if name in known)]))
