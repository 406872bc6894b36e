"""The batch of a run: begun once, found again after a kill, watched to its end, and what it has brought."""

import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from .. import states
from ..cli.batch_answers import rows_of
from ..cli.server import Server
from .entries import Entry
from .options import Options
from .run_folder import RunFolder
from .selection import FIRST_LINE, Selection, query

FILE = "batch.json"
POLL_S, LINE_S = 0.5, 10.0
ENDED = (states.BATCH_DONE, states.BATCH_CANCELLED)
HERE = (states.ROW_DELIVERED, states.ROW_DUPLICATE)
Tell = Callable[[str], None]


@dataclass(frozen=True)
class Pulled:
    """What came of one entry: Orthanc's ids of the studies that are here, and why others are not."""

    line: int
    studies: Sequence[str]
    error: str = ""  # nothing that a later run would mend by itself
    later: str = ""  # a later run can mend it
    left: bool = False  # more studies than a run takes

    def values(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return asdict(self)


def begin(server: Server, folder: RunFolder, asked: Options, selection: Selection) -> int:
    """Begin the batch, or find the one that this run has begun before it was killed; answer its number."""
    noted = folder.read(FILE) if (folder.path / FILE).exists() else None
    if noted is None:
        noted = {"key": f"staging-{secrets.token_hex(16)}"}
        folder.write(FILE, noted)  # before anything is begun: the key begins one batch, however often it is sent
    wanted = _wanted(asked, selection) | {"key": noted["key"], "list": query(selection.chosen, asked.modalities)}
    number = int(server.call("POST", "/deid/batches", wanted)["id"])
    folder.write(FILE, noted | {"id": number})
    return number


def _wanted(asked: Options, selection: Selection) -> dict[str, str | bool | int | None]:
    """Return how the list is fetched."""
    most = None if selection.counted else asked.most
    how = {"source": asked.source, "project": asked.project, "to": "local", "mode": "retrieve"}
    return how | {"hold": True, "most": most}


def await_end(server: Server, number: int, tell: Tell) -> dict[str, Any]:
    """Wait until every row has ended; what is stopped here goes on in the server."""
    told_at = time.monotonic()
    while True:
        batch: dict[str, Any] = server.call("GET", f"/deid/batches/{number}")
        if batch["state"] in ENDED:
            return batch
        if time.monotonic() - told_at > LINE_S:
            told_at = time.monotonic()
            open_ = sum(batch["rows"].get(state, 0) for state in states.ROW_OPEN)
            total, counts = sum(batch["rows"].values()), batch["instances"]
            paused = " (paused: orthanc-deid batches resume)" if batch["state"] == states.BATCH_PAUSED else ""
            tell(f"  {total - open_} of {total} lines, {counts['arrived']} of {counts['expected']} instances{paused}")
        time.sleep(POLL_S)


def pulled(server: Server, number: int, chosen: Sequence[Entry]) -> list[Pulled]:
    """Return what came of each entry, in their order."""
    rows = {row["line"]: row for row in rows_of(server, number)}
    return [_pulled(server, entry, rows[FIRST_LINE + place]) for place, entry in enumerate(chosen)]


def _pulled(server: Server, entry: Entry, row: Mapping[str, Any]) -> Pulled:
    here = [study for study in row["studies"] if study["state"] in HERE]
    ids = [study["orthanc"] or _look_up(server, entry) for study in here]
    left = any(study["state"] == states.ROW_SKIPPED for study in row["studies"])
    error = later = ""
    if row["state"] == states.ROW_CANCELLED:
        later = "the batch was cancelled"
    elif row["state"] not in (*HERE, states.ROW_SKIPPED):
        error = row["state"] + (f": {row['reason']}" if row["reason"] else "")
    elif None in ids:
        later = "another line or batch fetches the same study: run again"
    return Pulled(entry.line, [each for each in ids if each], error, later, left or row["state"] == states.ROW_SKIPPED)


def _look_up(server: Server, entry: Entry) -> str | None:
    """Return what another line has fetched, where this one names its study."""
    if len(entry.uids) != 1:
        return None
    wanted = {"Level": "Study", "Query": {"StudyInstanceUID": entry.uids[0]}}
    return next(map(str, server.call("POST", "/tools/find", wanted)), None)
