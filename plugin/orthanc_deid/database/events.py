"""Events: what happened to a study, each written in the transaction that made it happen."""

import time

from sqlalchemy import Connection, insert

from .tables import event

REASON_LENGTH = 500


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


def short(reason: str | None) -> str | None:
    """Cut a reason to the width of its column."""
    return reason[:REASON_LENGTH] if reason else None
