"""The ledger, read: studies and their instances.

One study of Orthanc may be in several projects: its row of the first one has Orthanc's id, a row of a further project
an id of our own, its address, and the id of the study that it is made of in `copy_of`.
"""

import hashlib
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, Row, Select, func, or_, select

from .. import states
from ..errors import Conflict, NotFound, Stale
from .tables import delivery, instance, study

FORGOTTEN = "its patient was erased by request, or its project sealed: nothing more is done with it"


@dataclass(frozen=True)
class Study:
    """One row of the ledger: a study in one project.

    `source` is the Orthanc id of what it is made of, `address` what it is called in routes and commands: the same id,
    but for the row of a further project.
    """

    id: int
    address: str
    source: str
    output: str | None
    project: str
    status: str
    reason: str | None
    version: int
    verified_version: int
    run: int
    attempt: int
    next_attempt_at: float | None
    last_update: str | None
    recheck: int
    created_at: float
    updated_at: float
    done_at: float | None
    removed: int
    origin: str | None
    hold: int
    profile: str | None
    profile_version: str | None
    profile_digest: str | None
    forgotten: int

    @property
    def arrived(self) -> bool:
        """Tell whether its instances were de-identified and searched before Orthanc stored them."""
        return self.output == self.source

    @property
    def is_further(self) -> bool:
        """Tell whether this is its source's row of a further project."""
        return self.address != self.source


@dataclass(frozen=True)
class Instance:
    """One instance of a study."""

    id: int
    source: str
    output: str | None
    version: int
    state: str
    reason: str | None


class Studies:
    """Reads studies and their instances; every method is one look."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def get(self, study_id: int) -> Study:
        """Return one study by our number, or raise NotFound."""
        with self.engine.connect() as connection:
            found = study_of(connection, select(study).where(study.c.id == study_id))
        if found is None:
            raise NotFound(f"study {study_id} is not in the ledger")
        return found

    def find(self, address: str) -> Study | None:
        """Return the study with that address, if it is known: for an Orthanc id its row of the first project."""
        with self.engine.connect() as connection:
            return study_of(connection, select(study).where(study.c.source == address))

    def further(self, source: str) -> list[Study]:
        """Return the rows of further projects of a study of Orthanc."""
        query = select(study).where(study.c.copy_of == source).order_by(study.c.id)
        with self.engine.connect() as connection:
            return [study_from(row) for row in connection.execute(query)]

    def of_source(self, source: str) -> list[Study]:
        """Return all rows of a study of Orthanc: that of the first project, then those of further ones."""
        query = select(study).where(is_of_source(source)).order_by(study.c.copy_of.is_not(None), study.c.id)
        with self.engine.connect() as connection:
            return [study_from(row) for row in connection.execute(query)]

    def is_output(self, orthanc_id: str) -> bool:
        """Tell whether a study in Orthanc is one that the pipeline made of another."""
        query = select(study.c.id).where(study.c.output == orthanc_id, study.c.source != orthanc_id).limit(1)
        with self.engine.connect() as connection:
            return connection.scalar(query) is not None

    def of_output(self, output: str) -> Study | None:
        """Return the study that was de-identified into that study of Orthanc."""
        with self.engine.connect() as connection:
            return study_of(connection, select(study).where(study.c.output == output).limit(1))

    def guard(self, study_id: int, run: int) -> Study:
        """Return the study while this run is the current one and at work; raise Stale otherwise."""
        found = self.get(study_id)
        if found.run != run or found.status not in states.ACTIVE:
            raise Stale(f"study {study_id}: run {run} is over")
        return found

    def guard_in(self, connection: Connection, study_id: int, run: int) -> None:
        """Raise Stale where a run is not the current one any more, by another's transaction, or is not at work."""
        row = connection.execute(select(study.c.run, study.c.status).where(study.c.id == study_id)).first()
        if row is None or row.run != run or row.status not in states.ACTIVE:
            raise Stale(f"study {study_id}: run {run} is over")

    def instances(self, study_id: int, *, state: str | None = None, version: int | None = None) -> list[Instance]:
        """Return instances in the order of their arrival."""
        query = select(instance).where(instance.c.study_id == study_id).order_by(instance.c.id)
        if state is not None:
            query = query.where(instance.c.state == state)
        if version is not None:
            query = query.where(instance.c.version == version)
        with self.engine.connect() as connection:
            rows = connection.execute(query).all()
        return [Instance(r.id, r.source, r.output, r.version, r.state, r.reason) for r in rows]

    def sources(self, numbers: Collection[int]) -> dict[int, str]:
        """Map our numbers of studies to the Orthanc ids of their sources."""
        source = func.coalesce(study.c.copy_of, study.c.source).label("source")  # an address is no id of Orthanc's
        query = select(study.c.id, source).where(study.c.id.in_(list(numbers)))
        with self.engine.connect() as connection:
            return {row.id: row.source for row in connection.execute(query)}

    def in_states(self, wanted: Iterable[str], *, updated_before: float | None = None) -> list[Study]:
        """Return the studies in any of the states, oldest change first."""
        query = select(study).where(study.c.status.in_(list(wanted))).order_by(study.c.updated_at)
        if updated_before is not None:
            query = query.where(study.c.updated_at < updated_before)
        with self.engine.connect() as connection:
            return [study_from(row) for row in connection.execute(query)]

    def made(self, after: int, limit: int) -> list[Study]:
        """Return studies of which something is de-identified, by their number, from the one behind `after` on."""
        stored = select(instance.c.id).where(
            instance.c.study_id == study.c.id, instance.c.state == states.INSTANCE_DEIDENTIFIED
        )
        query = select(study).where(study.c.id > after, stored.exists()).order_by(study.c.id).limit(limit)
        with self.engine.connect() as connection:
            return [study_from(row) for row in connection.execute(query)]

    def is_begun(self, study_id: int) -> bool:
        """Tell whether a run was started for the newest version, so that its deliveries are expected."""
        found = self.get(study_id)
        with self.engine.connect() as connection:
            return is_begun_version(connection, found)

    def to_recheck(self) -> list[Study]:
        """Return the studies to which something was added while they were at work, now at rest."""
        query = select(study).where(study.c.recheck == 1, study.c.status.not_in(list(states.ACTIVE)))
        with self.engine.connect() as connection:
            return [study_from(row) for row in connection.execute(query)]

    def last_updates(self, sources: Sequence[str]) -> dict[str, str | None]:
        """Map those of the Orthanc ids that are known to the LastUpdate that was seen; outputs included, as ''.

        None: not every row of a study has seen the same.
        """
        of = func.coalesce(study.c.copy_of, study.c.source).label("of")
        seen = func.coalesce(study.c.last_update, "")
        with self.engine.connect() as connection:
            known = connection.execute(
                select(of, func.min(seen).label("first"), func.max(seen).label("last"))
                .where(or_(study.c.source.in_(sources), study.c.copy_of.in_(sources)))
                .group_by(of)
            ).all()
            made = select(study.c.output).where(study.c.output.in_(sources), study.c.output != study.c.source)
            ours = connection.scalars(made).all()
        same = {row.of: row.first if row.first and row.first == row.last else None for row in known}
        return same | {output: "" for output in ours if output}

    def verified_outputs(self, output: str) -> set[str]:
        """Return the instances of an output study that were searched and are clean."""
        query = (
            select(instance.c.output)
            .join(study, study.c.id == instance.c.study_id)
            .where(study.c.output == output, instance.c.version <= study.c.verified_version)
        )
        with self.engine.connect() as connection:
            return {found for found in connection.scalars(query) if found}

    def counts(self) -> dict[str, int]:
        """Count the studies in each state that occurs."""
        with self.engine.connect() as connection:
            rows = connection.execute(select(study.c.status, func.count()).group_by(study.c.status)).all()
        return {row[0]: row[1] for row in rows}


@contextmanager
def locked(engine: Engine, study_id: int) -> Iterator[tuple[Connection, Study]]:
    """Begin a transaction that holds one study's row; raise NotFound where there is none."""
    with engine.begin() as connection:
        found = study_of(connection, select(study).where(study.c.id == study_id).with_for_update())
        if found is None:
            raise NotFound(f"study {study_id} is not in the ledger")
        yield connection, found


def study_of(connection: Connection, query: Select[tuple[object, ...]]) -> Study | None:
    """Return the first study that a query finds."""
    row: Row[tuple[object, ...]] | None = connection.execute(query).first()
    return None if row is None else study_from(row)


def study_from(row: Row[tuple[object, ...]]) -> Study:
    """Make a study of a row of its table."""
    values: dict[str, Any] = dict(row._mapping)  # noqa: SLF001  # SQLAlchemy's API
    address, copy_of = values.pop("source"), values.pop("copy_of")
    return Study(**values, address=address, source=copy_of or address)


def is_of_source(source: str) -> ColumnElement[bool]:
    """Answer the condition on the rows of one study of Orthanc, of all projects."""
    return or_(study.c.source == source, study.c.copy_of == source)


def address_of(source: str, project: str) -> str:
    """Return the id of a study's row of a further project, in the form of Orthanc's ids."""
    digest = hashlib.sha1(f"{source}|{project}".encode(), usedforsecurity=False).hexdigest()
    return "-".join(digest[i : i + 8] for i in range(0, 40, 8))


def demand_remembered(found: Study) -> None:
    """Raise Conflict where a study is not to be touched any more."""
    if found.forgotten:
        raise Conflict(FORGOTTEN)


def is_begun_version(connection: Connection, found: Study) -> bool:
    """Tell whether the newest version was started; what was de-identified on arrival is verified before that."""
    if not found.arrived or found.status == states.DONE:
        return True
    mine = (delivery.c.study_id == found.id, delivery.c.version >= found.version)
    return connection.scalar(select(delivery.c.id).where(*mine).limit(1)) is not None
