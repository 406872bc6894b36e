"""What senders have announced: how many instances a study has, and which; UIDs as digests only."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, Engine, insert, select, update
from sqlalchemy.exc import IntegrityError

from ..sealed import Seal
from .intake_tables import manifest
from .origins import KIND

INSTANCE = "instance"  # kind of the digests of SOP Instance UIDs


@dataclass(frozen=True)
class Manifest:
    """What a sender says of one study; `sop_uids` is empty where it tells the number only."""

    study_uid: str
    instances: int
    sop_uids: Sequence[str] = ()


@dataclass(frozen=True)
class Announced:
    """What was announced of one study; `digests` of its SOP Instance UIDs, None where only the number is known."""

    instances: int
    digests: frozenset[str] | None


class Manifests:
    """One row for each study that was announced."""

    def __init__(self, engine: Engine, seal: Seal) -> None:
        self._engine, self._seal = engine, seal

    def digest(self, sop_uid: str) -> str:
        """Return what stands for a SOP Instance UID."""
        return self._seal.digest(INSTANCE, sop_uid)

    def find(self, study_uid: str) -> Announced | None:
        """Return what was announced of a study."""
        query = select(manifest).where(manifest.c.study_digest == self._seal.digest(KIND, study_uid))
        with self._engine.connect() as connection:
            row = connection.execute(query).first()
        if row is None:
            return None
        return Announced(row.instances, frozenset(row.digests.split("\n")) if row.digests else None)

    def note(self, announced: Sequence[Manifest], actor: str) -> list[bool]:
        """Remember manifests, all or none; answer for each whether it replaces one."""
        rows = [self._row(each, actor) for each in announced]
        # By one order: two callers that lock the same rows in two would wait for each other.
        order = sorted(range(len(rows)), key=lambda number: str(rows[number]["study_digest"]))
        for left in (1, 0):
            try:
                with self._engine.begin() as connection:
                    replaced = {number: _write(connection, rows[number]) for number in order}
            except IntegrityError:  # another caller announced one of them at this moment
                if not left:
                    raise
            else:
                return [replaced[number] for number in range(len(rows))]
        raise AssertionError

    def _row(self, announced: Manifest, actor: str) -> dict[str, object]:
        return {
            "study_digest": self._seal.digest(KIND, announced.study_uid),
            "instances": announced.instances,
            "digests": "\n".join(self.digest(uid) for uid in announced.sop_uids) or None,
            "actor": actor[:64],
            "at": time.time(),
        }


def _write(connection: Connection, row: dict[str, object]) -> bool:
    which = manifest.c.study_digest == row["study_digest"]
    if connection.execute(update(manifest).where(which).values(**row)).rowcount:
        return True
    connection.execute(insert(manifest).values(**row))
    return False
