"""The crosswalk, written: who a pseudonym is, in one project; the only place where identities are kept, encrypted.

A row is found by keyed digests and opened by a key that neither the database nor the project's key alone makes.
"""

import hmac
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, TypedDict

from sqlalchemy import Connection, Engine, Row, bindparam, select, text
from sqlalchemy.dialects import postgresql, sqlite

from ..errors import ConfigurationError, Rejected
from ..keyring import GONE, Keyring
from . import ONLY_READS
from .crosswalk_patients import ORIGINAL, REFUSED, TAKEN, insert_patient, known_of, next_patient
from .crosswalk_place import (
    KINDS,
    MOST_ALIASES,
    Identity,
    Known,
    Mapped,
    Place,
    Still,
    alias_context,
    at_any_time,
    folded,
    follow,
    key_check,
    newest_generation,
)
from .crosswalk_tables import PATIENT, STUDY, crosswalk, crosswalk_project
from .crosswalk_values import IMPORTED, by_original, note_values

__all__ = [
    "ALONE",
    "COUNTING",
    "KINDS",
    "MOST_ALIASES",
    "NAMING",
    "NOTING",
    "TAKEN",
    "Crosswalk",
    "Identity",
    "Known",
    "Lock",
    "Mapped",
    "Place",
    "Still",
    "alias_context",
    "at_any_time",
    "follow",
    "key_check",
]  # fmt: skip

ANOTHER_KEY = (
    "the key of project {0} is another one than that of its crosswalk: bring the master key and project-{0} of the"
    " folder of keys back from a backup"
)
SEALED = "project {} is sealed: its key was destroyed"
GONE_PATIENT = "the patient was forgotten meanwhile"
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


class Crosswalk:
    """Patients and their pseudonyms; every method is one transaction, and one that only reads waits for no writer."""

    def __init__(self, engine: Engine, keyring: Keyring) -> None:
        self.engine = engine
        self.keyring = keyring
        self._reader = engine.execution_options(**{ONLY_READS: True})

    def patient(self, project: str, identity: Identity) -> Known | None:
        """Return what is known of a patient; None where he has no pseudonym yet. A former identity finds him too."""
        with self.reading(project) as opened:
            return known_of(*opened, identity) if opened else None

    def present(self, project: str, identity: Identity) -> Identity:
        """Return who a patient is after all aliases."""
        with self.reading(project) as opened:
            return follow(*opened, identity) if opened else identity

    def assign(self, project: str, known: Known, source: str = "", still: Still = at_any_time) -> Known:
        """Give a patient a pseudonym; answer what he has where he has one already. `source`: of which kind it comes.

        `still` is asked in the transaction that writes, and raises where nothing may be written any more.

        Raises
        ------
        Rejected
            It is another patient's in this project.
        """
        found = self.patient(project, known.identity)
        if found:
            return found
        with self.writing(project, NAMING) as (connection, place):
            still(connection)
            present = follow(connection, place, known.identity)
            # First the insert: who has given him one meanwhile has locked nothing that could be looked at before.
            known = replace(known, identity=present)
            found = insert_patient(connection, place, known, source) or known_of(connection, place, present)
        if found is None:
            raise Rejected(REFUSED)
        return found

    def count(
        self, project: str, identity: Identity, pseudonym: Callable[[int], Known], still: Still = at_any_time
    ) -> Known:
        """Give a patient the pseudonym of the next number, from 1, without a gap; what he has stays.

        A number whose pseudonym a list has given to somebody, or that is the patient's own PatientID, is left out.
        `still`: as of `assign`.
        """
        found = self.patient(project, identity)
        if found:
            return found
        with self.writing(project, COUNTING) as (connection, place):
            still(connection)
            present = follow(connection, place, identity)
            own = {folded(each.patient_id) for each in (identity, present)}
            return known_of(connection, place, present) or next_patient(connection, place, present, pseudonym, own)

    def has(self, project: str, kind: int, original: str) -> bool:
        """Tell whether a value of a source was noted."""
        with self.reading(project) as opened:
            if opened is None:
                return False
            connection, place = opened
            asked = {"project": place.number, "its_kind": kind, "digest": place.original(kind, original)}
            return connection.execute(ORIGINAL, asked).first() is not None

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
            for row in _studies(connection, place, patient.id, source=source, output=output):
                _, _, more = (*place.open(row), {})[:3]
                if IMPORTED not in more:
                    return more.get("subject") or place.known(patient).subject, more.get("session", "")
        return None

    def note(self, project: str, known: Known, mapped: Iterable[Mapped], still: Still = at_any_time) -> None:
        """Note what values of a patient's study became; what is noted already stays. `still`: as of `assign`.

        Raises
        ------
        Rejected
            He was forgotten meanwhile: his row is not there, or is another's by now.
        """
        wanted = list(mapped)
        if not wanted:
            return
        with self.writing(project) as (connection, place):
            still(connection)
            digest = place.original(PATIENT, known.identity.normal)
            asked = {"project": place.number, "its_kind": PATIENT, "digest": digest}
            if connection.scalar(ORIGINAL, asked) != known.row:
                raise Rejected(GONE_PATIENT)
            note_values(connection, place, known.row, wanted)

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


def _studies(
    connection: Connection, place: Place, patient: int, *, source: str | None, output: str | None
) -> Iterable[Row[Any]]:
    if output is None:
        return [row for _, row in by_original(connection, place, STUDY, [source or ""], patient)]
    mine = (crosswalk.c.project_id == place.number, crosswalk.c.kind == STUDY, crosswalk.c.patient_id == patient)
    return connection.execute(select(crosswalk).where(*mine, crosswalk.c.replaced == place.replaced(STUDY, output)))


def _make(connection: Connection, name: str, check: bytes) -> None:
    values = {"name": name, "key_check": check, "last_number": 0}
    dialect = {"sqlite": sqlite, "postgresql": postgresql}[connection.dialect.name]
    connection.execute(dialect.insert(crosswalk_project).values(**values).on_conflict_do_nothing())
