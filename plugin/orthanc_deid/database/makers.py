"""Which profile made the outputs of a study, and how they are made anew by another."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, update

from .. import states
from .expected import deliver_again, mark_superseded
from .studies import Study
from .tables import instance, study

# Why a study is not made anew on request; one that is done, has failed or is quarantined may be.
NOT_REMADE = {
    states.RECEIVED: "nothing of it was made yet",
    states.WAITING: "it waits, and is made by the present profile when it starts",
    states.REVIEW: "it is held until a person approves or rejects it",
    states.REJECTED: "it was rejected by a person",
    states.CANCELLED: "it was cancelled: retry it",
    states.IGNORED: "it is ignored",
}


@dataclass(frozen=True)
class Maker:
    """A profile as DeidentificationMethod and the table `study` tell it; the digits change with all that it says."""

    name: str
    version: str
    digest: str

    def __str__(self) -> str:
        return f"{self.name} {self.version} ({self.digest})"


def maker_of(found: Study) -> Maker | None:
    """Return the profile that made a study's outputs; None where the table does not know it."""
    if found.profile_digest is None:
        return None
    return Maker(found.profile or "", found.profile_version or "", found.profile_digest)


def why_not_remade(found: Study) -> str | None:
    """Return why outputs are not made anew, as far as the study's row tells; None where nothing speaks against it."""
    if found.status in states.ACTIVE:
        return f"it is {found.status}: it is at work"
    if found.forgotten:
        return "its patient was forgotten"
    if found.arrived:
        return "it was de-identified on arrival: what was sent is not kept"
    if found.hold:
        return NOT_REMADE[states.REVIEW]
    return NOT_REMADE.get(found.status)


def make_anew(connection: Connection, found: Study, version: int, instances: Sequence[int] | None = None) -> None:
    """Have outputs made and delivered again as part of a version, all or those of some instances.

    Destinations are told that what they have is no longer good.
    """
    which: ColumnElement[bool] = instance.c.study_id == found.id
    if instances is not None:
        which &= instance.c.id.in_(instances)
    anew = {"state": states.INSTANCE_RECEIVED, "output": None, "reason": None, "version": version}
    connection.execute(update(instance).where(which).values(**anew))
    deliver_again(connection, found.id, version)
    mark_superseded(connection, found.id)


def set_maker(connection: Connection, study_id: int, maker: Maker) -> None:
    """Note which profile makes a study's outputs from now on."""
    values = {"profile": maker.name, "profile_version": maker.version, "profile_digest": maker.digest}
    connection.execute(update(study).where(study.c.id == study_id).values(**values))
