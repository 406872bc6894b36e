"""The crosswalk, written: who a pseudonym is, in one project; the only place where identities are kept, encrypted.

A row is found by keyed digests and opened by a key that neither the database nor the project's key alone makes.
"""

import hmac
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import count
from typing import Any, TypedDict

from sqlalchemy import Connection, Engine, Row, bindparam, select, text, update
from sqlalchemy.dialects import postgresql, sqlite

from ..errors import ConfigurationError, Rejected
from ..keyring import GONE, Keyring
from . import ONLY_READS
from .audit import record
from .crosswalk_place import (
    KINDS,
    MOST_ALIASES,
    Identity,
    Known,
    Mapped,
    Place,
    alias_context,
    follow,
    key_check,
    newest_generation,
)
from .crosswalk_tables import PATIENT, STUDY, crosswalk, crosswalk_project

__all__ = [
    "ALONE",
    "COUNTING",
    "KINDS",
    "MOST_ALIASES",
    "NAMING",
    "NOTING",
    "Crosswalk",
    "Identity",
    "Known",
    "Lock",
    "Mapped",
    "Place",
    "alias_context",
    "follow",
    "key_check",
]  # fmt: skip

ANOTHER_KEY = (
    "the key of project {0} is another one than that of its crosswalk: bring the master key and project-{0} of the"
    " folder of keys back from a backup"
)
SEALED = "project {} is sealed: its key was destroyed"
TAKEN = "the pseudonym is another patient's in this project"
WRITERS = 0x0DE1E  # PostgreSQL: advisory lock that all writers share, and a rotation takes alone at its end


class Lock(TypedDict, total=False):
    """Arguments of `with_for_update`."""

    read: bool
    key_share: bool


# How a writer locks its project's row. Who notes waits for nobody but who is alone; who names keeps away who joins two
# identities or seals; who counts keeps away all who name.
NOTING: Lock = {"read": True, "key_share": True}
NAMING: Lock = {"read": True}
COUNTING: Lock = {"key_share": True}
ALONE: Lock = {}

# Made once: to make a question takes as long as to have it answered.
_PROJECT = select(crosswalk_project).where(crosswalk_project.c.name == bindparam("project"))
_ORIGINAL = (
    select(crosswalk)
    .where(
        crosswalk.c.project_id == bindparam("project"), crosswalk.c.kind == bindparam("its_kind"),
        crosswalk.c.original == bindparam("digest"),
    )
    .limit(1)
)  # fmt: skip
_UPSERT = {
    "sqlite": sqlite.insert(crosswalk).on_conflict_do_nothing(),
    "postgresql": postgresql.insert(crosswalk).on_conflict_do_nothing(),
}


class Crosswalk:
    """Patients and their pseudonyms; every method is one transaction, and one that only reads waits for no writer."""

    def __init__(self, engine: Engine, keyring: Keyring) -> None:
        self.engine = engine
        self.keyring = keyring
        self._reader = engine.execution_options(**{ONLY_READS: True})

    def patient(self, project: str, identity: Identity) -> Known | None:
        """Return what is known of a patient; None where he has no pseudonym yet. A former identity finds him too."""
        with self.reading(project) as opened:
            return _known(*opened, identity) if opened else None

    def assign(self, project: str, known: Known, source: str = "") -> Known:
        """Give a patient a pseudonym; answer what he has where he has one already. `source`: of which kind it comes.

        Raises
        ------
        Rejected
            It is another patient's in this project.
        """
        found = self.patient(project, known.identity)
        if found:
            return found
        with self.writing(project, NAMING) as (connection, place):
            present = follow(connection, place, known.identity)
            # First the insert: who has given him one meanwhile has locked nothing that could be looked at before.
            known = replace(known, identity=present)
            found = _insert(connection, place, known, source) or _known(connection, place, present)
        if found is None:
            raise Rejected(TAKEN)
        return found

    def count(self, project: str, identity: Identity, pseudonym: Callable[[int], Known]) -> Known:
        """Give a patient the pseudonym of the next number, from 1, without a gap; what he has stays.

        A number whose pseudonym a list has given to somebody is left out.
        """
        found = self.patient(project, identity)
        if found:
            return found
        with self.writing(project, COUNTING) as (connection, place):
            present = follow(connection, place, identity)
            return _known(connection, place, present) or _next(connection, place, present, pseudonym)

    def has(self, project: str, kind: int, original: str) -> bool:
        """Tell whether a value of a source was noted."""
        with self.reading(project) as opened:
            if opened is None:
                return False
            connection, place = opened
            asked = {"project": place.number, "its_kind": kind, "digest": place.original(kind, original)}
            return connection.execute(_ORIGINAL, asked).first() is not None

    def labels(
        self, project: str, pseudonym: str, *, source: str | None = None, output: str | None = None
    ) -> tuple[str, str] | None:
        """Return the labels of subject and session that were given to a study of a patient; empty where none was.

        The study is found by the StudyInstanceUID of source or output; None: it was not noted.
        """
        with self.reading(project) as opened:
            if opened is None:
                return None
            connection, place = opened
            mine = (crosswalk.c.project_id == place.number) & (crosswalk.c.kind == PATIENT)
            patient = connection.execute(
                select(crosswalk).where(mine, crosswalk.c.replaced == place.replaced(PATIENT, pseudonym))
            ).first()
            if patient is None:
                return None
            is_it = (
                crosswalk.c.replaced == place.replaced(STUDY, output)
                if output is not None
                else crosswalk.c.original == place.original(STUDY, source or "")
            )
            study = connection.execute(
                select(crosswalk).where(
                    crosswalk.c.project_id == place.number, crosswalk.c.kind == STUDY, is_it,
                    crosswalk.c.patient_id == patient.id,
                )
            ).first()  # fmt: skip
            if study is None:
                return None
            _, _, more = (*place.open(study), {})[:3]
            return more.get("subject") or place.known(patient).subject, more.get("session", "")

    def note(self, project: str, patient: int, mapped: Iterable[Mapped]) -> None:
        """Note what values of a patient's study became; what is noted already stays."""
        wanted = list(mapped)
        if not wanted:
            return
        with self.writing(project) as (connection, place):
            # In one order, so that two who note the same study wait for each other and never in a circle.
            rows = sorted((place.row(patient, each) for each in wanted), key=lambda row: (row["kind"], row["original"]))
            connection.execute(_UPSERT[connection.dialect.name], rows)

    def key(self, project: str) -> bytes:
        """Return a project's key, compared with what the database knows of it; made where the project is new.

        Raises
        ------
        ConfigurationError
            It is sealed, gone, or another one.
        """
        with self.reading(project) as opened:
            if opened:
                return self.keyring.project(project)
        with self.writing(project):
            return self.keyring.project(project)

    @contextmanager
    def reading(self, project: str) -> Iterator[tuple[Connection, Place] | None]:
        """Begin a transaction that reads; None: nothing was ever written in this project.

        Raises
        ------
        ConfigurationError
            The project is sealed, or its key is gone or another one.
        """
        with self._reader.begin() as connection:
            row = _project(connection, project, None)
            yield (connection, _place(self.keyring, row)) if row else None

    @contextmanager
    def writing(self, project: str, lock: Lock = NOTING) -> Iterator[tuple[Connection, Place]]:
        """Begin a transaction that writes, with the project's row locked; the project's first makes its key.

        Raises
        ------
        ConfigurationError
            The project is sealed, or its key is gone or another one.
        """
        with self.engine.begin() as connection:
            if connection.dialect.name == "postgresql":
                # No key is retired before this transaction has ended; SQLite has one writer anyway.
                connection.execute(text(f"SELECT pg_advisory_xact_lock_shared({WRITERS})"))
            row = _project(connection, project, lock)
            if row is None:
                _make(connection, project, key_check(self.keyring.project(project)))
                row = _project(connection, project, lock)
                assert row is not None  # noqa: S101  # made above, by us or by another
            place = _place(self.keyring, row)
            place.generation = newest_generation(connection, self.keyring)
            yield connection, place


def demand_key(keyring: Keyring, row: Row[Any]) -> bytes:
    """Return the key of a project of the table; raise ConfigurationError where it is sealed, gone or another one."""
    if row.sealed_at is not None or keyring.is_sealed(row.name):
        raise ConfigurationError(SEALED.format(row.name))
    if not keyring.has(row.name):  # looked for first: else it would be made
        raise ConfigurationError(GONE.format(f"project-{row.name}"))
    key = keyring.project(row.name)
    if not hmac.compare_digest(bytes(row.key_check), key_check(key)):
        raise ConfigurationError(ANOTHER_KEY.format(row.name))
    return key


def _place(keyring: Keyring, row: Row[Any]) -> Place:
    return Place(keyring, row.name, row.id, key=demand_key(keyring, row))


def _project(connection: Connection, name: str, lock: Lock | None) -> Row[Any] | None:
    query = _PROJECT if lock is None else _PROJECT.with_for_update(**lock)
    return connection.execute(query, {"project": name}).first()


def _known(connection: Connection, place: Place, identity: Identity) -> Known | None:
    identity = follow(connection, place, identity)
    digest = place.original(PATIENT, identity.normal)
    row = connection.execute(_ORIGINAL, {"project": place.number, "its_kind": PATIENT, "digest": digest}).first()
    return None if row is None else place.known(row)


def _insert(connection: Connection, place: Place, known: Known, source: str) -> Known | None:
    """Write a patient's row, audited; None: he has one, or his pseudonym is another's."""
    query = _UPSERT[connection.dialect.name].returning(crosswalk.c.id)
    row = connection.scalar(query, place.patient_row(known, known.identity))
    if row is None:
        return None
    record(connection, "pseudonym", actor="system", project=place.project, source=source or None)
    return replace(known, row=row)


def _next(connection: Connection, place: Place, present: Identity, pseudonym: Callable[[int], Known]) -> Known:
    """Write a patient's row with the first number that is free, behind the last one."""
    mine = crosswalk_project.c.id == place.number
    last = connection.scalar(select(crosswalk_project.c.last_number).where(mine)) or 0
    before = ""
    for number in count(last + 1):
        wanted = pseudonym(number)
        if wanted.pseudonym == before:
            raise Rejected(TAKEN)
        found = _insert(connection, place, replace(wanted, identity=present), "sequence")
        if found:
            connection.execute(update(crosswalk_project).where(mine).values(last_number=number))
            return found
        before = wanted.pseudonym
    raise AssertionError  # count() has no end


def _make(connection: Connection, name: str, check: bytes) -> None:
    values = {"name": name, "key_check": check, "last_number": 0}
    dialect = {"sqlite": sqlite, "postgresql": postgresql}[connection.dialect.name]
    connection.execute(dialect.insert(crosswalk_project).values(**values).on_conflict_do_nothing())
