"""Takes pseudonyms and UIDs of other systems into the crosswalk; what is there already is compared, never changed."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import Connection, insert, select

from .audit import record
from .crosswalk import ALONE, TAKEN, Crosswalk
from .crosswalk_place import Identity, Known, Mapped, Place, follow
from .crosswalk_tables import PATIENT, crosswalk
from .crosswalk_values import IMPORTED

OTHER_PSEUDONYM = "the patient has another pseudonym in this project"
OTHER_OFFSET = "the patient's dates are shifted otherwise in this project"
OTHER_VALUE = "it has become another value in this project"


@dataclass(frozen=True, repr=False)
class Offered:
    """One row: a patient and his pseudonym, and with `mapped` a value of one of his studies."""

    row: int
    identity: Identity
    pseudonym: str
    offset_days: int | None = None  # None: not told
    mapped: Mapped | None = None


@dataclass
class Taken:
    """How many rows were new or there already, of patients and of values; conflicts by row, with the reason."""

    patients_new: int = 0
    patients_known: int = 0
    values_new: int = 0
    values_known: int = 0
    conflicts: list[tuple[int, str]] = field(default_factory=list)


@dataclass(frozen=True, repr=False)
class _Held:
    """What a patient has: the row of the crosswalk, 0 where a trial would make it; or why he has nothing."""

    row: int = 0
    is_new: bool = False
    refusal: str = ""


def take(database: Crosswalk, project: str, offered: Sequence[Offered], *, actor: str) -> Taken:
    """Write what is new, in one transaction with its record of the audit."""
    # Alone: nobody names a patient between the look and the insert.
    with database.writing(project, ALONE) as (connection, place):
        taken = _Taking(connection, place, writes=True).take(offered)
        record(connection, "imported", actor=actor, project=project, **_counted(taken))
    return taken


def compare(database: Crosswalk, project: str, offered: Sequence[Offered], *, actor: str) -> Taken:
    """Answer what `take` would, and write nothing but the record that somebody has compared."""
    with database.reading(project) as opened:
        taken = _Taking(*opened, writes=False).take(offered) if opened else _all_new(offered)
    with database.engine.begin() as connection:
        record(connection, "imported", actor=actor, project=project, trial=1, **_counted(taken))
    return taken


class _Taking:
    def __init__(self, connection: Connection, place: Place, *, writes: bool) -> None:
        self._connection, self._place, self._writes = connection, place, writes
        self._held: dict[str, _Held] = {}
        self._taken = Taken()

    def take(self, offered: Sequence[Offered]) -> Taken:
        for each in offered:
            # The first row of a patient names him, whether it is his own or one of a value.
            held = self._patient(each)
            if held.refusal:
                self._taken.conflicts.append((each.row, held.refusal))
            elif each.mapped is not None:
                self._value(each.row, each.mapped, held)
            elif held.is_new:
                self._taken.patients_new += 1
            else:
                self._taken.patients_known += 1
        return self._taken

    def _patient(self, offered: Offered) -> _Held:
        key = f"{offered.identity.normal}\x00{offered.pseudonym.casefold()}\x00{offered.offset_days}"
        if key not in self._held:
            self._held[key] = self._look(offered)
        return self._held[key]

    def _look(self, offered: Offered) -> _Held:
        present = follow(self._connection, self._place, offered.identity)
        mine = (crosswalk.c.project_id == self._place.number) & (crosswalk.c.kind == PATIENT)
        original = self._place.original(PATIENT, present.normal)
        row = self._connection.execute(select(crosswalk).where(mine, crosswalk.c.original == original)).first()
        if row is not None:
            return _Held(row.id, refusal=_difference(offered, self._place.known(row)))
        replaced = self._place.replaced(PATIENT, offered.pseudonym)
        if self._connection.scalar(select(crosswalk.c.id).where(mine, crosswalk.c.replaced == replaced)) is not None:
            return _Held(refusal=TAKEN)
        if not self._writes:
            return _Held(is_new=True)
        known = Known(0, present, offered.pseudonym, offered.offset_days)
        return _Held(self._insert(self._place.patient_row(known, present)), is_new=True)

    def _value(self, number: int, mapped: Mapped, held: _Held) -> None:
        place, kind = self._place, mapped.kind
        there = self._connection.scalar(
            select(crosswalk.c.replaced).where(
                crosswalk.c.project_id == place.number, crosswalk.c.kind == kind,
                crosswalk.c.original == place.original(kind, mapped.original), crosswalk.c.patient_id == held.row,
            )
        )  # fmt: skip
        if there is None:
            self._taken.values_new += 1
            if self._writes:
                self._insert(place.row(held.row, replace(mapped, more={IMPORTED: "1"})))
        elif bytes(there) == place.replaced(kind, mapped.replaced):
            self._taken.values_known += 1
        else:
            self._taken.conflicts.append((number, OTHER_VALUE))

    def _insert(self, values: dict[str, Any]) -> int:
        return int(self._connection.execute(insert(crosswalk).values(**values).returning(crosswalk.c.id)).scalar_one())


def _difference(offered: Offered, known: Known) -> str:
    if offered.pseudonym.casefold() != known.pseudonym.casefold():
        return OTHER_PSEUDONYM
    is_shifted_otherwise = offered.offset_days is not None and offered.offset_days != known.offset_days
    return OTHER_OFFSET if is_shifted_otherwise else ""


def _all_new(offered: Iterable[Offered]) -> Taken:
    values = [each.mapped is not None for each in offered]
    return Taken(patients_new=values.count(False), values_new=values.count(True))


def _counted(taken: Taken) -> dict[str, int]:
    new, known = taken.patients_new + taken.values_new, taken.patients_known + taken.values_known
    return {"new": new, "known": known, "conflicts": len(taken.conflicts)}
