"""Routes on destinations: what there is, does it answer, pause, go on, send the failed ones again."""

from typing import Any

from .. import destinations, states
from ..database.deliveries import Deliveries
from ..database.gates import Gates
from ..errors import Conflict, DeidError, NotFound
from ..intake.examine import deliver_by_hand
from ..openings import opens_in_s
from ..pipeline import EXPORT, Job
from ..settings import Destination
from .parameters import DestinationName, Held, User
from .runtime import Runtime


def list_destinations(runtime: Held) -> Any:
    """List the destinations with what waits for each."""
    counts = Deliveries(runtime.database).counts()
    return {"items": [_told(runtime, each, counts) for each in runtime.settings.configuration.destinations]}


def check_destination(runtime: Held, name: DestinationName) -> Any:
    """Speak to a destination without sending anything."""
    try:
        return {"ok": True, "detail": destinations.connect(_named(runtime, name), runtime.orthanc).check()}
    except DeidError as error:
        return {"ok": False, "detail": str(error)}


def pause_destination(runtime: Held, name: DestinationName, user: User) -> Any:
    """Send nothing more to a destination; what is being sent stops at the next piece and is finished later."""
    Gates(runtime.database).set_paused(_named(runtime, name).name, paused=True, actor=user)
    return _told(runtime, _named(runtime, name), Deliveries(runtime.database).counts())


def resume_destination(runtime: Held, name: DestinationName, user: User) -> Any:
    """Let a paused destination go on, at once."""
    Gates(runtime.database).set_paused(_named(runtime, name).name, paused=False, actor=user)
    for delivery in Deliveries(runtime.database).open_at(name, states.PENDING):
        study = runtime.ledger.get(delivery.study_id)
        runtime.queue.hasten(Job(EXPORT, study.id, study.version, study.run).exports_to(name))
    return _told(runtime, _named(runtime, name), Deliveries(runtime.database).counts())


def resend_failed(runtime: Held, name: DestinationName, user: User) -> Any:
    """Send all studies again whose delivery to this destination has failed for good; what has arrived is not sent."""
    started = refused = 0
    for delivery in Deliveries(runtime.database).open_at(_named(runtime, name).name, states.UNDELIVERED):
        try:
            deliver_by_hand(runtime.intake, runtime.ledger.get(delivery.study_id), [name], anew=False, actor=user)
            started += 1
        except (Conflict, NotFound):
            refused += 1
    return {"started": started, "refused": refused}


def _named(runtime: Runtime, name: str) -> Destination:
    for destination in runtime.settings.configuration.destinations:
        if destination.name == name:
            return destination
    raise NotFound("no destination of that name is configured")


def _told(runtime: Runtime, destination: Destination, counts: dict[str, dict[str, int]]) -> dict[str, Any]:
    return {
        "name": destination.name,
        "kind": destination.kind,
        "required": destination.required,
        "paused": bool(Gates(runtime.database).get(destination.name).paused),
        "opens_in_s": round(opens_in_s(destination), 1),
        "deliveries": counts.get(destination.name, {}),
    }
