"""Routes on retention: what would be deleted, and deleting it now."""

from collections.abc import Iterable
from typing import Any

from ..retention import Removal
from .parameters import Held, User
from .runtime import Runtime

WAIT_S = 30.0  # below the time-out of the plugin's route


def preview_retention(runtime: Held) -> Any:
    """Tell what the retention rules would delete now; nothing is deleted."""
    return _told(runtime, runtime.retainer.plan())


def run_retention(runtime: Held, user: User) -> Any:
    """Delete what the retention rules name now, and tell what was deleted within half a minute; the rest goes on."""
    return _told(runtime, runtime.retainer.run(WAIT_S, user))


def _told(runtime: Runtime, removals: Iterable[Removal]) -> dict[str, Any]:
    items = [
        {
            "study": runtime.ledger.get(removal.study).address,
            "what": removal.what,
            "reason": removal.reason,
            "bytes": removal.bytes,
        }
        for removal in removals
    ]
    return {"items": items, "bytes": sum(item["bytes"] for item in items)}
