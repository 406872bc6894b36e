"""Routes on sources: what there is, how each is, does it answer, pause, go on."""

from datetime import UTC, datetime
from typing import Any

from ..collect import KINDS
from ..collect.checking import check
from ..database.collected import Collected
from ..database.gates import Gates
from ..errors import DeidError, NotFound
from ..openings import opens_in_s
from ..settings.sources import AnySource
from .parameters import Held, SourceName, User
from .runtime import Runtime


def list_sources(runtime: Held) -> Any:
    """List the sources with what waits and what was taken."""
    return {"items": [_told(runtime, each) for each in runtime.settings.configuration.sources]}


def show_source(runtime: Held, name: SourceName) -> Any:
    """Show one source."""
    return _told(runtime, _named(runtime, name))


def check_source(runtime: Held, name: SourceName) -> Any:
    """Speak to a source without taking anything."""
    source = _named(runtime, name)
    try:
        return {"ok": True, "detail": check(source, runtime.orthanc)}
    except DeidError as error:
        return {"ok": False, "detail": str(error)}


def pause_source(runtime: Held, name: SourceName, user: User) -> Any:
    """Take nothing more from a source; what is being taken is finished."""
    return _set_paused(runtime, name, user, paused=True)


def resume_source(runtime: Held, name: SourceName, user: User) -> Any:
    """Let a paused source go on."""
    return _set_paused(runtime, name, user, paused=False)


def _set_paused(runtime: Runtime, name: str, user: str, *, paused: bool) -> dict[str, Any]:
    source = _named(runtime, name)
    Gates(runtime.database).set_paused(source.name, paused=paused, actor=user, what="source")
    return _told(runtime, source)


def _named(runtime: Runtime, name: str) -> AnySource:
    for source in runtime.settings.configuration.sources:
        if source.name == name:
            return source
    raise NotFound("no source of that name is configured")


def _told(runtime: Runtime, source: AnySource) -> dict[str, Any]:
    status = Collected(runtime.database).status(source.name)
    seen = source.kind in KINDS and status.looked_at is not None
    return {
        "name": source.name,
        "kind": source.kind,
        "project": source.project,
        "paused": bool(Gates(runtime.database).get(source.name).paused),
        "opens_in_s": round(opens_in_s(source), 1),
        "state": status.state if seen else None,
        "reason": status.reason,
        "waiting": status.waiting,
        "taken": status.taken,
        "refused": status.refused,
        "looked_at": datetime.fromtimestamp(status.looked_at, UTC).isoformat() if status.looked_at else None,
    }
