"""Instances that came again with another content: who waits for a decision, and what was decided."""

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, Engine, Row, Select, bindparam, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from .. import states
from ..errors import Conflict, NotFound
from .audit import record
from .events import note, remark, short
from .expected import mark_superseded
from .intake_tables import conflict
from .studies import Study, is_of_source, locked, study_from
from .tables import REMOVED, instance, study

# Of a conflict: nobody has decided; what is stored stays; the other is about to be stored; it is stored.
OPEN, KEPT, REPLACING, REPLACED = "open", "kept", "replacing", "replaced"
STATES = (OPEN, KEPT, REPLACING, REPLACED)
UNDECIDED = (OPEN, REPLACING)
CAME = "an instance came again with another content"
STAYS = "an instance that came again: what is stored stays"
TAKEN = "an instance that came again takes the place of what is stored"


@dataclass(frozen=True)
class Contested:
    """One row of the table."""

    id: int
    study_id: int
    instance: str
    file: str
    state: str
    actor: str
    at: float
    resolved_at: float | None


class Conflicts:
    """The conflicts of all studies; every method is one transaction."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def get(self, number: int) -> Contested:
        """Return one, or raise NotFound."""
        with self.engine.connect() as connection:
            return _one(connection, select(conflict).where(conflict.c.id == number))

    def page(
        self, *, state: str | None = None, study_id: int | None = None, limit: int = 100, after: int | None = None
    ) -> list[Contested]:
        """Return conflicts, newest first; `after`: below that number."""
        query = select(conflict).order_by(conflict.c.id.desc()).limit(limit)
        query = query if state is None else query.where(conflict.c.state == state)
        query = query if study_id is None else query.where(_is_about(study_id))
        if after is not None:
            query = query.where(conflict.c.id < after)
        with self.engine.connect() as connection:
            return [_contested(row) for row in connection.execute(query)]

    def of_files(self, files: Sequence[str]) -> dict[str, Contested]:
        """Map those of the files that are known to their conflicts."""
        with self.engine.connect() as connection:
            rows = connection.execute(select(conflict).where(conflict.c.file.in_(files)))
            return {row.file: _contested(row) for row in rows}

    def undecided(self) -> int:
        """Count what waits for a decision."""
        with self.engine.connect() as connection:
            return connection.scalar(select(func.count()).where(conflict.c.state.in_(UNDECIDED))) or 0

    def why_waits(self, study_id: int) -> str | None:
        """Say why a study is not started by itself; None where nothing of it is undecided."""
        with self.engine.connect() as connection:
            return _why_waits(connection, study_id)

    def add(self, study_id: int, orthanc: str, file: str) -> None:
        """Note that a file waits for a decision, with an event; a study that was not started waits with it."""
        values = {"study_id": study_id, "instance": orthanc, "file": file, "state": OPEN, "actor": "system"}
        try:
            with locked(self.engine, study_id) as (connection, found):
                connection.execute(insert(conflict).values(**values, at=time.time()))
                remark(connection, study_id, found.version, found.status, CAME, "system")
                for row in _of_same_source(connection, found):
                    if row.status in (states.RECEIVED, states.WAITING):
                        _wait(connection, row, _why_waits(connection, row.id) or CAME)
        except IntegrityError:
            return  # it is there already

    def keep(self, number: int, actor: str) -> None:
        """Decide that what is stored stays; raise Conflict where it is decided already."""
        self._decide(number, KEPT, STAYS, actor)

    def take(self, number: int, actor: str) -> None:
        """Decide that what came takes the place of what is stored; raise Conflict where it is decided already."""
        self._decide(number, REPLACING, TAKEN, actor)

    def replaced(self, number: int, present: Collection[str]) -> None:
        """Note that the instance in Orthanc is the other one now: its study is made and delivered again.

        All of it that is `present` (Orthanc ids of its sources), for what a DICOM node has it keeps: a person deletes
        the study there as a whole.

        Raises
        ------
        Conflict
            The study is at work: the versions of a run may not change under it.
        """
        one = self.get(number)
        with locked(self.engine, one.study_id) as (connection, first):
            rows = _of_same_source(connection, first)
            for found in rows:
                if found.status in states.ACTIVE:
                    raise Conflict(f"study {found.id} is {found.status}: it is at work")
            decided = update(conflict).where(conflict.c.id == number, conflict.c.state == REPLACING)
            if not connection.execute(decided.values(state=REPLACED, resolved_at=time.time())).rowcount:
                return
            for found in rows:
                if _renew(connection, found, one.instance, present) and found.status == states.DONE:
                    _wait(connection, found, "an instance was replaced", found.version + 1, one.actor)

    def _decide(self, number: int, state: str, told: str, actor: str) -> None:
        one = self.get(number)
        with locked(self.engine, one.study_id) as (connection, found):
            decided = update(conflict).where(conflict.c.id == number, conflict.c.state == OPEN)
            at = time.time() if state == KEPT else None
            if not connection.execute(decided.values(state=state, actor=actor[:64], resolved_at=at)).rowcount:
                raise Conflict(f"conflict {number} is decided already")
            remark(connection, found.id, found.version, found.status, told, actor)
            kept = "stored" if state == KEPT else "arrived"
            record(connection, "conflict", actor=actor, study_id=found.id, conflict=number, keep=kept)
            connection.execute(update(study).where(is_of_source(found.source)).values(recheck=1))


def _of_same_source(connection: Connection, found: Study) -> list[Study]:
    """Lock and return the rows of all projects that a source is in; that of the first project is locked before."""
    query = select(study).where(is_of_source(found.source)).order_by(study.c.id).with_for_update()
    return [study_from(row) for row in connection.execute(query)]


def _is_about(study_id: int) -> ColumnElement[bool]:
    source = select(study.c.copy_of).where(study.c.id == study_id).scalar_subquery()
    return conflict.c.study_id.in_(select(study.c.id).where((study.c.id == study_id) | (study.c.source == source)))


def count_undecided(connection: Connection, study_id: int) -> int:
    """Count what of a study, or of what a further project shares with the first, waits for a decision or its end."""
    mine = (_is_about(study_id), conflict.c.state.in_(UNDECIDED))
    return connection.scalar(select(func.count()).where(*mine)) or 0


def _why_waits(connection: Connection, study_id: int) -> str | None:
    count = count_undecided(connection, study_id)
    what = "instance" if count == 1 else "instances"
    return f"{count} {what} came again with another content: see conflicts" if count else None


def _wait(connection: Connection, found: Study, why: str, version: int | None = None, actor: str = "system") -> None:
    values = {"status": states.WAITING, "reason": short(why), "updated_at": time.time()}
    connection.execute(update(study).where(study.c.id == found.id).values(**values))
    note(connection, found.id, found.version if version is None else version, states.WAITING, why, actor)


def _renew(connection: Connection, found: Study, orthanc: str, present: Collection[str]) -> bool:
    """Have a study made and delivered again as its next version; False where the instance is not known yet."""
    known = connection.execute(
        select(instance.c.id, instance.c.source, instance.c.state).where(instance.c.study_id == found.id)
    ).all()
    is_known = any(row.source == orthanc for row in known)
    values: dict[str, object] = {"recheck": 1, "removed": found.removed & ~REMOVED["source"]}
    if is_known:
        anew = [
            {"number": row.id}
            for row in known
            if row.source == orthanc or (row.source in present and row.state == states.INSTANCE_DEIDENTIFIED)
        ]
        _make_anew(connection, anew, found)
        values |= {"version": found.version + 1}
        values |= {"verified_version": found.version + 1} if found.arrived else {}  # by the door
        mark_superseded(connection, found.id)
    connection.execute(update(study).where(study.c.id == found.id).values(**values))
    return is_known


def _make_anew(connection: Connection, anew: list[dict[str, int]], found: Study) -> None:
    values: dict[str, object] = {"version": found.version + 1, "reason": None}
    if found.arrived:  # the door has made them, under the same ids
        values |= {"state": states.INSTANCE_DEIDENTIFIED, "output": instance.c.source}
    else:
        values |= {"state": states.INSTANCE_RECEIVED, "output": None}
    connection.execute(update(instance).where(instance.c.id == bindparam("number")).values(**values), anew)


def _one(connection: Connection, query: Select[tuple[object, ...]]) -> Contested:
    row = connection.execute(query).first()
    if row is None:
        raise NotFound("no conflict of that number is known")
    return _contested(row)


def _contested(row: Row[tuple[object, ...]]) -> Contested:
    return Contested(**row._mapping)  # noqa: SLF001  # SQLAlchemy's API
