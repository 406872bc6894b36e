"""Merged patients: a former identity stands for the present one, in one project."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, insert, select

from ..errors import Conflict, Rejected
from .audit import record
from .crosswalk import ALONE, MOST_ALIASES, Crosswalk, Identity, Place, alias_context, follow
from .crosswalk_tables import PATIENT, STUDY, crosswalk, crosswalk_alias
from .crosswalk_views import aliases, patients_of, place_of, reading

CIRCLE = "the present identity is a former one of the other: that would go round in a circle"


@dataclass(frozen=True, repr=False)
class Joined:
    """What became of joining two identities.

    `studies`: StudyInstanceUID before and after, and the pseudonym, of what was made under the former identity with
    another pseudonym than the present one has.
    """

    is_new: bool
    studies: list[tuple[str, str, str]]


class Aliases:
    """Joins identities; every method is one transaction."""

    def __init__(self, crosswalk: Crosswalk) -> None:
        self._crosswalk = crosswalk

    def join(self, project: str, former: Identity, present: Identity, actor: str, **detail: Any) -> Joined:  # noqa: ANN401
        """Have studies of the former identity called as the present one; `detail` goes into the audit.

        Raises
        ------
        Conflict
            The former identity stands for somebody else already.
        Rejected
            Both are one, or they would go round in a circle, or the chain would be too long.
        """
        if former.normal == present.normal:
            raise Rejected("former and present identity are the same")
        with reading(self._crosswalk.engine) as connection:
            place_of(connection, self._crosswalk.keyring, project)  # else it would be made
        with self._crosswalk.writing(project, ALONE) as (connection, place):
            before = aliases(connection, place)
            known = next((p for f, p in before.values() if f.normal == former.normal), None)
            if known and known.normal != present.normal:
                raise Conflict("the former identity stands for another one already: join that one")
            if known is None:
                _demand_end(connection, place, former, present)
                connection.execute(insert(crosswalk_alias).values(**_row(place, former, present)))
                _demand_short(list(aliases(connection, place).values()))
                record(connection, "alias", actor=actor, project=project, action="join", **detail)
            return Joined(known is None, _studies_of(connection, place, former, present))


def _demand_end(connection: Connection, place: Place, former: Identity, present: Identity) -> None:
    if follow(connection, place, present).normal == former.normal:
        raise Rejected(CIRCLE)


def _demand_short(known: list[tuple[Identity, Identity]]) -> None:
    """Refuse what `follow` could not follow from its beginning to its end."""
    becomes = {former.normal: present.normal for former, present in known}
    for begin in becomes:
        steps, at = 0, begin
        while at in becomes and steps <= MOST_ALIASES:
            steps, at = steps + 1, becomes[at]
        if steps >= MOST_ALIASES:
            raise Rejected(f"more than {MOST_ALIASES - 1} identities would follow one another: join them with the last")


def _row(place: Place, former: Identity, present: Identity) -> dict[str, object]:
    original = place.original(PATIENT, former.normal)
    value = {
        "former": [former.issuer, former.patient_id],
        "present": [present.issuer, present.patient_id],
    }
    sealed = place.cipher(place.generation).close(value, alias_context(place, original))
    return {"project_id": place.number, "original": original, "generation": place.generation, "sealed": sealed}


def _studies_of(
    connection: Connection, place: Place, former: Identity, present: Identity
) -> list[tuple[str, str, str]]:
    """Return the studies whose outputs have the former identity's own pseudonym."""
    now = {known.row for known in patients_of(connection, place, [present])}
    found = []
    for known in patients_of(connection, place, [former]):
        if known.row in now:
            continue
        query = select(crosswalk).where(crosswalk.c.patient_id == known.row, crosswalk.c.kind == STUDY)
        for row in connection.execute(query.order_by(crosswalk.c.id)):
            before, after, *_ = place.open(row)
            found.append((before, after, known.pseudonym))
    return found
