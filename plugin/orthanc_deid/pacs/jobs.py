"""Jobs of our Orthanc that retrieve: found again after a death, waited for, and cancelled where nobody waits."""

import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from typing import Any

from ..errors import NotFound, Rejected, Retriable
from ..orthanc_rest import ENDED, Orthanc
from .base import Level

POLL_S = 0.5
UNDER_WAY = ("Pending", "Running", "Retry")
# How a job names what it retrieves.
TAGS: Mapping[Level, str] = {"study": "0020,000d", "series": "0020,000e", "instance": "0008,0018"}


def under_way(orthanc: Orthanc, ae: str, goal: str, level: Level, wanted: Collection[str]) -> str | None:
    """Return the job that has just these UIDs sent from `ae` to `goal`: a worker that died has left it behind.

    Orthanc 1.10.1 does not tell where a job sends to: there any goal counts.
    """
    for job in orthanc.get("/jobs?expand"):
        content = job.get("Content") or {}
        is_ours = content.get("RemoteAet") == ae and content.get("TargetAet", goal) == goal
        if is_ours and job.get("State") in UNDER_WAY and _uids(content, level) == set(wanted):
            return str(job["ID"])
    return None


def ended(orthanc: Orthanc, job: str, going: Callable[[], object], stuck_s: float) -> dict[str, Any]:
    """Wait for the end of a job and return it; whatever ends the waiting before cancels the job.

    Raises
    ------
    Retriable
        Nothing has changed for `stuck_s`, neither in the job nor in what Orthanc holds.
    """
    try:
        return _ended(orthanc, job, going, stuck_s)
    except BaseException:
        with suppress(NotFound, Rejected, Retriable):  # it has ended meanwhile, or Orthanc is away
            orthanc.call("POST", f"/jobs/{job}/cancel", b"{}")
        raise


def _ended(orthanc: Orthanc, job: str, going: Callable[[], object], stuck_s: float) -> dict[str, Any]:
    seen: object = None
    end, pause = time.monotonic() + stuck_s, 0.02
    while True:
        state = dict(orthanc.get(f"/jobs/{job}"))
        if state["State"] in ENDED:
            return state
        going()
        now = (state["State"], state.get("Progress"), _held(orthanc) if pause >= POLL_S else 0)
        if now != seen:
            seen, end = now, time.monotonic() + stuck_s
        if time.monotonic() > end:
            raise Retriable(f"nothing came in {stuck_s:.0f} s")
        time.sleep(pause)
        pause = min(pause * 1.5, POLL_S)


def _held(orthanc: Orthanc) -> int:
    """Return how many instances our Orthanc holds: an older one tells no progress within a C-MOVE."""
    return int(orthanc.get("/statistics")["CountInstances"])


def _uids(content: Mapping[str, Any], level: Level) -> set[str]:
    """Return the UIDs that a job retrieves; none where it retrieves at another level."""
    found: set[str] = set()
    for query in content.get("Query") or []:
        named = [each for each in TAGS if query.get(TAGS[each])]
        if named[-1:] != [level]:
            return set()
        found |= set(str(query[TAGS[level]]).split("\\"))
    return found
