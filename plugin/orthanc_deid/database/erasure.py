"""Erasure: all that a project knows of a patient goes."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, delete, func, or_, select

from .. import states
from ..errors import Conflict, NotFound
from .audit import record
from .crosswalk import ALONE, Crosswalk, Identity, Known, Place
from .crosswalk_tables import PATIENT, SERIES, STUDY, crosswalk, crosswalk_alias
from .crosswalk_views import aliases, find_patients, patients_of, place_of, reading
from .intake_tables import batch_row, batch_study, manifest, origin
from .tables import study
from .ties import close_studies, overwrite, tidy

AT_WORK = "a study of this patient has begun at this moment: ask once more"
_AT_ONCE = 500


@dataclass(frozen=True, repr=False)
class Person:
    """One patient of a project: all that he is and was called there, and his studies.

    `studies`: StudyInstanceUID before and after, with the pseudonym that the output has.
    """

    project: str
    patients: Sequence[Known]
    identities: Sequence[Identity]
    aliases: Sequence[int]
    studies: Sequence[tuple[str, str, str]]
    series: Sequence[str]  # SeriesInstanceUIDs before


@dataclass(frozen=True, repr=False)
class Traces:
    """By what else he is found: Orthanc ids, and digests of his UIDs."""

    sources: Collection[str] = ()
    outputs: Collection[str] = ()
    studies: Collection[str] = ()  # digests in `origin` and `manifest`
    fetched: Collection[str] = ()  # digests in `batch_study`


@dataclass(frozen=True)
class Erased:
    """What was, or would be, erased: rows, and the numbers of the studies that are marked."""

    mappings: int
    aliases: int
    batch_rows: int
    studies: Sequence[int]


class Erasure:
    """Finds and erases patients; each method is one transaction."""

    def __init__(self, crosswalk: Crosswalk) -> None:
        self.engine = crosswalk.engine
        self._crosswalk = crosswalk

    def person(
        self, project: str, *, pseudonym: str = "", patient_id: str = "", issuer: str | None = None
    ) -> Person:  # fmt: skip
        """Find a patient by pseudonym or PatientID.

        Raises
        ------
        NotFound
            Nobody is called so in the project.
        Conflict
            Several are: of one PatientID, of several issuers.
        """
        with reading(self.engine) as connection:
            place = place_of(connection, self._crosswalk.keyring, project)
            if pseudonym:
                found = _by_pseudonym(connection, place, pseudonym)
            else:
                found = find_patients(connection, place, patient_id, issuer)
            return _person(connection, place, project, found)

    def rows(self, project: str, traces: Traces) -> list[Row[Any]]:
        """Return the ledger's rows of the project that are of a patient: id, status, version, verified_version, run."""
        with reading(self.engine) as connection:
            return _studies(connection, project, traces)

    def forget(self, person: Person, traces: Traces, actor: str, *, dry_run: bool = False, **detail: Any) -> Erased:  # noqa: ANN401
        """Erase all that is known of a patient in a project, and mark his studies; `detail` goes into the audit.

        Raises
        ------
        Conflict
            A study of his is at work, or a batch is fetching one.
        """
        with self._crosswalk.writing(person.project, ALONE) as (connection, place):
            overwrite(connection)
            if _person(connection, place, person.project, person.patients).studies != person.studies:
                raise Conflict(AT_WORK)
            found = _studies(connection, person.project, traces, lock=True)
            rows = [row.id for row in found if not row.forgotten]
            alone = not _is_in_others(connection, person.project, traces)
            batch_rows = _batch_rows(connection, traces) if alone else []
            counted = Erased(_count(connection, person), len(person.aliases), len(batch_rows), [r.id for r in found])
            if dry_run:
                return counted
            _demand_at_rest(found)
            close_studies(connection, rows, actor, "its patient was erased by request")
            _delete(connection, person)
            _delete_origins(connection, person.project, traces, found)
            if alone:
                _delete_fetched(connection, traces, batch_rows)
            record(
                connection, "forgotten", actor=actor, project=person.project, mappings=counted.mappings,
                studies=len(counted.studies), **detail,
            )  # fmt: skip
        tidy(self.engine, "crosswalk")
        return counted


def _by_pseudonym(connection: Connection, place: Place, pseudonym: str) -> list[Known]:
    query = select(crosswalk).where(
        crosswalk.c.project_id == place.number, crosswalk.c.kind == PATIENT,
        crosswalk.c.replaced == place.replaced(PATIENT, pseudonym),
    )  # fmt: skip
    return [place.known(row) for row in connection.execute(query)]


def _person(connection: Connection, place: Place, project: str, found: Sequence[Known]) -> Person:
    """Return the one patient that all these are, with all his former identities."""
    known = aliases(connection, place)
    persons = {}
    for each in found:
        identities = _family(each.identity, list(known.values()))
        persons[frozenset(identities)] = identities
    if not persons:
        raise NotFound(
            "nobody is called so in this project; by a PatientID of the source ask with --original (patient_id)"
        )
    if len(persons) > 1:
        raise Conflict(f"{len(persons)} patients have that PatientID, of several issuers: give the issuer too")
    ((normals, identities),) = persons.items()
    patients = patients_of(connection, place, list(identities.values()))
    numbers = [number for number, (former, _) in known.items() if former.normal in normals]
    studies, series = _uids(connection, place, patients)
    return Person(project, patients, list(identities.values()), numbers, studies, series)


def _family(identity: Identity, known: Sequence[tuple[Identity, Identity]]) -> dict[str, Identity]:
    """Return an identity with all that it became and was, by the text that is compared."""
    family = {identity.normal: identity}
    while True:
        pairs = [pair for pair in known if {each.normal for each in pair} & family.keys()]
        more = {each.normal: each for pair in pairs for each in pair if each.normal not in family}
        if not more:
            return family
        family |= more


def _uids(
    connection: Connection, place: Place, patients: Sequence[Known]
) -> tuple[list[tuple[str, str, str]], list[str]]:
    studies: list[tuple[str, str, str]] = []
    series: list[str] = []
    for known in patients:
        query = select(crosswalk).where(crosswalk.c.patient_id == known.row, crosswalk.c.kind.in_((STUDY, SERIES)))
        for row in connection.execute(query.order_by(crosswalk.c.id)):
            before, after, *_ = place.open(row)
            if row.kind == STUDY:
                studies.append((before, after, known.pseudonym))
            else:
                series.append(before)
    return studies, series


def _studies(connection: Connection, project: str, traces: Traces, *, lock: bool = False) -> list[Row[Any]]:
    numbers: set[int] = set()
    pairs = ((study.c.source, traces.sources), (study.c.copy_of, traces.sources), (study.c.output, traces.outputs))
    for column, ids in pairs:
        for part in _parts([*ids]):
            numbers |= set(connection.scalars(select(study.c.id).where(study.c.project == project, column.in_(part))))
    found: list[Row[Any]] = []
    for part in _parts(sorted(numbers)):  # in the order in which everybody locks
        query = select(study).where(study.c.project == project, study.c.id.in_(part)).order_by(study.c.id)
        found += connection.execute(query.with_for_update() if lock else query).all()
    return found


def _is_in_others(connection: Connection, project: str, traces: Traces) -> bool:
    """Tell whether studies of his are in another project, which needs what lists and senders say of them."""
    for part in _parts([*traces.sources]):
        which = or_(study.c.source.in_(part), study.c.copy_of.in_(part))
        others = (study.c.project != project, study.c.forgotten == 0)
        if connection.scalar(select(study.c.id).where(which, *others).limit(1)) is not None:
            return True
    return False


def _delete_origins(connection: Connection, project: str, traces: Traces, rows: Sequence[Row[Any]]) -> None:
    """Delete what lists and sources say of his studies in this project, pseudonyms included."""
    mine = {row.origin for row in rows if row.origin}
    for part in _parts([*traces.studies]):
        of_project = or_(origin.c.project == project, origin.c.study_digest.in_(mine))
        connection.execute(delete(origin).where(origin.c.study_digest.in_(part), of_project))


def _demand_at_rest(rows: Sequence[Row[Any]]) -> None:
    busy = [row.id for row in rows if row.status in states.ACTIVE]
    if busy:
        raise Conflict(AT_WORK)


def _batch_rows(connection: Connection, traces: Traces) -> list[int]:
    """Return the rows of lists that name studies of his and of nobody else."""
    mine = _fetched(traces)
    if mine is None:
        return []
    rows = connection.execute(
        select(batch_row.c.id, batch_row.c.state).where(batch_row.c.id.in_(select(batch_study.c.row_id).where(mine)))
    ).all()
    if any(row.state in states.ROW_OPEN for row in rows):
        raise Conflict("a batch is fetching studies of this patient: wait for its end or cancel it, and ask once more")
    others = select(batch_study.c.row_id).where(batch_study.c.row_id.in_([row.id for row in rows]), ~mine)
    shared = set(connection.scalars(others))
    return [row.id for row in rows if row.id not in shared]


def _delete_fetched(connection: Connection, traces: Traces, rows: Sequence[int]) -> None:
    for part in _parts([*traces.studies]):
        connection.execute(delete(manifest).where(manifest.c.study_digest.in_(part)))
    mine = _fetched(traces)
    if mine is not None:
        connection.execute(delete(batch_study).where(mine))
    for part in _parts(rows):
        connection.execute(delete(batch_row).where(batch_row.c.id.in_(part)))


def _fetched(traces: Traces) -> Any:  # noqa: ANN401  # a condition, or None
    parts = [batch_study.c.study_digest.in_(part) for part in _parts([*traces.fetched])]
    parts += [batch_study.c.orthanc.in_(part) for part in _parts([*traces.sources])]
    return or_(*parts) if parts else None


def _count(connection: Connection, person: Person) -> int:
    """Count the rows of the crosswalk that are about him."""
    numbers = [known.row for known in person.patients]
    which = or_(crosswalk.c.id.in_(numbers), crosswalk.c.patient_id.in_(numbers))
    return connection.scalar(select(func.count()).select_from(crosswalk).where(which)) or 0


def _delete(connection: Connection, person: Person) -> None:
    numbers = [known.row for known in person.patients]
    connection.execute(delete(crosswalk).where(crosswalk.c.patient_id.in_(numbers)))
    connection.execute(delete(crosswalk).where(crosswalk.c.id.in_(numbers)))
    if person.aliases:
        connection.execute(delete(crosswalk_alias).where(crosswalk_alias.c.id.in_(person.aliases)))


def _parts(items: Sequence[Any]) -> Iterator[Sequence[Any]]:
    return (items[k : k + _AT_ONCE] for k in range(0, len(items), _AT_ONCE))
