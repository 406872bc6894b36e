"""The routes as a table: method, path, function, model of the answer."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Header, Path, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel

from .. import states
from ..database import views
from ..database.ledger import Study
from ..errors import Conflict, NotFound
from ..intake.examine import start_by_hand
from ..pipeline import DEIDENTIFY, Job
from .health import examine_health
from .models import Health, StudyAnswer, StudyPage
from .runtime import Runtime


def _runtime(request: Request) -> Runtime:
    runtime: Runtime = request.app.state.runtime
    return runtime


Held = Annotated[Runtime, Depends(_runtime)]
StudyId = Annotated[
    str, Path(pattern="^[0-9a-f]{8}(-[0-9a-f]{8}){4}$", description="Orthanc id of the study, source or output")
]


def _user(sent: Annotated[str, Header(alias="X-Deid-User", include_in_schema=False)] = "") -> str:
    """Read the name that the plugin sends: UTF-8, which the framework takes for Latin-1."""
    return sent.encode("latin-1").decode("utf-8", "replace") or "unknown"


User = Annotated[str, Depends(_user)]


def health(runtime: Held) -> Any:
    """Say what works and what does not; always 200, `status` is `degraded` where something is wrong."""
    return examine_health(runtime)


def list_studies(
    runtime: Held,
    status: Annotated[str | None, Query(description="states, separated by commas")] = None,
    project: Annotated[str | None, Query(description="only this project")] = None,
    limit: Annotated[int, Query(ge=1, le=1000, description="most studies in the answer")] = 100,
    cursor: Annotated[str | None, Query(pattern="^[0-9]{1,18}$", description="`next` of the page before")] = None,
) -> Any:
    """List studies, newest first."""
    if set((status or "").split(",")) - {"", *states.STATES}:
        message = f"not a state (known: {', '.join(states.STATES)})"
        raise RequestValidationError([{"loc": ("query", "status"), "msg": message}])
    items, after = views.studies(
        runtime.database, status=status, project=project, limit=limit, after=int(cursor) if cursor else None
    )
    return {"items": items, "next": None if after is None else str(after)}


def show_study(runtime: Held, study: StudyId) -> Any:
    """Show one study with its events."""
    return views.one(runtime.database, study)


def process_study(runtime: Held, study: StudyId, user: User) -> Any:
    """Start a study now, stable or not; one that is done starts again only if instances have arrived since."""
    start_by_hand(runtime.intake, study, user)
    return views.one(runtime.database, study)


def _known(runtime: Runtime, study: str) -> Study:
    found = runtime.ledger.find(str(views.one(runtime.database, study)["source"]))
    if found is None:
        raise NotFound("no study of that id is known")
    return found


def retry_study(runtime: Held, study: StudyId, user: User) -> Any:
    """Start a quarantined, failed or cancelled study again; hasten the next attempt of one that waits."""
    found = _known(runtime, study)
    if found.status in states.ACTIVE:
        prefix = Job(DEIDENTIFY, found.id, found.version, found.run).prefix
        if not runtime.queue.hasten(prefix):
            raise Conflict(f"the study is {found.status}: it is at work, nothing waits")
    elif found.status in (states.QUARANTINED, states.FAILED, states.CANCELLED):
        start_by_hand(runtime.intake, found.source, user)
    else:
        raise Conflict(f"the study is {found.status}: there is nothing to retry")
    return views.one(runtime.database, found.source)


def cancel_study(runtime: Held, study: StudyId, user: User) -> Any:
    """Stop a study that waits or is at work; what was sent already stays where it is."""
    found = _known(runtime, study)
    runtime.ledger.cancel(found.id, user)
    runtime.queue.cancel(Job(DEIDENTIFY, found.id, found.version, found.run).prefix)
    return views.one(runtime.database, found.source)


def take_hint(runtime: Held) -> Response:
    """Look at Orthanc's changes now."""
    runtime.reconcile.hint()
    return Response(status_code=204)


@dataclass(frozen=True)
class Route:
    """One row; `errors` are the codes beside those that every route has."""

    method: str
    path: str
    function: Callable[..., Any]
    model: type[BaseModel] | None
    status: int = 200
    errors: tuple[int, ...] = ()


ROUTES = (
    Route("GET", "/deid/health", health, Health),
    Route("GET", "/deid/studies", list_studies, StudyPage, errors=(422,)),
    Route("GET", "/deid/studies/{study}", show_study, StudyAnswer, errors=(404, 422)),
    Route("POST", "/deid/studies/{study}/process", process_study, StudyAnswer, 202, (404, 409, 422)),
    Route("POST", "/deid/studies/{study}/retry", retry_study, StudyAnswer, 202, (404, 409, 422)),
    Route("POST", "/deid/studies/{study}/cancel", cancel_study, StudyAnswer, 202, (404, 409, 422)),
    Route("POST", "/internal/hint", take_hint, None, 204),
)
