"""The ledger, read: studies and their instances."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy import Connection, Engine, Row, Select, func, select

from .. import states
from ..errors import NotFound, Stale
from .tables import delivery, instance, study


@dataclass(frozen=True)
class Study:
    """One row of the ledger."""

    id: int
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
    copy_of: str | None
    profile: str | None
    profile_version: str | None
    profile_digest: str | None
    forgotten: int

    @property
    def arrived(self) -> bool:
        """Tell whether its instances were de-identified and searched before Orthanc stored them."""
        return self.output == self.source


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

    def find(self, source: str) -> Study | None:
        """Return the study with that Orthanc id, if it is known."""
        with self.engine.connect() as connection:
            return study_of(connection, select(study).where(study.c.source == source))

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

    def in_states(self, wanted: Iterable[str], *, updated_before: float | None = None) -> list[Study]:
        """Return the studies in any of the states, oldest change first."""
        query = select(study).where(study.c.status.in_(list(wanted))).order_by(study.c.updated_at)
        if updated_before is not None:
            query = query.where(study.c.updated_at < updated_before)
        with self.engine.connect() as connection:
            return [Study(**row._mapping) for row in connection.execute(query)]  # noqa: SLF001  # SQLAlchemy's API

    def is_begun(self, study_id: int) -> bool:
        """Tell whether a run was started for the newest version, so that its deliveries are expected."""
        found = self.get(study_id)
        with self.engine.connect() as connection:
            return is_begun_version(connection, found)

    def to_recheck(self) -> list[Study]:
        """Return the studies to which something was added while they were at work, now at rest."""
        query = select(study).where(study.c.recheck == 1, study.c.status.not_in(list(states.ACTIVE)))
        with self.engine.connect() as connection:
            return [Study(**row._mapping) for row in connection.execute(query)]  # noqa: SLF001  # SQLAlchemy's API

    def last_updates(self, sources: Sequence[str]) -> dict[str, str | None]:
        """Map those of the Orthanc ids that are known to the LastUpdate that was seen; outputs included, as ''."""
        with self.engine.connect() as connection:
            known = connection.execute(
                select(study.c.source, study.c.last_update).where(study.c.source.in_(sources))
            ).all()
            made = select(study.c.output).where(study.c.output.in_(sources), study.c.output != study.c.source)
            ours = connection.scalars(made).all()
        return {row.source: row.last_update for row in known} | {output: "" for output in ours if output}

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
    return None if row is None else Study(**row._mapping)  # noqa: SLF001  # SQLAlchemy's API


def is_begun_version(connection: Connection, found: Study) -> bool:
    """Tell whether the newest version was started; what was de-identified on arrival is verified before that."""
    if not found.arrived or found.status == states.DONE:
        return True
    mine = (delivery.c.study_id == found.id, delivery.c.version >= found.version)
    return connection.scalar(select(delivery.c.id).where(*mine).limit(1)) is not None
