"""Routes on instances that came again with another content: list them, decide."""

from typing import Annotated, Any

from fastapi import Path, Query
from fastapi.exceptions import RequestValidationError

from ..database import views
from ..database.conflicts import STATES, Conflicts, Contested
from ..intake.conflicts import decide
from .models import Decision
from .parameters import ORTHANC_ID, Held, User
from .runtime import Runtime

ConflictId = Annotated[int, Path(ge=1, lt=2**31, description="our own number of the conflict")]


def list_conflicts(
    runtime: Held,
    state: Annotated[str | None, Query(description="only those in this state; without: those that are open")] = "open",
    study: Annotated[
        str | None, Query(pattern=ORTHANC_ID, description="only those of this study, in any state")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=1000, description="most conflicts in the answer")] = 100,
    cursor: Annotated[str | None, Query(pattern="^[0-9]{1,9}$", description="`next` of the page before")] = None,
) -> Any:
    """List instances that came again with another content, newest first."""
    if state not in (None, *STATES):
        message = f"not a state (known: {', '.join(STATES)})"
        raise RequestValidationError([{"loc": ("query", "state"), "msg": message}])
    number = views.one(runtime.database, study)["id"] if study else None
    found = Conflicts(runtime.database).page(
        state=None if study else state, study_id=number, limit=limit, after=int(cursor) if cursor else None
    )
    return {
        "items": [_told(runtime, one) for one in found],
        "next": str(found[-1].id) if len(found) == limit else None,
    }


def decide_conflict(runtime: Held, conflict: ConflictId, wanted: Decision, user: User) -> Any:
    """Decide which content stays; what has arrived takes the place of what is stored as soon as its study rests."""
    decided = decide(runtime.intake, conflict, wanted.keep, user)
    runtime.reconcile.hint()
    return _told(runtime, decided)


def _told(runtime: Runtime, one: Contested) -> dict[str, Any]:
    about = runtime.conflicts.about(one.file)
    return {
        "id": one.id,
        "study": runtime.ledger.get(one.study_id).address,
        "instance": one.instance,
        "state": one.state,
        "attributes": about.get("attributes"),
        "origin": about.get("origin"),
        "bytes": about.get("bytes"),
        "at": views.iso(one.at),
        "actor": one.actor,
        "resolved_at": views.iso(one.resolved_at),
    }
