"""The crosswalk, read for people: who is who in a project, its mappings a page at a time, its counts."""

import hmac
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, Row, func, select

from ..errors import ConfigurationError, Conflict, NotFound
from ..keyring import Keyring
from . import ONLY_READS
from .crosswalk import ANOTHER_KEY, KINDS, Identity, Known, Place, alias_context, follow, key_check
from .crosswalk_place import folded
from .crosswalk_tables import INSTANCE, PATIENT, SERIES, STUDY, crosswalk, crosswalk_alias, crosswalk_project
from .crosswalk_values import by_original

PAGE = 2000  # rows that are in memory at once
_AT_ONCE = 500  # digests in one question
UIDS, PATIENTS = (STUDY, SERIES, INSTANCE), (PATIENT,)  # kinds of the two mappings
NAMES = {number: name for name, number in KINDS.items()}


@dataclass(frozen=True, repr=False)
class Question:
    """Who or what some values are. `issuer`: of PatientIDs; None: of any, for which each patient is opened."""

    values: Sequence[str]
    original: bool  # the values are the source's; else those of outputs
    kinds: Sequence[int]
    issuer: str | None = None


@dataclass(frozen=True, repr=False)
class Match:
    """What one value was found to be: `original` in the source, `replaced` in the output."""

    value: str
    kind: int
    project: str
    original: str
    replaced: str
    patient: Known | None  # whose it is


@dataclass(frozen=True)
class ProjectStatus:
    """One project; `key`: here, missing, another, sealed. `counts` by the name of the kind, and of aliases."""

    name: str
    sealed_at: float | None
    key: str
    counts: Mapping[str, int]


class CrosswalkViews:
    """Reads alone: it makes no project and no key."""

    def __init__(self, engine: Engine, keyring: Keyring) -> None:
        self.engine, self.keyring = engine, keyring

    def readable(self) -> tuple[list[str], list[str]]:
        """Return the projects whose key is here, and those that cannot be read, sealed ones left out."""
        told = [(each.name, _key_of(self.keyring, each)) for each in self._projects()]
        return [n for n, key in told if key == "here"], [n for n, key in told if key in ("missing", "another")]

    def status(self) -> list[ProjectStatus]:
        """Count what each project holds."""
        with reading(self.engine) as connection:
            query = select(crosswalk.c.project_id, crosswalk.c.kind, func.count())
            counted = connection.execute(query.group_by(crosswalk.c.project_id, crosswalk.c.kind)).all()
            query = select(crosswalk_alias.c.project_id, func.count())
            rows = connection.execute(query.group_by(crosswalk_alias.c.project_id)).all()
        formers = {row[0]: row[1] for row in rows}
        found = []
        for row in self._projects():
            counts = {NAMES[kind]: count for number, kind, count in counted if number == row.id}
            counts = {name: counts.get(name, 0) for name in KINDS} | {"alias": formers.get(row.id, 0)}
            found.append(ProjectStatus(row.name, row.sealed_at, _key_of(self.keyring, row), counts))
        return found

    def lookup(self, project: str, question: Question) -> list[Match]:
        """Return what is noted of values in one project, in their order.

        Raises
        ------
        NotFound, Conflict, ConfigurationError
            The project has no crosswalk, is sealed, or its key is not here.
        """
        with reading(self.engine) as connection:
            place = place_of(connection, self.keyring, project)
            found = [m for kind in question.kinds for m in _of_kind(connection, place, project, question, kind)]
        order = {value: number for number, value in enumerate(question.values)}
        return sorted(found, key=lambda match: order[match.value])

    def page(self, project: str, kinds: Sequence[int], after: int, limit: int) -> tuple[int, int]:
        """Count the rows of the next part of a mapping, and return the last one's number."""
        with reading(self.engine) as connection:
            place = place_of(connection, self.keyring, project)
            rows = select(crosswalk.c.id).where(*_mapping(place, kinds, after)).order_by(crosswalk.c.id).limit(limit)
            count, last = connection.execute(select(func.count(), func.max(rows.subquery().c.id))).one()
        return count, last or after

    def pairs(self, project: str, kinds: Sequence[int], after: int, last: int) -> Iterator[tuple[str, str]]:
        """Yield (original, replaced) of the rows behind `after`, up to `last`; PAGE of them are in memory."""
        while after < last:
            with reading(self.engine) as connection:
                place = place_of(connection, self.keyring, project)
                query = select(crosswalk).where(*_mapping(place, kinds, after), crosswalk.c.id <= last)
                rows = connection.execute(query.order_by(crosswalk.c.id).limit(PAGE)).all()
            for row in rows:
                yield _pair(place, row)
            after = rows[-1].id if rows else last

    def _projects(self) -> Sequence[Row[Any]]:
        with reading(self.engine) as connection:
            return connection.execute(select(crosswalk_project).order_by(crosswalk_project.c.name)).all()


def reading(engine: Engine) -> AbstractContextManager[Connection]:
    """Begin a transaction that waits for no writer."""
    return engine.execution_options(**{ONLY_READS: True}).begin()


def place_of(connection: Connection, keyring: Keyring, project: str) -> Place:
    """Return the keys of a project that is there.

    Raises
    ------
    NotFound
        Nothing was ever noted for it.
    Conflict
        It is sealed.
    ConfigurationError
        Its key is missing or another one.
    """
    row = connection.execute(select(crosswalk_project).where(crosswalk_project.c.name == project)).first()
    if row is None:
        raise NotFound("the crosswalk holds no project of that name")
    match _key_of(keyring, row):
        case "sealed":
            raise Conflict(f"project {project} is sealed: nobody can tell any more who is who")
        case "here":
            return Place(keyring, project, row.id)
    raise ConfigurationError(ANOTHER_KEY.format(project))


def find_patients(connection: Connection, place: Place, patient_id: str, issuer: str | None) -> list[Known]:
    """Return who has a PatientID, and who that is after all aliases; of any issuer where that is None."""
    if issuer is not None:
        return patients_of(connection, place, [Identity(issuer, patient_id)])
    wanted = folded(patient_id)
    identities = [known.identity for known in _patients(connection, place) if _is(known.identity, wanted)]
    identities += [former for former, _ in aliases(connection, place).values() if _is(former, wanted)]
    return patients_of(connection, place, identities)


def patients_of(connection: Connection, place: Place, identities: Iterable[Identity]) -> list[Known]:
    """Return what is known under identities, and under those that they have become."""
    wanted = [each for identity in identities for each in (identity, follow(connection, place, identity))]
    digests = {place.original(PATIENT, identity.normal): None for identity in wanted}
    return [place.known(row) for row in _rows(connection, place, PATIENT, crosswalk.c.original, list(digests))]


def aliases(connection: Connection, place: Place) -> dict[int, tuple[Identity, Identity]]:
    """Map the number of each alias of a project to former and present identity."""
    found = {}
    query = select(crosswalk_alias).where(crosswalk_alias.c.project_id == place.number)
    for row in connection.execute(query):
        value = place.cipher(row.generation).open(row.sealed, alias_context(place, row.original))
        found[row.id] = (Identity(*value["former"]), Identity(*value["present"]))
    return found


def _of_kind(connection: Connection, place: Place, project: str, question: Question, kind: int) -> Iterator[Match]:
    if kind == PATIENT and question.original:
        for value in question.values:
            for known in find_patients(connection, place, value, question.issuer):
                yield Match(value, kind, project, known.identity.patient_id, known.pseudonym, known)
        return
    if question.original:
        rows = list(by_original(connection, place, kind, question.values))
    else:
        asked = {place.replaced(kind, value): value for value in question.values}
        found = _rows(connection, place, kind, crosswalk.c.replaced, list(asked))
        rows = [(asked[row.replaced], row) for row in found]
    patients = _known(connection, place, {row.patient_id for _, row in rows if row.patient_id})
    for value, row in rows:
        whose = place.known(row) if kind == PATIENT else patients.get(row.patient_id)
        yield Match(value, kind, project, *_pair(place, row), whose)


def _rows(
    connection: Connection, place: Place, kind: int, column: ColumnElement[bytes], digests: Sequence[bytes]
) -> list[Row[Any]]:
    found: list[Row[Any]] = []
    for part in _parts(digests):
        which = (crosswalk.c.project_id == place.number, crosswalk.c.kind == kind, column.in_(part))
        found += connection.execute(select(crosswalk).where(*which).order_by(crosswalk.c.id)).all()
    return found


def _known(connection: Connection, place: Place, numbers: Iterable[int]) -> dict[int, Known]:
    found: dict[int, Known] = {}
    for part in _parts(sorted(numbers)):
        rows = connection.execute(select(crosswalk).where(crosswalk.c.id.in_(part))).all()
        found |= {row.id: place.known(row) for row in rows}
    return found


def _patients(connection: Connection, place: Place) -> Iterator[Known]:
    after = 0
    which = (crosswalk.c.project_id == place.number, crosswalk.c.kind == PATIENT)
    query = select(crosswalk).where(*which).order_by(crosswalk.c.id).limit(PAGE)
    while rows := connection.execute(query.where(crosswalk.c.id > after)).all():
        yield from (place.known(row) for row in rows)
        after = rows[-1].id


def _is(identity: Identity, wanted: str) -> bool:
    return folded(identity.patient_id) == wanted


def _parts(items: Sequence[Any]) -> Iterator[Sequence[Any]]:
    return (items[k : k + _AT_ONCE] for k in range(0, len(items), _AT_ONCE))


def _mapping(place: Place, kinds: Sequence[int], after: int) -> tuple[ColumnElement[bool], ...]:
    return crosswalk.c.project_id == place.number, crosswalk.c.kind.in_(kinds), crosswalk.c.id > after


def _pair(place: Place, row: Row[Any]) -> tuple[str, str]:
    if row.kind == PATIENT:
        known = place.known(row)
        return known.identity.patient_id, known.pseudonym
    value = place.open(row)
    return str(value[0]), str(value[1])


def _key_of(keyring: Keyring, row: Row[Any]) -> str:
    """Tell of the key of a project: here, missing, another, sealed; without making one."""
    if row.sealed_at is not None or keyring.is_sealed(row.name):
        return "sealed"
    if not keyring.has(row.name):
        return "missing"
    return "here" if hmac.compare_digest(row.key_check, key_check(keyring.project(row.name))) else "another"
