"""Studies that are waited for until they are complete: what is here, what should be, until when, when to look next."""

import time
from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import Connection, Engine, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from .events import short
from .intake_tables import awaited
from .tables import study

NEVER = 4102444800.0  # UTC seconds: 1 January 2100, for what only an arrival or a person ends


@dataclass(frozen=True)
class Awaited:
    """One study; `asked_at` is None while nothing has been told of the instances that are here now.

    `missing`: by SOP Instance UID; None: only the numbers were compared. Times in UTC seconds since 1970.
    """

    study_id: int
    since: float
    deadline_at: float
    next_look_at: float
    ask: str
    expected: int | None
    present: int
    missing: int | None
    requests: int
    asked_at: float | None
    reason: str | None


class Waiting:
    """One row for each study that is waited for; every method is one transaction."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def find(self, study_id: int) -> Awaited | None:
        """Return what is known of a study that is waited for."""
        with self.engine.connect() as connection:
            row = connection.execute(select(awaited).where(awaited.c.study_id == study_id)).first()
        return Awaited(**row._mapping) if row else None  # noqa: SLF001  # SQLAlchemy's API

    def begin(self, study_id: int, deadline_at: float, ask: str, present: int) -> Awaited:
        """Wait for a study; what is known of one that is waited for already stays, above all its deadline.

        It is looked at now where a source is to be asked, else at the deadline.
        """
        now = time.time()
        row = Awaited(study_id, now, deadline_at, now if ask else deadline_at, ask, None, present, None, 0, None, None)
        found = self.find(study_id)
        if found and found.ask == ask:
            return found
        try:
            with self.engine.begin() as connection:
                end(connection, study_id)  # of another rule: the configuration was changed
                connection.execute(insert(awaited).values(**vars(row)))
        except IntegrityError:
            return self.find(study_id) or row  # another service was faster
        return row

    def note_present(self, study_id: int, present: int) -> None:
        """Note how many instances are here now: what was told of fewer or others says nothing of these."""
        self._write(study_id, {"present": present, "missing": None, "asked_at": None, "next_look_at": time.time()})

    def note_numbers(self, study_id: int, expected: int | None, present: int, missing: int | None) -> None:
        """Note what is known without asking a source."""
        self._write(study_id, {"expected": expected, "present": present, "missing": missing})

    def look_at(self, seen: Awaited, at: float, deadline_at: float | None = None) -> None:
        """Look next at that time, unless somebody has changed that meanwhile: then there is something new to see."""
        values = {"next_look_at": at, "deadline_at": seen.deadline_at if deadline_at is None else deadline_at}
        which = (awaited.c.study_id == seen.study_id, awaited.c.next_look_at == seen.next_look_at)
        with self.engine.begin() as connection:
            connection.execute(update(awaited).where(*which).values(**values))

    def wake(self, study_id: int, again_at: float) -> bool:
        """Have a study examined again, and once more at that time where this is lost; False: nobody waits for it."""
        with self.engine.begin() as connection:
            which = awaited.c.study_id == study_id
            if not connection.execute(update(awaited).where(which).values(next_look_at=again_at)).rowcount:
                return False
            connection.execute(update(study).where(study.c.id == study_id).values(recheck=1))
        return True

    def wake_all(self) -> None:
        """Have all examined again: the rules may be others now, and a process that was asking may be gone."""
        unanswered = (awaited.c.ask != "", awaited.c.asked_at.is_(None))
        with self.engine.begin() as connection:
            connection.execute(update(awaited).where(*unanswered).values(next_look_at=time.time()))
            connection.execute(update(study).where(study.c.id.in_(select(awaited.c.study_id))).values(recheck=1))

    def due(self) -> list[str]:
        """Return the sources that are to be asked now; an empty name where none is to be asked."""
        query = select(awaited.c.ask).where(awaited.c.next_look_at <= time.time()).distinct()
        with self.engine.connect() as connection:
            return list(connection.scalars(query))

    def claim(self, ask: str, most: int, lease_s: float, but: Collection[int] = ()) -> list[Awaited]:
        """Take some that are due for this process alone: nobody else sees them as due for so many seconds."""
        if most < 1:
            return []
        now = time.time()
        query = (
            select(awaited)
            .where(awaited.c.ask == ask, awaited.c.next_look_at <= now, awaited.c.study_id.not_in(but))
            .order_by(awaited.c.next_look_at)
            .limit(most)
            .with_for_update(skip_locked=True)
        )
        with self.engine.begin() as connection:
            rows = [Awaited(**row._mapping) for row in connection.execute(query)]  # noqa: SLF001  # SQLAlchemy's API
            which = awaited.c.study_id.in_([row.study_id for row in rows])
            if rows:
                connection.execute(update(awaited).where(which).values(next_look_at=now + lease_s))
        return rows

    def answer(  # noqa: PLR0913  # the columns
        self, study_id: int, present: int, *, expected: int | None, missing: int | None, reason: str | None, at: float
    ) -> bool:
        """Note what a source said; False: others are here by now, and it must be asked again."""
        values = {"expected": expected, "missing": missing, "reason": short(reason), "asked_at": time.time()}
        which = (awaited.c.study_id == study_id, awaited.c.present == present)
        with self.engine.begin() as connection:
            return bool(connection.execute(update(awaited).where(*which).values(**values, next_look_at=at)).rowcount)

    def fail(self, study_id: int, reason: str, at: float) -> None:
        """Note why a source could not be asked, and when it is asked again."""
        self._write(study_id, {"reason": short(reason), "next_look_at": at})

    def request(self, seen: Awaited, deadline_at: float) -> bool:
        """Note that what is missing is being requested, with a new deadline; False: another process does so."""
        which = (awaited.c.study_id == seen.study_id, awaited.c.requests == seen.requests)
        values = {"requests": seen.requests + 1, "deadline_at": deadline_at}
        with self.engine.begin() as connection:
            return bool(connection.execute(update(awaited).where(*which).values(**values)).rowcount)

    def end(self, study_id: int) -> None:
        """Wait no longer."""
        with self.engine.begin() as connection:
            end(connection, study_id)

    def _write(self, study_id: int, values: dict[str, object]) -> None:
        with self.engine.begin() as connection:
            connection.execute(update(awaited).where(awaited.c.study_id == study_id).values(**values))


def end(connection: Connection, study_id: int) -> None:
    """Wait no longer for a study, in the transaction of what ended it."""
    connection.execute(delete(awaited).where(awaited.c.study_id == study_id))
