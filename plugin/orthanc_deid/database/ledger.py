"""The ledger of studies: every change of state is one transaction with its event."""

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from sqlalchemy import Connection, Engine, Row, Select, bindparam, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from .. import states
from ..errors import Conflict, NotFound, Rejected, Stale
from .receipts import SUPERSEDED, hashed
from .tables import REMOVED, delivery, event, instance, receipt, study

REASON_LENGTH = 500


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


class Ledger:
    """Studies and their instances; every method is one transaction."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    @contextmanager
    def _writing(self, study_id: int, run: int | None = None) -> Iterator[tuple[Connection, Study]]:
        """Lock one study's row; raise Stale where another run has taken over."""
        with self.engine.begin() as connection:
            found = _study(connection, select(study).where(study.c.id == study_id).with_for_update())
            if found is None:
                raise NotFound(f"study {study_id} is not in the ledger")
            if run is not None and found.run != run:
                raise Stale(f"study {study_id}: run {run} was superseded by run {found.run}")
            yield connection, found

    # Reading.

    def get(self, study_id: int) -> Study:
        """Return one study by our number, or raise NotFound."""
        with self.engine.connect() as connection:
            found = _study(connection, select(study).where(study.c.id == study_id))
        if found is None:
            raise NotFound(f"study {study_id} is not in the ledger")
        return found

    def find(self, source: str) -> Study | None:
        """Return the study with that Orthanc id, if it is known."""
        with self.engine.connect() as connection:
            return _study(connection, select(study).where(study.c.source == source))

    def is_output(self, orthanc_id: str) -> bool:
        """Tell whether a study in Orthanc is one that the pipeline made of another."""
        query = select(study.c.id).where(study.c.output == orthanc_id, study.c.source != orthanc_id).limit(1)
        with self.engine.connect() as connection:
            return connection.scalar(query) is not None

    def of_output(self, output: str) -> Study | None:
        """Return the study that was de-identified into that study of Orthanc."""
        with self.engine.connect() as connection:
            return _study(connection, select(study).where(study.c.output == output).limit(1))

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
            return _is_begun(connection, found)

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

    # Changing.

    def add(
        self, source: str, project: str, *, status: str = states.RECEIVED, reason: str | None = None,
        arrived: bool = False,
    ) -> Study:  # fmt: skip
        """Make a study known; answer the row that is there where two do it at once.

        `arrived`: its instances were de-identified before Orthanc stored them, so that it is its own output.
        """
        now = time.time()
        row = {"output": source if arrived else None} | {
            "source": source,
            "project": project,
            "status": status,
            "reason": short(reason),
            "created_at": now,
        }
        row |= dict.fromkeys(("version", "verified_version", "run", "attempt", "recheck"), 0) | {"updated_at": now}
        query = select(study).where(study.c.source == source)
        try:
            with self.engine.begin() as connection:
                found = _study(connection, query)
                if found is None:
                    connection.execute(insert(study).values(**row))
                    found = _study(connection, query)
                    assert found  # noqa: S101  # inserted by this transaction
                    note(connection, found.id, 0, status, reason, "system")
        except IntegrityError:
            found = self.find(source)  # the other one was faster
            assert found  # noqa: S101  # the constraint says that it is there
        return found

    def move(
        self, study_id: int, to: str, *, run: int | None = None, reason: str | None = None, actor: str = "system"
    ) -> None:
        """Enter a state.

        Raises
        ------
        Stale
            `run` is no longer the current one.
        Conflict
            `states.MOVES` does not allow it.
        """
        with self._writing(study_id, run) as (connection, found):
            if found.status == to and found.reason == short(reason):
                return
            _change(connection, found, to, reason, actor)

    def end(self, study_id: int, to: str, *, run: int, reason: str | None) -> None:
        """Enter the state in which all deliveries of a run have ended.

        Raises
        ------
        Stale
            One is under way: a person has asked for it meanwhile; or `run` is no longer the current one.
        """
        under_way = select(delivery.c.id).where(
            delivery.c.study_id == study_id, delivery.c.state.in_([states.PENDING, states.SENT])
        )
        with self._writing(study_id, run) as (connection, found):
            if connection.scalar(under_way.limit(1)) is not None:
                raise Stale(f"study {study_id}: a person has asked for one more destination meanwhile")
            if found.status != to:
                _change(connection, found, to, reason, "system")

    def compare(self, study_id: int, sources: Sequence[str], last_update: str) -> int:
        """Note which instances Orthanc holds now; answer how many were not known. They make the next version.

        A study that was done waits then; `recheck` stays set until a run is started, so that a crash before
        the start loses nothing. A study at work keeps the version that its jobs are named by, and is looked at again.
        """
        with self._writing(study_id) as (connection, found):
            if found.status in states.ACTIVE:
                connection.execute(update(study).where(study.c.id == study_id).values(recheck=1))
                return 0
            known = set(connection.scalars(select(instance.c.source).where(instance.c.study_id == study_id)))
            new = [source for source in sources if source not in known]
            values: dict[str, object] = {"last_update": last_update}
            if known & set(sources):  # sent once more after retention had deleted it
                values["removed"] = found.removed & ~REMOVED["source"]
            if new:
                version = found.version + 1
                values |= {"version": version, "recheck": 1}
                row = {"study_id": study_id, "version": version, "state": states.INSTANCE_RECEIVED, "output": None}
                if found.arrived:
                    values["verified_version"] = version  # the door has searched each of them
                    row["state"] = states.INSTANCE_DEIDENTIFIED
                connection.execute(
                    insert(instance), [row | {"source": s, "output": s if found.arrived else None} for s in new]
                )
            connection.execute(update(study).where(study.c.id == study_id).values(**values))
            if new and found.status == states.DONE:
                late = replace(found, version=found.version + 1)
                _change(connection, late, states.WAITING, f"{len(new)} instances arrived late", "system")
        return len(new)

    def start(
        self, study_id: int, project: str, destinations: Iterable[str], *, reason: str | None = None,
        actor: str = "system",
    ) -> Study:  # fmt: skip
        """Begin a new run: `queued`, every earlier run superseded, deliveries of this version pending."""
        with self._writing(study_id) as (connection, before):
            if before.status in states.ACTIVE:
                raise Conflict(f"study {study_id} is {before.status}: it is at work already")
            now = time.time()
            destinations = list(destinations)
            _give_up_deliveries(connection, before, destinations)
            found = _try_refused_again(connection, before)
            for name in destinations:
                _expect_delivery(connection, study_id, name, found.version, now)
            connection.execute(
                update(study)
                .where(study.c.id == study_id)
                .values(run=found.run + 1, version=found.version, attempt=1, project=project, recheck=0, removed=0)
            )
            _change(connection, found, states.QUEUED, reason, actor)
        return self.get(study_id)

    def deliver(self, study_id: int, destinations: Iterable[str], *, anew: bool, reason: str, actor: str) -> Study:
        """Begin a new run that delivers what is verified already; a run that exports is joined by more destinations.

        `anew`: what has arrived there is sent once more; else only what is missing.

        Raises
        ------
        Conflict
            The study is at work otherwise, its newest version is not verified, or it is being sent there already.
        """
        destinations = list(destinations)
        with self._writing(study_id) as (connection, found):
            joins = found.status == states.EXPORTING and bool(destinations)
            if found.status in states.ACTIVE and not joins:
                raise Conflict(f"study {study_id} is {found.status}: it is at work already")
            if found.version < 1 or found.verified_version < found.version or not found.output:
                raise Conflict(f"study {study_id} is {found.status}: its newest version is not verified")
            if not _is_begun(connection, found):
                raise Conflict(f"study {study_id} is {found.status}: what has arrived since is to be processed first")
            if joins:
                _demand_not_under_way(connection, study_id, destinations)
            for name in destinations:
                _expect_delivery(connection, study_id, name, found.version, time.time(), anew=anew)
            if joins:
                # Changed just now: its job is about to be enqueued.
                connection.execute(update(study).where(study.c.id == study_id).values(updated_at=time.time()))
                for name in destinations:
                    note(connection, study_id, found.version, states.PENDING, reason, actor, name)
            else:
                # The run exports these too: one that still says `failed` would end the study while it is sent.
                for name in _open_deliveries(connection, study_id):
                    _expect_delivery(connection, study_id, name, found.version, time.time())
                connection.execute(update(study).where(study.c.id == study_id).values(run=found.run + 1, attempt=1))
                _change(connection, found, states.QUEUED, reason, actor)
        return self.get(study_id)

    def again(self, study_id: int, run: int, attempt: int, at: float | None, reason: str | None) -> None:
        """Note the next try of a run and when it comes; raise Stale where the run has ended."""
        with self._writing(study_id, run) as (connection, found):
            if found.status not in states.ACTIVE:
                raise Stale(f"study {study_id}: run {run} is over")
            connection.execute(update(study).where(study.c.id == study_id).values(attempt=attempt))
            _change(connection, found, states.QUEUED, reason, "system", next_attempt_at=at)

    def cancel(self, study_id: int, actor: str) -> None:
        """Stop the run; raise Conflict where nothing can be stopped."""
        with self._writing(study_id) as (connection, found):
            if found.status == states.CANCELLED:
                raise Conflict(f"study {study_id} is cancelled already")
            connection.execute(update(study).where(study.c.id == study_id).values(run=found.run + 1))
            _change(connection, found, states.CANCELLED, "cancelled by a person", actor)

    def set_output(self, study_id: int, run: int, output: str) -> None:
        """Note the id that the de-identified study will have, before the first of its instances is stored.

        Raises
        ------
        Rejected
            Another study has that output.
        """
        with self._writing(study_id, run) as (connection, _found):
            if connection.scalar(select(study.c.id).where(study.c.output == output, study.c.id != study_id).limit(1)):
                raise Rejected("another study has the same output: one study under two spellings of its PatientID?")
            connection.execute(update(study).where(study.c.id == study_id).values(output=output))

    def set_verified(self, study_id: int, run: int, version: int) -> None:
        """Note that the output is clean up to that version."""
        with self._writing(study_id, run) as (connection, _found):
            connection.execute(update(study).where(study.c.id == study_id).values(verified_version=version))

    def mark_instances(
        self, study_id: int, run: int, results: Sequence[tuple[int, str, str | None, str | None]]
    ) -> None:
        """Note (instance number, state, output, reason) of some instances."""
        with self._writing(study_id, run) as (connection, _found):
            if results:
                connection.execute(
                    update(instance)
                    .where(instance.c.id == bindparam("number"))
                    .values(state=bindparam("state"), output=bindparam("output"), reason=bindparam("reason")),
                    [{"number": n, "state": s, "output": o, "reason": short(r)} for n, s, o, r in results],
                )
            connection.execute(update(study).where(study.c.id == study_id).values(updated_at=time.time()))

    def renew(self, study_id: int, run: int, lost: Sequence[Instance]) -> None:
        """Note that outputs are gone: to be made again, and to be verified again before they leave."""
        if not lost:
            return
        with self._writing(study_id, run) as (connection, found):
            verified = min(found.verified_version, min(i.version for i in lost) - 1)
            connection.execute(update(study).where(study.c.id == study_id).values(verified_version=verified))
            for one in lost:
                connection.execute(
                    update(instance)
                    .where(instance.c.id == one.id)
                    .values(state=states.INSTANCE_RECEIVED, output=None, reason=None)
                )

    def supersede(self, study_id: int, run: int, instances: Sequence[Instance]) -> None:
        """Note that outputs are no longer good: to be made again and delivered again, as part of this version."""
        with self._writing(study_id, run) as (connection, found):
            connection.execute(
                update(instance)
                .where(instance.c.id.in_([one.id for one in instances]))
                .values(state=states.INSTANCE_RECEIVED, output=None, reason=None, version=found.version)
            )
            _mark_superseded(connection, study_id)

    def note_removed(self, study_id: int, what: str, reason: str, actor: str = "retention") -> None:
        """Note with an event what the retention rules have deleted of a study; conversions can be made again.

        Raises
        ------
        Conflict
            It is not done any more; for conversions: it is at work.
        """
        with self._writing(study_id) as (connection, found):
            if found.status in states.ACTIVE if what == "results" else found.status != states.DONE:
                raise Conflict(f"study {study_id} is {found.status}: nothing of it may be deleted")
            values = {"removed": found.removed | REMOVED.get(what, 0)}
            connection.execute(update(study).where(study.c.id == study_id).values(**values))
            note(connection, study_id, found.version, found.status, f"{what} deleted: {reason}", actor)

    def mark_recheck(self, study_id: int, *, needed: bool = True) -> None:
        """Remember that something arrived while the study was at work, or that it was dealt with."""
        with self.engine.begin() as connection:
            connection.execute(update(study).where(study.c.id == study_id).values(recheck=int(needed)))

    def forget_vanished(self, study_id: int, present: Sequence[str]) -> None:
        """Drop instances that were never de-identified and that Orthanc no longer holds."""
        with self._writing(study_id) as (connection, found):
            if found.status in states.ACTIVE:
                return
            rows = connection.execute(
                select(instance.c.id, instance.c.source).where(
                    instance.c.study_id == study_id, instance.c.state != states.INSTANCE_DEIDENTIFIED
                )
            ).all()
            here = set(present)
            gone = [{"number": row.id} for row in rows if row.source not in here]
            if gone:
                connection.execute(delete(instance).where(instance.c.id == bindparam("number")), gone)

    def verified_outputs(self, output: str) -> set[str]:
        """Return the instances of an output study that were searched and are clean."""
        query = (
            select(instance.c.output)
            .join(study, study.c.id == instance.c.study_id)
            .where(study.c.output == output, instance.c.version <= study.c.verified_version)
        )
        with self.engine.connect() as connection:
            return {found for found in connection.scalars(query) if found}

    def forget_unverified(self, study_id: int, run: int) -> None:
        """Note that outputs which were not verified are gone; the next run makes them anew."""
        with self._writing(study_id, run) as (connection, found):
            connection.execute(
                update(instance)
                .where(
                    instance.c.study_id == study_id,
                    instance.c.version > found.verified_version,
                    instance.c.state == states.INSTANCE_DEIDENTIFIED,
                )
                .values(state=states.INSTANCE_RECEIVED, output=None)
            )

    def counts(self) -> dict[str, int]:
        """Count the studies in each state that occurs."""
        with self.engine.connect() as connection:
            rows = connection.execute(select(study.c.status, func.count()).group_by(study.c.status)).all()
        return {row[0]: row[1] for row in rows}


def _study(connection: Connection, query: Select[tuple[object, ...]]) -> Study | None:
    row: Row[tuple[object, ...]] | None = connection.execute(query).first()
    return None if row is None else Study(**row._mapping)  # noqa: SLF001  # SQLAlchemy's API


def _change(  # noqa: PLR0913  # a state and what is told of it
    connection: Connection,
    found: Study,
    to: str,
    reason: str | None,
    actor: str,
    *,
    next_attempt_at: float | None = None,
) -> None:
    if to not in states.MOVES[found.status] and to != found.status:
        raise Conflict(f"study {found.id} is {found.status}: it cannot become {to}")
    values = {"status": to, "reason": short(reason), "next_attempt_at": next_attempt_at, "updated_at": time.time()}
    if to == states.DONE:
        values["done_at"] = time.time()
    connection.execute(update(study).where(study.c.id == found.id).values(**values))
    note(connection, found.id, found.version, to, reason, actor)


def note(  # noqa: PLR0913  # the columns of an event
    connection: Connection, study_id: int, version: int, status: str, reason: str | None, actor: str,
    destination: str | None = None,
) -> None:  # fmt: skip
    """Write an event beside the change that it is about."""
    connection.execute(
        insert(event).values(
            study_id=study_id, at=time.time(), version=version, status=status, destination=destination,
            reason=short(reason), actor=actor[:64],
        )
    )  # fmt: skip


def _try_refused_again(connection: Connection, found: Study) -> Study:
    """Have made what is not verified; refused instances belong to a version that is neither verified nor delivered."""
    mine = instance.c.study_id == found.id
    refused = mine & (instance.c.state == states.INSTANCE_QUARANTINED)
    # Outputs that nobody verified too: the profile may be another one now, and a study is made by one.
    unverified = mine & (instance.c.version > found.verified_version) & instance.c.output.is_not(None)
    if connection.scalar(select(func.count()).where(refused)) and found.verified_version == found.version:
        found = replace(found, version=found.version + 1)
    anew = {"state": states.INSTANCE_RECEIVED, "output": None, "reason": None}
    connection.execute(update(instance).where(unverified).values(**anew))
    connection.execute(update(instance).where(refused).values(**anew, version=found.version))
    return found


def _mark_superseded(connection: Connection, study_id: int) -> None:
    """Tell the destinations of a study that what they have of it is to go before anything is sent again."""
    mine = connection.scalars(select(delivery.c.id).where(delivery.c.study_id == study_id)).all()
    item = hashed(SUPERSEDED)
    connection.execute(delete(receipt).where(receipt.c.delivery_id.in_(mine), receipt.c.item == item))
    row = {"item": item, "size": 1, "sha256": "", "remote": "", "at": time.time()}
    if mine:
        connection.execute(insert(receipt), [row | {"delivery_id": number} for number in mine])


def _is_begun(connection: Connection, found: Study) -> bool:
    """Tell whether the newest version was started; what was de-identified on arrival is verified before that."""
    if not found.arrived or found.status == states.DONE:
        return True
    mine = (delivery.c.study_id == found.id, delivery.c.version >= found.version)
    return connection.scalar(select(delivery.c.id).where(*mine).limit(1)) is not None


def _open_deliveries(connection: Connection, study_id: int) -> Sequence[str]:
    query = select(delivery.c.destination).where(
        delivery.c.study_id == study_id, delivery.c.confirmed_version < delivery.c.version
    )
    return connection.scalars(query).all()


def _demand_not_under_way(connection: Connection, study_id: int, destinations: Sequence[str]) -> None:
    query = select(delivery.c.destination).where(
        delivery.c.study_id == study_id,
        delivery.c.destination.in_(destinations),
        delivery.c.state.in_([states.PENDING, states.SENT]),
    )
    for name in connection.scalars(query):
        raise Conflict(f"study {study_id} is being sent to {name} already")


def _expect_delivery(  # noqa: PLR0913  # the columns of a delivery
    connection: Connection, study_id: int, name: str, version: int, now: float, *, anew: bool = False
) -> None:
    known = connection.execute(
        select(delivery.c.id, delivery.c.confirmed_version).where(
            delivery.c.study_id == study_id, delivery.c.destination == name
        )
    ).first()
    if known is None:
        connection.execute(
            insert(delivery).values(
                study_id=study_id, destination=name, version=version, confirmed_version=0, state=states.PENDING,
                attempt=0, confirmed=0, updated_at=now,
            )
        )  # fmt: skip
    elif known.confirmed_version < version or anew:
        # One that failed for good begins again in this run; its job is told from the earlier ones by `waits`.
        values: dict[str, object] = {"version": version, "state": states.PENDING, "attempt": 0, "updated_at": now}
        if anew:
            values |= {"confirmed_version": 0, "confirmed": 0}
            mine = (receipt.c.delivery_id == known.id, receipt.c.item != hashed(SUPERSEDED))
            connection.execute(delete(receipt).where(*mine))
        connection.execute(
            update(delivery).where(delivery.c.id == known.id).values(**values, next_attempt_at=None, reason=None)
        )


def _give_up_deliveries(connection: Connection, found: Study, destinations: Sequence[str]) -> None:
    """Expect nothing more at destinations that the project no longer names; what has arrived there stays told."""
    others = (delivery.c.study_id == found.id, delivery.c.destination.not_in(destinations))
    given_up = (*others, delivery.c.confirmed_version < delivery.c.version)
    for name in connection.scalars(select(delivery.c.destination).where(*given_up)).all():
        note(
            connection,
            found.id,
            found.version,
            states.CANCELLED,
            "no longer a destination of the project",
            "system",
            name,
        )
    connection.execute(delete(delivery).where(*given_up, delivery.c.confirmed_version == 0))
    connection.execute(
        update(delivery)
        .where(*given_up)
        .values(version=delivery.c.confirmed_version, state=states.CONFIRMED, next_attempt_at=None, reason=None)
    )


def short(reason: str | None) -> str | None:
    """Cut a reason to the width of its column."""
    return reason[:REASON_LENGTH] if reason else None
