"""Routes on studies that were in Orthanc before, or were processed by something else."""

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import Query
from fastapi.exceptions import RequestValidationError

from ..database import marks
from ..errors import NotFound
from ..intake.examine import NO_PROJECT
from ..intake.unprocessed import Place, Unprocessed, Wanted, look
from .models import ProcessedElsewhere
from .parameters import ORTHANC_ID, Held, User
from .runtime import Runtime

ORTHANC_TIME = "%Y%m%dT%H%M%S"
CURSOR = f"^[0-9]{{1,9}}(-{ORTHANC_ID[1:-1]})?$"


def list_unprocessed(
    runtime: Held,
    since: Annotated[
        datetime | None, Query(description="only what has arrived since; ISO 8601, UTC where it names no zone")
    ] = None,
    project: Annotated[str | None, Query(description="only what this project has or would take")] = None,
    limit: Annotated[int, Query(ge=1, le=1000, description="most studies in the answer")] = 100,
    cursor: Annotated[str | None, Query(pattern=CURSOR, description="`next` of the page before")] = None,
) -> Any:
    """List studies in Orthanc that are not processed yet.

    The whole archive is walked; an answer comes after 10 s at the latest, so that it can be empty and have a `next`.
    """
    known = [each.name for each in runtime.settings.configuration.projects]
    if project is not None and project not in known:
        message = f"no project is called so (known: {', '.join(known)})"
        raise RequestValidationError([{"loc": ("query", "project"), "msg": message}])
    found, after = look(runtime.intake, Wanted(_orthanc_time(since), project or ""), Place.of(cursor), limit)
    return {"items": [_told(study) for study in found], "next": None if after is None else str(after)}


def mark_processed(runtime: Held, wanted: ProcessedElsewhere, user: User) -> Any:
    """Say that studies were processed by something else: they are left alone until a person starts them."""
    found = {source: _last_update(runtime, source) for source in wanted.studies}
    counts = marks.mark(runtime.database, found, user, may_change=(NO_PROJECT,))
    absent = sum(seen is None for seen in found.values())
    return {
        "marked": counts.marked,
        "already": counts.already,
        "at_work": counts.at_work,
        "results": counts.results,
        "absent": absent,
    }


def _last_update(runtime: Runtime, source: str) -> str | None:
    """Return Orthanc's LastUpdate of a study; None where it does not hold it."""
    try:
        return str(runtime.orthanc.study(source)["LastUpdate"])
    except NotFound:
        return None


def _orthanc_time(since: datetime | None) -> str:
    if since is None:
        return ""
    return (since if since.tzinfo else since.replace(tzinfo=UTC)).astimezone(UTC).strftime(ORTHANC_TIME)


def _told(study: Unprocessed) -> dict[str, object]:
    arrived = datetime.strptime(study.last_update[:15], ORTHANC_TIME).replace(tzinfo=UTC)
    return {
        "source": study.source,
        "status": study.status,
        "project": study.project,
        "last_update": arrived.isoformat(),
    }
