"""Release what may be pushed and wait until it has arrived; what the hook refuses is rejected."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from .. import states
from ..cli.server import Server
from . import studies
from .batch import Tell
from .studies import Rested

NEWER = "instances have arrived since the hook was asked: run again"


def reject(server: Server, study: str, reason: str) -> None:
    """Reject a study that waits; one that does not is left as it is."""
    if status(server, study)["status"] == states.REVIEW:
        server.refused(f"/deid/studies/{study}/reject", {"reason": reason})


def push(server: Server, released: Sequence[Rested], tell: Tell) -> dict[str, dict[str, Any]]:
    """Have all delivered side by side; answer for each study its end, or why it waits still."""
    ends = {study.id: _release(server, study) for study in released}
    for place, study in enumerate(released):
        if ends[study.id] is None:
            ends[study.id] = _end(studies.rest(server, study.id))
            tell(f"  {place + 1} of {len(released)} pushed")
    return {study: end for study, end in ends.items() if end}


def _release(server: Server, study: Rested) -> dict[str, Any] | None:
    """Approve a study once; None: it is on its way or has ended."""
    found = status(server, study.id)
    if found["status"] != states.REVIEW:
        return None
    if found["version"] != study.version:
        return _end(found | {"reason": NEWER})
    why = server.refused(f"/deid/studies/{study.id}/approve")
    found = status(server, study.id)
    return _end(found | {"reason": why}) if why and found["status"] == states.REVIEW else None


def status(server: Server, study: str) -> dict[str, Any]:
    """Return what the product says of a study now."""
    found: dict[str, Any] = server.call("GET", f"/deid/studies/{study}")
    return found


def _end(found: Mapping[str, Any]) -> dict[str, Any]:
    at = datetime.now(UTC).isoformat(timespec="seconds")
    return {"status": found["status"], "reason": found["reason"] or "", "at": at}
