"""Routes on studies: list, show, start, stop, deliver."""

from typing import Annotated, Any

from fastapi import Query
from fastapi.exceptions import RequestValidationError

from .. import states
from ..database import views
from ..database.deliveries import Deliveries
from ..database.ledger import Instance, Study
from ..errors import ConfigurationError, Conflict, NotFound
from ..intake.examine import deliver_by_hand, start_by_hand
from ..pipeline import DEIDENTIFY, Job
from .models import Export, Processed, Rejection
from .parameters import Held, StudyId, User
from .runtime import Runtime

AS_CONFIGURED = Processed()


def list_studies(  # noqa: PLR0913  # the keys of a query
    runtime: Held,
    status: Annotated[str | None, Query(description="states, separated by commas")] = None,
    project: Annotated[str | None, Query(description="only this project")] = None,
    profile: Annotated[str | None, Query(description="only made by it: its name, or its digest")] = None,
    limit: Annotated[int, Query(ge=1, le=1000, description="most studies in the answer")] = 100,
    cursor: Annotated[str | None, Query(pattern="^[0-9]{1,18}$", description="`next` of the page before")] = None,
) -> Any:
    """List studies, newest first."""
    if set((status or "").split(",")) - {"", *states.STATES}:
        message = f"not a state (known: {', '.join(states.STATES)})"
        raise RequestValidationError([{"loc": ("query", "status"), "msg": message}])
    items, after = views.studies(
        runtime.database, status=status, project=project, profile=profile, limit=limit,
        after=int(cursor) if cursor else None,
    )  # fmt: skip
    return {"items": items, "next": None if after is None else str(after)}


def show_study(runtime: Held, study: StudyId) -> Any:
    """Show one study with its events."""
    return views.one(runtime.database, study)


def process_study(runtime: Held, study: StudyId, user: User, wanted: Processed = AS_CONFIGURED) -> Any:
    """Start a study now, stable or not; one that is done starts again only if instances have arrived since.

    In a project that is named it becomes a further study, with pseudonyms of its own, unless that is its own project.
    """
    try:
        number = start_by_hand(runtime.intake, study, user, wanted.project)
    except ConfigurationError as error:
        if not wanted.project:
            raise
        raise RequestValidationError([{"loc": ("body", "project"), "msg": str(error)}]) from None
    return views.one(runtime.database, runtime.ledger.get(number).address)


def known(runtime: Runtime, study: str) -> Study:
    """Return the study of the ledger with that id, or raise NotFound."""
    found = runtime.ledger.find(str(views.one(runtime.database, study)["address"]))
    if found is None:
        raise NotFound("no study of that id is known")
    return found


def retry_study(runtime: Held, study: StudyId, user: User) -> Any:
    """Start a quarantined, failed or cancelled study again; hasten the next attempt of one that waits."""
    found = known(runtime, study)
    if found.status in states.ACTIVE:
        prefix = Job(DEIDENTIFY, found.id, found.version, found.run).prefix
        if not runtime.queue.hasten(prefix):
            raise Conflict(f"the study is {found.status}: it is at work, nothing waits")
    elif found.status in (states.QUARANTINED, states.FAILED, states.CANCELLED):
        _start_again(runtime, found, user)
    else:
        raise Conflict(f"the study is {found.status}: there is nothing to retry")
    return views.one(runtime.database, found.address)


def _start_again(runtime: Runtime, found: Study, actor: str) -> None:
    """Deliver what is verified; make it again where somebody has deleted what is still to be sent."""
    unverified = found.version < 1 or found.verified_version < found.version
    if unverified or found.hold or not runtime.ledger.is_begun(found.id):
        start_by_hand(runtime.intake, found.address, actor)
        return
    lost = _lost(runtime, found)
    if not lost:
        deliver_by_hand(runtime.intake, found, (), anew=False, actor=actor)
        return
    gone = {i.source for i in lost} - runtime.orthanc.present(found.source)
    if gone:
        raise Conflict(
            f"{len(lost)} instances of the result that are still to be sent are no longer in this Orthanc, and the"
            f" sources of {len(gone)} of them neither: send these to it again"
        )
    runtime.ledger.renew(found.id, found.run, lost)
    start_by_hand(runtime.intake, found.address, actor)


def _lost(runtime: Runtime, found: Study) -> list[Instance]:
    """Return the instances that a destination does not have yet and that are no longer in Orthanc."""
    open_ = [d for d in Deliveries(runtime.database).of(found.id) if d.confirmed_version < d.version]
    least = min((d.confirmed_version for d in open_), default=found.version)
    made = runtime.ledger.instances(found.id, state=states.INSTANCE_DEIDENTIFIED)
    needed = [i for i in made if i.version > least]
    present = runtime.orthanc.present(found.output) if needed and found.output else set()
    return [i for i in needed if i.output not in present]


def cancel_study(runtime: Held, study: StudyId, user: User) -> Any:
    """Stop a study that waits or is at work; what was sent already stays where it is."""
    found = known(runtime, study)
    runtime.ledger.cancel(found.id, user)
    runtime.queue.cancel(Job(DEIDENTIFY, found.id, found.version, found.run).prefix)
    return views.one(runtime.database, found.address)


def approve_study(runtime: Held, study: StudyId, user: User) -> Any:
    """Release a study that waits in review: it is delivered."""
    found = known(runtime, study)
    if found.status != states.REVIEW:
        raise Conflict(f"the study is {found.status}: nobody is asked to release it")
    deliver_by_hand(runtime.intake, found, (), anew=False, actor=user, approved=True)
    return views.one(runtime.database, found.address)


def reject_study(runtime: Held, study: StudyId, wanted: Rejection, user: User) -> Any:
    """Do not release a study that waits in review; nothing of it leaves."""
    found = known(runtime, study)
    runtime.ledger.reject(found.id, f"rejected: {wanted.reason}" if wanted.reason else "rejected by a person", user)
    return views.one(runtime.database, found.address)


def export_study(runtime: Held, study: StudyId, wanted: Export, user: User) -> Any:
    """Send what is verified to a destination, of the project or not; a second time it is sent once more."""
    found = known(runtime, study)
    try:
        runtime.settings.configuration.destination(wanted.destination)
    except ConfigurationError as error:
        raise RequestValidationError([{"loc": ("body", "destination"), "msg": str(error)}]) from None
    deliver_by_hand(runtime.intake, found, [wanted.destination], anew=wanted.anew, actor=user)
    return views.one(runtime.database, found.address)
