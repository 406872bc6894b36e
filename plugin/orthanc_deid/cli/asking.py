"""Ask for something to be done with studies, one after the other, and wait for their ends."""

import contextlib
import json
import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import click

from .. import states
from .server import Asked, Server

END_STATES = frozenset(states.STATES) - states.ACTIVE - {states.RECEIVED, states.WAITING}
AT_ONCE = 1000  # studies that are waited for side by side; the next is asked for when the first of them has ended
LOOK_S = 0.5


@dataclass
class Counts:
    """How many were taken, and whether all is well."""

    taken: int = 0
    refused: int = 0
    not_done: int = 0
    waited_for: deque[dict[str, Any]] = field(default_factory=deque)

    @property
    def well(self) -> bool:
        """Tell whether none was refused and, where their ends were waited for, all are done."""
        return not (self.refused or self.not_done)


def act(asked: Asked, studies: Iterable[str], verb: str, *, wait: bool, project: str = "") -> Counts:
    """Ask for every study, so that they go through side by side; print what became of each, and count.

    `studies` may be without end: at most AT_ONCE of them are kept. `project`: in this one, of those that it is in.
    """
    server = asked.server()
    counts = Counts()
    for study in studies:
        found = _ask(server, study, verb, project, wait=wait)
        if found is None:
            counts.refused += 1
            continue
        counts.taken += 1
        if not wait:
            _tell(asked, found)
            continue
        counts.waited_for.append(found)
        if len(counts.waited_for) > AT_ONCE:
            _end_first(asked, server, counts)
    while counts.waited_for:
        _end_first(asked, server, counts)
    return counts


def _end_first(asked: Asked, server: Server, counts: Counts) -> None:
    told = _await_end(server, counts.waited_for.popleft()["address"])
    counts.not_done += told["status"] != states.DONE
    _tell(asked, told)


def _tell(asked: Asked, told: dict[str, Any]) -> None:
    why = f" ({told['reason']})" if told["reason"] else ""
    click.echo(json.dumps(told) if asked.as_json else f"{told['address']}: {told['status']}{why}")


def _ask(server: Server, study: str, verb: str, project: str, *, wait: bool) -> dict[str, Any] | None:
    """Ask for one study; where it is refused say why and go on with the next.

    A study that is at work already is as good for who waits for its end.
    """
    try:
        body = {"project": project} if project else None
        answer: dict[str, Any] = server.call("POST", f"/deid/studies/{study}/{verb}", body)
    except click.ClickException as error:
        if wait and verb == "process":
            with contextlib.suppress(click.ClickException):
                answer = _in_project(server, study, project)
                if answer["status"] in states.ACTIVE:
                    return answer
        click.echo(f"{study}: {error.message}", err=True)
        return None
    return answer


def _in_project(server: Server, study: str, project: str) -> dict[str, Any]:
    """Return a study as it is in a project; as it is where it is not in that one."""
    found: dict[str, Any] = server.call("GET", f"/deid/studies/{study}")
    other = next((each["address"] for each in found["also"] if each["project"] == project), None)
    return server.call("GET", f"/deid/studies/{other}") if other else found


def _await_end(server: Server, study: str) -> dict[str, Any]:
    while True:
        found: dict[str, Any] = server.call("GET", f"/deid/studies/{study}")
        if found["status"] in END_STATES:
            return found
        time.sleep(LOOK_S)


def chunks(studies: Iterable[str], size: int) -> Iterator[list[str]]:
    """Yield them in lists of at most that size."""
    found: list[str] = []
    for study in studies:
        found.append(study)
        if len(found) == size:
            yield found
            found = []
    if found:
        yield found
