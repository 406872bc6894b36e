"""The studies of a run: waited for until they have come to rest, with what the hook is told of them."""

import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from .. import states
from ..cli.server import Server
from ..errors import Rejected
from .batch import LINE_S, POLL_S, Tell
from .hook_protocol import Original, Output, Study

FILE = "studies.json"
AT_WORK = states.ACTIVE | {states.RECEIVED, states.WAITING}
COMING_S = 600.0  # after which instances that Orthanc has and the product does not yet know are not waited for
COMING = "instances are still arriving: run again"
UNKNOWN = "the product does not know the study: is its Orthanc another one?"
ON_ARRIVAL = "instances are de-identified on arrival here: nothing identified is left to ask about or to hold back"
_SHORT = 3  # letters; shorter parts of a name are words of every sentence
ATTRIBUTES = ("PatientID", "AccessionNumber", "StudyInstanceUID", "StudyDate")


@dataclass(frozen=True)
class Rested:
    """A study that nothing happens with until a person or this run acts."""

    id: str
    lines: Sequence[int]
    status: str
    reason: str
    version: int
    original: Mapping[str, str]  # identified; empty where it is gone
    output: Mapping[str, str]
    identities: Sequence[str]  # what may stand in no text about it

    @property
    def waits(self) -> bool:
        """Whether it can be released."""
        return self.status == states.REVIEW

    def told(self) -> Study:
        """Return it as hooks get it."""
        return Study(self.id, self.status, tuple(self.lines), Original(**self.original), Output(**self.output))

    def values(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return asdict(self)


def await_rest(server: Server, studies: Mapping[str, Sequence[int]], tell: Tell) -> list[Rested]:
    """Wait for each study (id to lines of the list) and describe it."""
    found: list[Rested] = []
    told_at = time.monotonic()

    def tell_now_and_then() -> None:
        nonlocal told_at
        if time.monotonic() - told_at > LINE_S:
            told_at = time.monotonic()
            tell(f"  {len(found)} of {len(studies)} studies have come to rest")

    for study, lines in studies.items():
        answer = rest(server, study, tell_now_and_then)
        found.append(_described(server, answer, lines))
    return found


def _nothing() -> None:
    """Do nothing while it is waited."""


def rest(server: Server, study: str, meanwhile: Callable[[], None] = _nothing) -> dict[str, Any]:
    """Return what the product says of a study when nothing happens with it any more."""
    coming_until = time.monotonic() + COMING_S
    while True:
        found = _ask(server, study)
        if found and not _is_at_work(found):
            if not _is_coming(server, found) and not _take_up(server, found):
                return found
            if time.monotonic() > coming_until:
                return found | {"status": states.WAITING, "reason": COMING}
        elif not found and time.monotonic() > coming_until:
            raise Rejected(UNKNOWN)
        meanwhile()
        time.sleep(POLL_S)


def _ask(server: Server, study: str) -> dict[str, Any] | None:
    """Return what the product says, None where it does not know the study yet."""
    answer = server.find(f"/deid/studies/{study}")
    return dict(answer) if answer else None


def _is_at_work(found: Mapping[str, Any]) -> bool:
    held = found["status"] == states.WAITING and found["awaited"] and found["awaited"]["until"] is None
    return found["status"] in AT_WORK and not held


def _is_coming(server: Server, found: Mapping[str, Any]) -> bool:
    """Tell whether Orthanc has instances that the product has not looked at yet."""
    if found["status"] not in (states.REVIEW, states.DONE):
        return False
    held = server.find(f"/studies/{found['source']}/statistics")
    return bool(held) and int(held["CountInstances"]) > found["instances"]["received"]


def _take_up(server: Server, found: Mapping[str, Any]) -> bool:
    """Have instances de-identified that came to a study while it waited in review; False where there are none."""
    counts = found["instances"]
    if found["status"] != states.REVIEW or counts["received"] <= counts["deidentified"] + counts["quarantined"]:
        return False
    server.refused(f"/deid/studies/{found['source']}/process")  # it waits again afterwards: it is held
    return True


def _described(server: Server, found: Mapping[str, Any], lines: Sequence[int]) -> Rested:
    if found["output"] == found["source"]:
        raise Rejected(ON_ARRIVAL)
    tags = _tags(server, found["source"])
    made = _tags(server, found["output"]) if found["output"] else {}
    original = {name: tags.get(name, "") for name in ATTRIBUTES}
    output = {name: made.get(name, "") for name in ATTRIBUTES} | {"orthanc": found["output"] or ""}
    return Rested(
        found["source"], list(lines), found["status"], found["reason"] or "", found["version"], original, output,
        sorted(identities(tags)),
    )  # fmt: skip


def _tags(server: Server, study: str) -> dict[str, str]:
    found = server.find(f"/studies/{study}") or {}
    return {**found.get("PatientMainDicomTags", {}), **found.get("MainDicomTags", {})}


def identities(tags: Mapping[str, str]) -> Iterable[str]:
    """Yield what tells a patient: numbers, UID and birth date whole, names in their parts."""
    for name in ("PatientID", "AccessionNumber", "StudyInstanceUID", "PatientBirthDate", "StudyID"):
        if tags.get(name):
            yield tags[name]
    for name in ("PatientName", "ReferringPhysicianName"):
        yield from (part for part in re.split(r"[\s^=,]+", tags.get(name, "")) if len(part) >= _SHORT)
