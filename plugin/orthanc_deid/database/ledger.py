"""The ledger of studies, written: every change of state is one transaction with its event."""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

from sqlalchemy import Connection, bindparam, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from .. import states
from ..errors import Conflict, Rejected, Stale
from . import awaited, further
from .audit import record
from .events import note, remark, short
from .expected import demand_not_under_way, expect, give_up, open_deliveries
from .makers import Maker, make_anew, set_maker, why_not_remade
from .studies import Instance, Studies, Study, demand_remembered, is_begun_version, locked, study_of
from .tables import REMOVED, delivery, instance, study

__all__ = ["Instance", "Ledger", "Study"]


class Ledger(Studies):
    """Studies and their instances; every method is one transaction."""

    @contextmanager
    def _writing(self, study_id: int, run: int | None = None) -> Iterator[tuple[Connection, Study]]:
        """Lock one study's row; raise Stale where another run has taken over."""
        with locked(self.engine, study_id) as (connection, found):
            if run is not None and found.run != run:
                raise Stale(f"study {study_id}: run {run} was superseded by run {found.run}")
            yield connection, found

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
                found = study_of(connection, query)
                if found is None:
                    connection.execute(insert(study).values(**row))
                    found = study_of(connection, query)
                    assert found  # noqa: S101  # inserted by this transaction
                    record(connection, "received", actor="system", study_id=found.id, project=project or None)
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
            if found.forgotten:
                return 0
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

    def start(  # noqa: PLR0913  # what a run is begun with
        self, study_id: int, project: str, destinations: Iterable[str], *, reason: str | None = None,
        actor: str = "system", hold: bool = False, origin: str | None = None, anew: bool = False, why: str = "",
        also: Mapping[str, str] = further.NONE,
    ) -> Study:  # fmt: skip
        """Begin a new run: `queued`, every earlier run superseded, deliveries of this version pending.

        `hold`: after verification it waits for a person; what was held before is so until it is approved. `origin`:
        the digest under which it is said where it comes from. `anew`: all is made and delivered once more, as the
        next version. `why`: the rule by which it is in this project. `also`: further projects that it gets rows of, and
        why.
        """
        with self._writing(study_id) as (connection, before):
            demand_remembered(before)
            why_not = why_not_remade(before) if anew else None
            if before.status in states.ACTIVE or why_not:
                raise Conflict(f"study {study_id} is {before.status}: {why_not or 'it is at work already'}")
            further.demand_free(connection, before, project)
            now = time.time()
            destinations = list(destinations)
            give_up(connection, before, destinations)
            found = _try_refused_again(connection, before)
            if anew:
                found = replace(found, version=before.version + 1)
                make_anew(connection, found, found.version)
            for name in destinations:
                expect(connection, study_id, name, found.version, now)
            connection.execute(
                update(study)
                .where(study.c.id == study_id)
                .values(
                    run=found.run + 1,
                    version=found.version,
                    attempt=1,
                    project=project,
                    recheck=0,
                    removed=0,
                    hold=int(hold or found.hold),
                    origin=origin,
                )
            )
            if why and (not before.run or before.project != project):
                told = f"{further.BELONGS}{project}: {why}"
                remark(connection, study_id, found.version, found.status, told, "system")
            _change(connection, found, states.QUEUED, reason, actor)
            further.add(connection, replace(found, run=found.run + 1, project=project), also)
        return self.get(study_id)

    def join(self, study_id: int, projects: Mapping[str, str]) -> None:
        """Have a study of Orthanc processed for further projects too; those that have it stay as they are.

        `study_id`: its row of the first project. `projects`: name to the rule by which it is in each.
        """
        with self._writing(study_id) as (connection, found):
            further.add(connection, found, projects)

    def deliver(  # noqa: PLR0913  # what a delivery is begun with
        self, study_id: int, destinations: Iterable[str], *, anew: bool, reason: str, actor: str, approved: bool = False
    ) -> Study:
        """Begin a new run that delivers what is verified already; a run that exports is joined by more destinations.

        `anew`: what has arrived there is sent once more; else only what is missing. `approved`: a person has released
        what was held.

        Raises
        ------
        Conflict
            The study is at work otherwise, its newest version is not verified, it is held, or it is being sent there
            already.
        """
        destinations = list(destinations)
        with self._writing(study_id) as (connection, found):
            joins = found.status == states.EXPORTING and bool(destinations)
            _demand_deliverable(connection, found, joins=joins, approved=approved)
            if joins:
                demand_not_under_way(connection, study_id, destinations)
            for name in destinations:
                expect(connection, study_id, name, found.version, time.time(), anew=anew)
            if joins:
                # Changed just now: its job is about to be enqueued.
                connection.execute(update(study).where(study.c.id == study_id).values(updated_at=time.time()))
                for name in destinations:
                    note(connection, study_id, found.version, states.PENDING, reason, actor, name)
            else:
                # The run exports these too: one that still says `failed` would end the study while it is sent.
                for name in open_deliveries(connection, study_id):
                    expect(connection, study_id, name, found.version, time.time())
                connection.execute(
                    update(study).where(study.c.id == study_id).values(run=found.run + 1, attempt=1, hold=0)
                )
                _change(connection, found, states.QUEUED, reason, actor)
            if approved:
                record(connection, "approved", actor=actor, study_id=study_id, version=found.version)
        return self.get(study_id)

    def again(self, study_id: int, run: int, attempt: int, at: float | None, reason: str | None) -> None:
        """Note the next try of a run and when it comes; raise Stale where the run has ended."""
        with self._writing(study_id, run) as (connection, found):
            if found.status not in states.ACTIVE:
                raise Stale(f"study {study_id}: run {run} is over")
            connection.execute(update(study).where(study.c.id == study_id).values(attempt=attempt))
            _change(connection, found, states.QUEUED, reason, "system", next_attempt_at=at)

    def postpone(self, study_id: int, run: int, at: float, reason: str) -> None:
        """Note what a run waits for and when it looks again, with an event the first time; raises as `again`."""
        with self._writing(study_id, run) as (connection, found):
            if found.status not in states.ACTIVE:
                raise Stale(f"study {study_id}: run {run} is over")
            if (found.status, found.reason) != (states.QUEUED, short(reason)):
                _change(connection, found, states.QUEUED, reason, "system", next_attempt_at=at)
                return
            # One that waits for days would fill its history with the same line.
            values = {"next_attempt_at": at, "updated_at": time.time()}
            connection.execute(update(study).where(study.c.id == study_id).values(**values))

    def reject(self, study_id: int, reason: str, actor: str) -> None:
        """Note that a reviewer does not release a study; raise Conflict where it does not wait for one."""
        with self._writing(study_id) as (connection, found):
            if found.status != states.REVIEW:
                raise Conflict(f"study {study_id} is {found.status}: nobody is asked to release it")
            connection.execute(update(study).where(study.c.id == study_id).values(run=found.run + 1))
            _change(connection, found, states.REJECTED, reason, actor)

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
        with self._writing(study_id, run) as (connection, found):
            connection.execute(update(study).where(study.c.id == study_id).values(verified_version=version))
            if version > found.verified_version:
                record(connection, "verified", actor="system", study_id=study_id, version=version)

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
            make_anew(connection, found, found.version, [one.id for one in instances])

    def set_maker(self, study_id: int, run: int, maker: Maker, *, anew: int) -> None:
        """Note the profile of the run before anything is made; where another has made so many all is made again."""
        with self._writing(study_id, run) as (connection, found):
            set_maker(connection, study_id, maker)
            if anew:
                make_anew(connection, found, found.version)
                told = f"{anew} instances are made anew: the profile is another one, {maker}"
                remark(connection, study_id, found.version, found.status, told, "system")
            detail = {"profile": maker.name, "version": maker.version, "digest": maker.digest}
            record(connection, "profile", actor="system", study_id=study_id, project=found.project, **detail)

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
            remark(connection, study_id, found.version, found.status, f"{what} deleted: {reason}", actor)
            record(connection, "deleted", actor=actor, study_id=study_id, thing=what, reason=reason)

    def note(self, study_id: int, reason: str, actor: str, what: str | None = None) -> None:
        """Write an event that changes nothing; `what`: and a record of that kind."""
        with self._writing(study_id) as (connection, found):
            remark(connection, study_id, found.version, found.status, reason, actor)
            if what:
                record(connection, what, actor=actor, study_id=study_id)

    def mark_recheck(self, study_id: int, *, needed: bool = True) -> None:
        """Remember that something arrived while the study was at work, or that it was dealt with."""
        with self.engine.begin() as connection:
            connection.execute(update(study).where(study.c.id == study_id).values(recheck=int(needed)))

    def recheck_waiting(self, reason: str) -> None:
        """Have the studies looked at again that wait for a reason that begins so."""
        waits = (study.c.status == states.WAITING, study.c.reason.startswith(reason, autoescape=True))
        with self.engine.begin() as connection:
            connection.execute(update(study).where(*waits).values(recheck=1))

    def note_seen(self, found: Study, last_update: str) -> None:
        """Remember as what Orthanc holds a study that nothing is done with."""
        if found.last_update != last_update:
            with self.engine.begin() as connection:
                which = (study.c.id == found.id, study.c.status == found.status)
                connection.execute(update(study).where(*which).values(last_update=last_update))

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
    if found.status in states.BEFORE_WORK and to not in states.BEFORE_WORK:
        awaited.end(connection, found.id)
    note(connection, found.id, found.version, to, reason, actor)


def _demand_deliverable(connection: Connection, found: Study, *, joins: bool, approved: bool) -> None:
    """Raise Conflict where a study may not be delivered now."""
    demand_remembered(found)
    is_at_work = found.status in states.ACTIVE and not joins
    is_unverified = found.version < 1 or found.verified_version < found.version or not found.output
    for holds, why in (
        (is_at_work, "it is at work already"),
        (is_unverified, "its newest version is not verified"),
        (found.hold and not approved, "it is held until a person approves it"),
        (not is_begun_version(connection, found), "what has arrived since is to be processed first"),
    ):
        if holds:
            raise Conflict(f"study {found.id} is {found.status}: {why}")


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
