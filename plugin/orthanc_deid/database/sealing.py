"""Sealing: a project's key and all that tells who is who in it are destroyed for ever.

Each part of the work can be killed and done again: first the project is closed, so that nothing is noted for it any
more; then its key goes, with which every copy of its rows becomes unreadable; then the rows.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, Row, delete, func, insert, or_, select, update

from .. import states
from ..errors import NotFound
from ..keyring import Keyring
from .audit import record
from .crosswalk_tables import crosswalk, crosswalk_alias, crosswalk_project
from .intake_tables import batch, batch_row, origin
from .tables import study
from .ties import close_studies, overwrite, tidy

REASON = "its project was sealed"
_ROWS, _STUDIES = 5000, 200  # in one transaction


@dataclass(frozen=True)
class SealState:
    """How far a seal is: whether the project is closed, its key here, and how much is left of it."""

    closed: bool
    key: bool
    rows: int
    aliases: int
    studies: int  # whose source and output are still tied

    @property
    def is_complete(self) -> bool:
        """Tell whether nothing is left that tells who is who."""
        return self.closed and not (self.key or self.rows or self.aliases or self.studies)


class Sealing:
    """Seals one project.

    Parameters
    ----------
    is_his
        Tells of the sealed question of a batch's row, and the project of its batch, whether it is of the project.
    """

    def __init__(
        self, engine: Engine, keyring: Keyring, project: str, is_his: Callable[[bytes, str], bool] | None = None
    ) -> None:
        self.engine, self.keyring, self.project = engine, keyring, project
        self._is_his = is_his or (lambda _query, of: of == project)

    def state(self) -> SealState:
        """Look what is left."""
        with self.engine.connect() as connection:
            row = self._row(connection)
            number = row.id if row else 0
            rows = connection.scalar(select(func.count()).where(crosswalk.c.project_id == number))
            formers = connection.scalar(select(func.count()).where(crosswalk_alias.c.project_id == number))
            studies = connection.scalar(select(func.count()).where(*self._open_studies()))
        closed = bool(row and row.sealed_at is not None)
        return SealState(closed, self.keyring.has(self.project), rows or 0, formers or 0, studies or 0)

    def close(self, actor: str, **detail: Any) -> None:  # noqa: ANN401
        """Close the project: from here on no crosswalk opens it; `detail` goes into the audit.

        Raises
        ------
        NotFound
            There is neither a crosswalk nor a key of that name.
        """
        with self.engine.begin() as connection:
            row = self._row(connection)
            if row is None and not self.keyring.has(self.project):
                raise NotFound("neither crosswalk nor key is there of a project of that name")
            if row is None:
                values = {"name": self.project, "key_check": b"", "last_number": 0, "sealed_at": time.time()}
                connection.execute(insert(crosswalk_project).values(**values))
            elif row.sealed_at is None:
                which = crosswalk_project.c.id == row.id
                connection.execute(update(crosswalk_project).where(which).values(sealed_at=time.time()))
            else:
                return
            record(connection, "sealed", actor=actor, project=self.project, action="begin", **detail)

    def destroy_key(self) -> None:
        """Destroy the key; the project must be closed."""
        if not self.state().closed:
            raise NotFound("a project is closed before its key is destroyed")
        self.keyring.destroy(self.project)

    def erase(self, actor: str, most_s: float) -> bool:
        """Delete what is left, for at most so many seconds; True where all is gone."""
        end = time.monotonic() + most_s
        while time.monotonic() < end:
            if not (self._erase_rows() or self._close_studies(actor)):
                break
        else:
            return False
        self._erase_lists()
        tidy(self.engine, "crosswalk", "crosswalk_alias", "receipt", "study", "instance")
        return self.state().is_complete

    def end(self, actor: str) -> None:
        """Note in the audit that nothing is left."""
        with self.engine.begin() as connection:
            record(connection, "sealed", actor=actor, project=self.project, action="end")

    def _row(self, connection: Connection) -> Row[Any] | None:
        query = select(crosswalk_project).where(crosswalk_project.c.name == self.project)
        return connection.execute(query).first()

    def _erase_rows(self) -> int:
        with self.engine.begin() as connection:
            overwrite(connection)
            row = self._row(connection)
            number = row.id if row else 0
            connection.execute(delete(crosswalk_alias).where(crosswalk_alias.c.project_id == number))
            # What belongs to a patient first: his row takes the rest with it, in one transaction of any length.
            for whose in (crosswalk.c.patient_id.is_not(None), crosswalk.c.patient_id.is_(None)):
                query = select(crosswalk.c.id).where(crosswalk.c.project_id == number, whose).limit(_ROWS)
                found = connection.scalars(query).all()
                if found:
                    connection.execute(delete(crosswalk).where(crosswalk.c.id.in_(found)))
                    return len(found)
        return 0

    def _open_studies(self) -> Sequence[Any]:
        # What has not begun has no output, and may become another project's.
        begun = or_(study.c.output.is_not(None), study.c.status.not_in(list(states.BEFORE_WORK)))
        return study.c.project == self.project, study.c.forgotten == 0, begun

    def _close_studies(self, actor: str) -> int:
        with self.engine.begin() as connection:
            overwrite(connection)
            found = connection.scalars(select(study.c.id).where(*self._open_studies()).limit(_STUDIES)).all()
            digests = select(study.c.origin).where(study.c.id.in_(found), study.c.origin.is_not(None))
            connection.execute(delete(origin).where(origin.c.study_digest.in_(digests)))
            close_studies(connection, found, actor, REASON)
            return len(found)

    def _erase_lists(self) -> None:
        """Delete what lists say of its studies: pseudonyms, sealed with the master key."""
        with self.engine.begin() as connection:
            overwrite(connection)
            connection.execute(delete(origin).where(origin.c.project == self.project))
            query = select(batch_row.c.id, batch_row.c.query, batch.c.project).join(
                batch, batch.c.id == batch_row.c.batch_id
            )
            ended = batch_row.c.state.not_in(list(states.ROW_OPEN))
            mine = [row.id for row in connection.execute(query.where(ended)) if self._is_his(row.query, row.project)]
            for at in range(0, len(mine), _ROWS):
                connection.execute(delete(batch_row).where(batch_row.c.id.in_(mine[at : at + _ROWS])))
