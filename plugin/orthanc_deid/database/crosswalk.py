"""The crosswalk, written: who a pseudonym is, in one project; the only place where identities are kept, encrypted.

A row is found by keyed digests and opened by a key that neither the database nor the project's key alone makes.
"""

import hmac
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Connection, Engine, Row, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError

from ..errors import ConfigurationError, Rejected
from ..keyring import Keyring
from ..sealed import Cipher
from .crosswalk_tables import ACCESSION, INSTANCE, PATIENT, SERIES, STUDY, crosswalk, crosswalk_alias, crosswalk_project

KINDS = {"patient": PATIENT, "study": STUDY, "series": SERIES, "instance": INSTANCE, "accession": ACCESSION}
ANOTHER_KEY = (
    "the key of project {} is another one than that of its crosswalk: bring keys/project-{} back from a backup"
)
TAKEN = "the pseudonym is another patient's in this project"
MOST_ALIASES = 8
_DIGEST = 16


@dataclass(frozen=True, repr=False)
class Identity:
    """A patient as sources call him: IssuerOfPatientID and PatientID, compared without case and outer blanks."""

    issuer: str
    patient_id: str

    @property
    def normal(self) -> str:
        """The text that is compared."""
        return f"{self.issuer.strip().casefold()}\x00{self.patient_id.strip().casefold()}"


@dataclass(frozen=True, repr=False)
class Known:
    """What the crosswalk holds of a patient: row, who he is after all aliases, what he is called."""

    row: int
    identity: Identity
    pseudonym: str
    offset_days: int | None = None  # None: derived from the project's key
    subject: str = ""


@dataclass(frozen=True, repr=False)
class Mapped:
    """What a value of the source has become; `more` is kept with it: a session's label."""

    kind: int
    original: str
    replaced: str
    more: Mapping[str, str] | None = None


class Crosswalk:
    """Patients and their pseudonyms; every method is one transaction."""

    def __init__(self, engine: Engine, keyring: Keyring) -> None:
        self.engine = engine
        self.keyring = keyring

    def patient(self, project: str, identity: Identity) -> Known | None:
        """Return what is known of a patient; None where he has no pseudonym yet. A former identity finds him too."""
        with self._project(project) as (connection, number):
            place = Place(self.keyring, project, number)
            return self._known(connection, place, identity)

    def assign(self, project: str, known: Known) -> Known:
        """Give a patient a pseudonym; answer what he has where he has one already.

        Raises
        ------
        Rejected
            It is another patient's in this project.
        """
        return self._assign(project, known.identity, lambda _number: known)

    def count(self, project: str, identity: Identity, pseudonym: Callable[[int], Known]) -> Known:
        """Give a patient the pseudonym of the next number, from 1, without a gap; what he has stays."""
        return self._assign(project, identity, pseudonym, counts=True)

    def has(self, project: str, kind: int, original: str) -> bool:
        """Tell whether a value of a source was noted."""
        with self._project(project) as (connection, number):
            digest = Place(self.keyring, project, number).original(kind, original)
            query = select(crosswalk.c.id).where(
                crosswalk.c.project_id == number, crosswalk.c.kind == kind, crosswalk.c.original == digest
            )
            return connection.scalar(query.limit(1)) is not None

    def labels(
        self, project: str, pseudonym: str, *, source: str | None = None, output: str | None = None
    ) -> tuple[str, str] | None:
        """Return the labels of subject and session that were given to a study of a patient; empty where none was.

        The study is found by the StudyInstanceUID of source or output; None: it was not noted.
        """
        with self._project(project) as (connection, number):
            place = Place(self.keyring, project, number)
            mine = (crosswalk.c.project_id == number) & (crosswalk.c.kind == PATIENT)
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
                    crosswalk.c.project_id == number, crosswalk.c.kind == STUDY, is_it,
                    crosswalk.c.patient_id == patient.id,
                )
            ).first()  # fmt: skip
            if study is None:
                return None
            _, _, more = (*place.open(study), {})[:3]
            return more.get("subject") or place.known(patient).subject, more.get("session", "")

    def note(self, project: str, patient: int, mapped: Iterable[Mapped]) -> None:
        """Note what values of a patient's study became; what is noted already stays."""
        with self._project(project) as (connection, number):
            place = Place(self.keyring, project, number)
            rows = [place.row(patient, each) for each in mapped]
            if rows:
                upsert = {"sqlite": sqlite, "postgresql": postgresql}[self.engine.dialect.name].insert(crosswalk)
                connection.execute(upsert.on_conflict_do_nothing(), rows)

    @contextmanager
    def _project(self, name: str) -> Iterator[tuple[Connection, int]]:
        """Begin a transaction of a project; refuse a key that is not the one it was begun with."""
        check = key_check(self.keyring.project(name))
        query = select(crosswalk_project).where(crosswalk_project.c.name == name)
        with self.engine.begin() as connection:
            row = connection.execute(query).first()
            if row is None:
                _make(connection, name, check)
                row = connection.execute(query).one()
            if row.sealed_at is not None:
                raise ConfigurationError(f"project {name} is sealed: its key was destroyed")
            if not hmac.compare_digest(row.key_check, check):
                raise ConfigurationError(ANOTHER_KEY.format(name, name))
            yield connection, row.id

    def _known(self, connection: Connection, place: "Place", identity: Identity) -> Known | None:
        identity = follow(connection, place, identity)
        query = select(crosswalk).where(
            crosswalk.c.project_id == place.number, crosswalk.c.kind == PATIENT,
            crosswalk.c.original == place.original(PATIENT, identity.normal),
        )  # fmt: skip
        row = connection.execute(query).first()
        return None if row is None else place.known(row)

    def _assign(self, project: str, identity: Identity, make: Callable[[int], Known], *, counts: bool = False) -> Known:
        with self._project(project) as (connection, number):
            place = Place(self.keyring, project, number)
            # Locked, so that one patient gets one number and numbers have no gap.
            last = connection.scalar(
                select(crosswalk_project.c.last_number).where(crosswalk_project.c.id == number).with_for_update()
            )
            found = self._known(connection, place, identity)
            if found:
                return found
            next_number = int(last or 0) + 1
            known = make(next_number)
            row = place.patient_row(known, follow(connection, place, known.identity))
            try:
                with connection.begin_nested():
                    connection.execute(insert(crosswalk).values(**row))
            except IntegrityError:
                raise Rejected(TAKEN) from None
            if counts:
                connection.execute(
                    update(crosswalk_project).where(crosswalk_project.c.id == number).values(last_number=next_number)
                )
            found = self._known(connection, place, identity)
            assert found  # noqa: S101  # inserted by this transaction
            return found


class Place:
    """One project's keys: makes digests, closes and opens rows."""

    def __init__(self, keyring: Keyring, project: str, number: int) -> None:
        self.number = number
        self._keyring, self._project = keyring, project
        self._digest_key = keyring.project(project)
        self._ciphers: dict[int, Cipher] = {}

    def original(self, kind: int, text: str) -> bytes:
        """Return the digest of what the source says."""
        return self._digest("original", kind, text)

    def replaced(self, kind: int, text: str) -> bytes:
        """Return the digest of what the output says; pseudonyms are compared without case."""
        return self._digest("replaced", kind, text.casefold())

    def row(self, patient: int, mapped: Mapped) -> dict[str, Any]:
        """Return the columns of a mapping."""
        original = self.original(mapped.kind, mapped.original)
        replaced = self.replaced(mapped.kind, mapped.replaced)
        value = [mapped.original, mapped.replaced, *([dict(mapped.more)] if mapped.more else [])]
        return self._closed(mapped.kind, patient, original, replaced, value)

    def patient_row(self, known: Known, identity: Identity) -> dict[str, Any]:
        """Return the columns of a patient."""
        original = self.original(PATIENT, identity.normal)
        replaced = self.replaced(PATIENT, known.pseudonym)
        value = asdict(known) | {"identity": [identity.issuer, identity.patient_id]}
        del value["row"]
        return self._closed(PATIENT, None, original, replaced, value)

    def known(self, row: Row[Any]) -> Known:
        """Open a patient's row."""
        value = self.open(row)
        return Known(row.id, Identity(*value.pop("identity")), **value)

    def open(self, row: Row[Any]) -> Any:  # noqa: ANN401  # JSON
        """Return what a row holds; raise ConfigurationError where it was changed or moved."""
        context = self.context(row.kind, row.patient_id, row.original, row.replaced)
        return self.cipher(row.generation).open(row.sealed, context)

    def cipher(self, generation: int) -> Cipher:
        """Return the cipher of a generation."""
        if generation not in self._ciphers:
            self._ciphers[generation] = Cipher(self._keyring.crosswalk(self._project, generation))
        return self._ciphers[generation]

    def context(self, kind: int, patient: int | None, original: bytes, replaced: bytes) -> bytes:
        """Return what a text is bound to: it opens in its own row alone."""
        return f"{self._project}\x00{kind}\x00{patient or 0}\x00".encode() + original + replaced

    def _closed(
        self, kind: int, patient: int | None, original: bytes, replaced: bytes, value: object
    ) -> dict[str, Any]:
        generation = self._keyring.generations()[-1]
        sealed = self.cipher(generation).close(value, self.context(kind, patient, original, replaced))
        return {
            "project_id": self.number, "kind": kind, "patient_id": patient, "original": original,
            "replaced": replaced, "generation": generation, "sealed": sealed,
        }  # fmt: skip

    def _digest(self, side: str, kind: int, text: str) -> bytes:
        data = f"crosswalk\x00{side}\x00{kind}\x00{text.strip(chr(0) + ' ')}".encode("utf-8", "surrogateescape")
        return hmac.digest(self._digest_key, data, "sha256")[:_DIGEST]


def follow(connection: Connection, place: Place, identity: Identity) -> Identity:
    """Return who a patient is after all merges."""
    for _ in range(MOST_ALIASES):
        original = place.original(PATIENT, identity.normal)
        query = select(crosswalk_alias).where(
            crosswalk_alias.c.project_id == place.number, crosswalk_alias.c.original == original
        )
        row = connection.execute(query).first()
        if row is None:
            return identity
        identity = Identity(*place.cipher(row.generation).open(row.sealed, alias_context(place, original))["present"])
    raise Rejected("the patient's former identities go round in a circle")


def alias_context(place: Place, original: bytes) -> bytes:
    """Return what the text of an alias is bound to."""
    return place.context(-1, None, original, b"")


def key_check(key: bytes) -> bytes:
    """Return 16 bytes by which another key is told."""
    return hmac.digest(key, b"orthanc-deid\x00check", "sha256")[:_DIGEST]


def _make(connection: Connection, name: str, check: bytes) -> None:
    values = {"name": name, "key_check": check, "last_number": 0}
    dialect = {"sqlite": sqlite, "postgresql": postgresql}[connection.dialect.name]
    connection.execute(dialect.insert(crosswalk_project).values(**values).on_conflict_do_nothing())
