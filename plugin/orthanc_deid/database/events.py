"""Events: what happened to a study, each written in the transaction that made it happen, and audited with it."""

import time

from sqlalchemy import Connection, insert

from .. import states
from .audit import record
from .tables import event

REASON_LENGTH = 500
TOLD_LENGTH = 200  # of a reason in the audit
# What the audit says of a state of a study, and of a delivery; those on the way are not in it.
STUDY_RECORDS = {
    states.IGNORED: "ignored", states.REVIEW: "held", states.REJECTED: "rejected", states.QUARANTINED: "quarantined",
    states.FAILED: "failed", states.CANCELLED: "cancelled", states.DONE: "done",
}  # fmt: skip
DELIVERY_RECORDS = {
    states.SENT: "exported", states.CONFIRMED: "confirmed", states.UNDELIVERED: "failed",
    states.CANCELLED: "cancelled",
}  # fmt: skip
BY_ITSELF = ("system", "retention")


def note(  # noqa: PLR0913  # the columns of an event
    connection: Connection, study_id: int, version: int, status: str, reason: str | None, actor: str,
    destination: str | None = None,
) -> None:  # fmt: skip
    """Write an event beside the change of state that it is about, and have it audited."""
    remark(connection, study_id, version, status, reason, actor, destination)
    audit(connection, study_id, version, status, reason, actor, destination)


def remark(  # noqa: PLR0913  # the columns of an event
    connection: Connection, study_id: int, version: int, status: str, reason: str | None, actor: str,
    destination: str | None = None,
) -> None:  # fmt: skip
    """Write an event that is no change of state."""
    connection.execute(
        insert(event).values(
            study_id=study_id, at=time.time(), version=version, status=status, destination=destination,
            reason=short(reason), actor=actor[:64],
        )
    )  # fmt: skip


def audit(  # noqa: PLR0913  # the columns of an event
    connection: Connection, study_id: int, version: int, status: str, reason: str | None, actor: str,
    destination: str | None = None,
) -> None:  # fmt: skip
    """Audit a change of state that is a decision: of a person, or an end of the study or of a way out of here."""
    what = (DELIVERY_RECORDS if destination else STUDY_RECORDS).get(status)
    if what is None and status in (states.QUEUED, states.PENDING) and actor not in BY_ITSELF:
        what = "begun"
    # Why a person has rejected is his own text, and nothing can be taken out of the audit any more.
    told = reason[:TOLD_LENGTH] if reason and status != states.REJECTED else None
    if what:
        record(connection, what, actor=actor, study_id=study_id, version=version, destination=destination, reason=told)


def short(reason: str | None) -> str | None:
    """Cut a reason to the width of its column."""
    return reason[:REASON_LENGTH] if reason else None
