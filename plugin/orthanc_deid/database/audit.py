"""The audit: one record for every decision that matters, chained so that none can be changed or taken out unseen.

`record` notes what happens; what was noted is written in the last moment of the transaction, so that the head of the
chain, which all writers want, is locked shortly and after everything else: no order of work can deadlock on it.
"""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import Connection, Engine, Row, event, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError

from .. import chain
from ..chain import Entry, Fault, Head, Verifier
from ..errors import ConfigurationError
from .crosswalk_tables import audit, audit_head
from .tables import study

RECORDS = {
    "received": "a study became known",
    "ignored": "no project takes a study, or a person has marked it as processed",
    "begun": "a person or a change of configuration began a study's work (action: process, retry, export)",
    "profile": "a study is de-identified by this profile (profile, version, digest)",
    "verified": "the outputs of a version were searched for identities and are clean",
    "held": "a study waits for a person's release",
    "approved": "a person has released a study",
    "rejected": "a person has refused to release a study",
    "exported": "a study was sent to a destination",
    "confirmed": "a destination has all of a version, read back there",
    "done": "all of a study's version has arrived wherever it was to",
    "quarantined": "a study cannot be de-identified, and stays where it is",
    "failed": "a study, or its way to a destination, was given up after all tries",
    "cancelled": "a study, or its way to a destination, was stopped",
    "deleted": "something of a study was deleted (thing: source, output, results)",
    "pseudonym": "a patient got a pseudonym in a project (source: which kind)",
    "looked-up": "a person has asked who a pseudonym is, or what pseudonym somebody has",
    "forgotten": "a patient's mapping was destroyed",
    "sealed": "a project's key was destroyed",
    "alias": "two identities of one patient were joined, or taken apart",
    "imported": "pseudonyms or processed studies were taken over from a file",
    "key-rotated": "the crosswalk is encrypted with another key",
    "configuration": "the configuration is another one than at the service's last start",
    "service-started": "the service began its work",
    "service-stopped": "the service ended its work",
    "refused": "a request was refused: without the plugin's secret, or of a person without the role",
    "batch": "a batch was begun, paused, let go on, cancelled or tried again (action)",
    "conflict": "a person has decided which of two contents of an instance is right",
    "destination": "a person has paused a destination, let it go on, or sent once more what failed (action)",
    "source": "a person has paused a source or let it go on (action)",
    "shown": "identified data was given to a person (thing: report, series; none: copies of the study's instances)",
    "exported-records": "a person has taken the audit, or mappings of the crosswalk, out to a file (thing)",
}
KEY = "audit_key"  # execution option of an engine
_PAGE = 5000
_TEXT, _DETAIL = 500, 2000
_waiting: WeakKeyDictionary[Connection, list[Entry]] = WeakKeyDictionary()


def record(
    connection: Connection, what: str, *, actor: str, study_id: int | None = None, project: str | None = None,
    **detail: Any,  # noqa: ANN401  # str, int, float or None
) -> None:  # fmt: skip
    """Have a record written when this transaction commits; `detail` holds names and counts of ours, no identity.

    Raises
    ------
    KeyError
        `what` is not one of RECORDS.
    """
    RECORDS[what]
    if KEY not in connection.get_execution_options() or connection.in_nested_transaction():
        raise RuntimeError("records are written by an engine of open_database, outside of savepoints")
    told = {name: value for name, value in detail.items() if value is not None}
    row = Entry(0, round(time.time(), 3), what, study_id, project, _plain(actor)[:64] or "unknown", _text(told))
    _waiting.setdefault(connection, []).append(row)


def listen(engine: Engine) -> None:
    """Have what `record` notes written at each commit of an engine."""
    event.listen(engine, "commit", _write)
    event.listen(engine, "rollback", _drop)


@dataclass(frozen=True)
class Verified:
    """How far records were verified: the last right one's number and hash, the first wrong one, or whether it ended."""

    last: int
    hash: str
    fault: Fault | None
    ended: bool


class Audit:
    """The audit, read and verified; every method reads page after page, so that writers do not wait."""

    def __init__(self, engine: Engine, key: bytes) -> None:
        self.engine = engine
        self._key = key

    def write(self, what: str, *, actor: str, project: str | None = None, **detail: Any) -> None:  # noqa: ANN401
        """Write one record in a transaction of its own, for what changes nothing in the database."""
        with self.engine.begin() as connection:
            record(connection, what, actor=actor, project=project, **detail)

    def head(self) -> Head | None:
        """Return the newest record's number and hash; None before the first."""
        with self.engine.connect() as connection:
            return _head(connection)

    def proven(self, last: int, newest: str, before: Head | None) -> Head:
        """Return the head that an export ends with: it proves that the export has all up to its last record.

        `before`: the head as it was before the records were read; it proves nothing where that was wrong.
        """
        right = before is not None and chain.is_right(self._key, before) and last >= before.last
        return Head(last, newest, chain.mac_of(self._key, last, newest) if right else "")

    def is_head_right(self) -> bool:
        """Tell whether the head was written with the key, without a look at the records."""
        head = self.head()
        return head is None or chain.is_right(self._key, head)

    def page(  # noqa: PLR0913  # its filters
        self, *, after: int = 0, limit: int = 100, what: str | None = None, study_id: int | None = None,
        project: str | None = None, newest: bool = False,
    ) -> list[Entry]:  # fmt: skip
        """Return records above a number, oldest first; `newest`: the newest below it (0: of all), newest first."""
        query = select(audit).limit(limit).order_by(audit.c.id.desc() if newest else audit.c.id)
        for column, wanted in ((audit.c.what, what), (audit.c.study_id, study_id), (audit.c.project, project)):
            query = query if wanted is None else query.where(column == wanted)
        if after:
            query = query.where(audit.c.id < after if newest else audit.c.id > after)
        with self.engine.connect() as connection:
            return [_entry(row) for row in connection.execute(query)]

    def hash_at(self, number: int) -> str | None:
        """Return the hash of one record; None where there is none of that number."""
        with self.engine.connect() as connection:
            return connection.scalar(select(audit.c.hash).where(audit.c.id == number))

    def pages(self, after: int = 0) -> Iterator[list[Entry]]:
        """Yield all records above a number, some thousands at a time."""
        while found := self.page(after=after, limit=_PAGE):
            yield found
            after = found[-1].id

    def verify(self, *, after: int = 0, before: str = chain.NOTHING, most_s: float = float("inf")) -> Verified:
        """Verify all records, or go on after one whose number and hash are given; ends early after `most_s` seconds."""
        end = time.monotonic() + most_s
        verifier = Verifier(self._key, after, before)
        while True:
            # The head first: where no record follows, what is written meanwhile is neither in it nor missed.
            head = self.head()
            records = self.page(after=verifier.last, limit=_PAGE)
            fault = verifier.take(records) if records else verifier.end(head)
            if fault or not records:
                return Verified(verifier.last, verifier.hash, fault, ended=True)
            if time.monotonic() > end:
                return Verified(verifier.last, verifier.hash, None, ended=False)


def _write(connection: Connection) -> None:
    """Append what was noted; called right before the commit, whose failure it may become."""
    rows = _waiting.pop(connection, None)
    if not rows:
        return
    rows = _with_projects(connection, rows)
    key: bytes = connection.get_execution_options()[KEY]
    before = _locked_head(connection)
    number, newest = before.last, before.hash
    chained = []
    for row in rows:
        number += 1
        numbered = replace(row, id=number)
        newest = chain.hash_of(key, numbered, newest)
        chained.append(replace(numbered, hash=newest).columns)
    # A head that was changed stays wrong for ever: else the next record would cover what was cut off.
    mac = chain.mac_of(key, number, newest) if chain.is_right(key, before) else ""
    try:
        connection.execute(insert(audit), chained)
    except IntegrityError:  # not as itself: others take it for a row of theirs
        raise ConfigurationError("the audit's head was set back: see docs/audit.md") from None
    connection.execute(update(audit_head).where(audit_head.c.id == 1).values(last=number, hash=newest, mac=mac))


def _drop(connection: Connection) -> None:
    _waiting.pop(connection, None)


def _with_projects(connection: Connection, rows: list[Entry]) -> list[Entry]:
    """Name the project of each study that a record is about."""
    unnamed = {row.study_id for row in rows if row.study_id and row.project is None}
    if not unnamed:
        return rows
    found = connection.execute(select(study.c.id, study.c.project).where(study.c.id.in_(unnamed))).all()
    names = {each.id: each.project for each in found}
    return [replace(r, project=names.get(r.study_id) or None) if r.study_id in unnamed else r for r in rows]


def _locked_head(connection: Connection) -> Head:
    """Return the head, locked until the end of the transaction; the first writer makes it."""
    found = _head(connection, lock=True)
    if found is None:
        key: bytes = connection.get_execution_options()[KEY]
        row = {"id": 1, "last": 0, "hash": chain.NOTHING, "mac": chain.mac_of(key, 0, chain.NOTHING)}
        dialect = {"sqlite": sqlite, "postgresql": postgresql}[connection.dialect.name]
        connection.execute(dialect.insert(audit_head).values(**row).on_conflict_do_nothing())
        found = _head(connection, lock=True)
    assert found  # noqa: S101  # made above, by us or by another
    return found


def _head(connection: Connection, *, lock: bool = False) -> Head | None:
    query = select(audit_head).where(audit_head.c.id == 1)
    row = connection.execute(query.with_for_update() if lock else query).first()
    return None if row is None else Head(row.last, row.hash, row.mac)


def _entry(row: Row[Any]) -> Entry:
    return Entry(**row._mapping)  # noqa: SLF001  # SQLAlchemy's API


def _plain(text: str) -> str:
    """Return a text that both databases keep as it is."""
    return text.replace("\x00", "").encode("utf-8", "replace").decode()


def _text(detail: Mapping[str, str | float]) -> str:
    """Return the JSON of details, cut to the width of its column."""
    for most in (_TEXT, _TEXT // 5, _TEXT // 25):
        cut = {n: _plain(v)[:most] if isinstance(v, str) else v for n, v in detail.items()}
        if len(text := chain.canonical(cut)) <= _DETAIL:
            return text
    raise ValueError("an audit record with too many details")
