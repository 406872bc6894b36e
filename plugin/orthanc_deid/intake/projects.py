"""Further projects of a study: which it has, what a list says of it in one of them, what it lacks there."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ..database.origins import Origin
from .patient_lists import Undecided

if TYPE_CHECKING:
    from ..database.ledger import Ledger, Study
    from ..database.origins import Origins
    from .belonging import Belonging
    from .examine import Intake

SEALED = "project {} is sealed: its key was destroyed, nothing more can be made for it"


def wanted(belonging: Belonging, intake: Intake, study: Study, own: str, *, may_begin: bool = True) -> dict[str, str]:
    """Return the further projects that a study is to be in, each with the rule: lists, and `also` of its own project.

    `own`: the name of that project, as it is or will be. `may_begin`: False: only what lists name.
    """
    if study.is_further or study.arrived or len(intake.configuration.projects) == 1:
        return {}
    others = [p.name for p in intake.configuration.projects if p.name != own]
    listed = intake.origins.further(belonging.study_uid, belonging.patient_id, others)
    also = next((p.also for p in intake.configuration.projects if p.name == own and may_begin), ())
    return {each.project: "named by a list" for each in listed} | dict.fromkeys(also, f"also of {own}")


def demand_free(ledger: Ledger, study: Study, project: str) -> None:
    """Raise Undecided where a study would begin in a project that it is a further study of: the output is one."""
    if not study.is_further and any(other.project == project for other in ledger.further(study.source)):
        raise Undecided(f"project {project} has it as a further study already: that one counts")


def origin_of(belonging: Belonging, origins: Origins, study: Study) -> Origin:
    """Return what was said of a study in its project.

    What a list says of it in another one, above all the pseudonym, is not for this: it would link the two. But what one
    list wants held is held in all.
    """
    if not study.is_further:
        return belonging.origin
    found = origins.further(belonging.study_uid, belonging.patient_id, [study.project])
    own = found[0] if found else Origin()
    return replace(own, hold=own.hold or belonging.origin.hold)


def lacks(ledger: Ledger, study: Study) -> str | None:
    """Say what a further project would miss, since retention had deleted sources before it came; None: nothing."""
    first = ledger.find(study.source) if study.is_further and not study.verified_version else None
    if first is None:
        return None
    had = {i.source for i in ledger.instances(first.id)}
    gone = had - {i.source for i in ledger.instances(study.id)}
    return f"{len(gone)} of {len(had)} instances of the study are no longer in this Orthanc" if gone else None
