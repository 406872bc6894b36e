"""Another Orthanc as a source: its /changes are followed, its stable studies fetched; only GET is ever sent to it.

Its events are hints. What is saved is a number of /changes before which every study is dealt with, and for each study
the LastUpdate at which it was. So an event that is read twice costs one question, and none that is read is lost.
"""

import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from ..database.collected import REFUSED, TAKEN, WAITING, WORKING
from ..errors import NotFound
from ..orthanc_rest import Orthanc, peer_address
from ..settings.sources import OrthancSource
from .base import Tools
from .remote_study import Fetched, RemoteStudy, Stopped

KIND, STAMP = "study", "last update"  # of the digests
PAGE = 500
QUIET_S = 60.0  # without an instance, after which a study counts as stable whose event was lost
SWEEP_S = 600.0  # between two looks at all studies
OVERLAP = 50  # studies of a page that are read once more with the next: deletions move all that follow
TIME = "%Y%m%dT%H%M%S"
TRIES = 3  # of a study some of whose instances cannot be read there or are not accepted here


@dataclass(frozen=True)
class Position:
    """What is saved: how far /changes was read, which LastUpdate a study must have, whether all are to be looked at."""

    sequence: int
    floor: str = ""  # in the clock of the other Orthanc, 20261121T080000
    sweep: bool = False

    @classmethod
    def of(cls, text: str) -> "Position":
        """Read what `str` has written."""
        sequence, floor, sweep = text.split(":")
        return cls(int(sequence), floor, sweep == "sweep")

    def __str__(self) -> str:
        """Return it as text for the database."""
        return f"{self.sequence}:{self.floor}:{'sweep' if self.sweep else ''}"


@dataclass
class _Pending:
    """A study that is not stable yet, or of which something is missing."""

    sequence: int | None  # of the first event that told of it; None: it was found by looking at all studies
    last_update: str
    since: float
    tries: int = 0


class OrthancChanges:
    """See `Collector`."""

    def __init__(self, settings: OrthancSource, tools: Tools) -> None:
        self._settings, self._tools = settings, tools
        self._remote = Orthanc(peer_address(settings, "the Orthanc that is followed"))
        self._pending: dict[str, _Pending] = {}
        self._position: Position | None = None  # in memory it is ahead of the saved one while something is pending
        self._saved = ""
        self._swept_at = float("-inf")
        self._taken = 0
        self._is_told = False  # the state says that the present look has something to do

    def look(self) -> bool:
        """Take the studies that have become stable; see `Collector`."""
        before = self._taken
        self._is_told = False
        try:
            self._look()
        except Stopped:
            return False
        self._tools.collected.note_state(self._settings.name, WAITING, waiting=len(self._pending))
        return self._taken > before

    def _look(self) -> None:
        self._position = self._position or self._begin()
        self._read_changes()
        if self._position.sweep and time.monotonic() - self._swept_at >= SWEEP_S:
            self._sweep(self._position.floor)
        self._look_at_pending()
        self._save()

    def wait(self, seconds: float) -> None:
        """Wait that long, or until `stopping` is set."""
        self._tools.stopping.wait(seconds)

    # How far it was read.

    def _begin(self) -> Position:
        """Return where to go on, at the first look where to begin."""
        saved = self._tools.collected.status(self._settings.name).position
        if saved:
            self._saved = saved
            return Position.of(saved)
        floor = "" if self._settings.since == "beginning" else self._now()
        # The end of /changes is asked for before all studies are looked at: what comes meanwhile is seen twice.
        last = int(self._remote.get("/changes?last")["Last"])
        found = Position(last, floor, sweep=self._settings.since == "beginning")
        self._write(found)
        return found

    def _now(self) -> str:
        """Return the time over there, in UTC as LastUpdate has it."""
        return self._remote.call("GET", "/tools/now").decode("ascii", "replace").strip().strip('"')

    def _save(self) -> None:
        """Save a position before which nothing is pending."""
        assert self._position  # noqa: S101  # set by look
        first = min((p.sequence for p in self._pending.values() if p.sequence is not None), default=None)
        sequence = self._position.sequence if first is None else min(first - 1, self._position.sequence)
        is_swept_for = any(p.sequence is None for p in self._pending.values())
        self._write(replace(self._position, sequence=sequence, sweep=self._position.sweep or is_swept_for))

    def _write(self, position: Position) -> None:
        if str(position) != self._saved:
            self._tools.collected.save_position(self._settings.name, str(position))
            self._saved = str(position)

    # What is new.

    def _read_changes(self) -> None:
        """Deal with what has changed, page by page; each page is behind us when all it names is dealt with."""
        while True:
            assert self._position  # noqa: S101  # set by look
            found = self._remote.changes(self._position.sequence)
            changes, last = found["Changes"], int(found["Last"])
            if last < self._position.sequence:
                # Another database under that address: its numbers begin anew, what it holds may be old or new.
                self._pending.clear()
                self._swept_at = float("-inf")
                self._position = Position(last, self._position.floor, sweep=True)
                self._save()
                return
            first = int(changes[0]["Seq"]) if changes else last + 1
            if first > self._position.sequence + 1:  # emptied by somebody, or of what was deleted: nobody can tell
                self._position = replace(self._position, sweep=True)
            self._deal_with(changes)
            self._position = replace(self._position, sequence=last)
            self._save()
            if found["Done"]:
                return

    def _deal_with(self, changes: list[dict[str, Any]]) -> None:
        """Deal with the studies that a page of changes names, in the order in which they are named first."""
        stable = {str(c["ID"]): int(c["Seq"]) for c in changes if c["ChangeType"] == "StableStudy"}
        arrived = {str(c["ID"]): int(c["Seq"]) for c in changes if c["ChangeType"] == "NewInstance"}
        first = stable | self._studies_of(arrived)  # a study's instances come before it is stable
        for study, sequence in sorted(first.items(), key=lambda each: each[1]):
            self._deal(study, sequence, is_quiet=study in stable)

    def _studies_of(self, instances: dict[str, int]) -> dict[str, int]:
        """Map the studies of instances to their first number; two questions a series."""
        left = dict(instances)
        found: dict[str, int] = {}
        while left:
            instance, sequence = left.popitem()
            try:
                series = self._remote.get(f"/series/{self._remote.get(f'/instances/{instance}')['ParentSeries']}")
            except NotFound:
                continue  # deleted since
            numbers = [sequence, *(left.pop(other) for other in series["Instances"] if other in left)]
            study = str(series["ParentStudy"])
            found[study] = min([found.get(study, sequence), *numbers])
        return found

    def _sweep(self, floor: str) -> None:
        """Look at every study, page by page, for what no event told."""
        quiet_since = _before(self._now(), QUIET_S)
        since = 0
        while True:
            page = self._remote.study_page(since, PAGE)
            known = self._tools.collected.stamps(self._settings.name, [self._digest(s["ID"]) for s in page])
            for study in page:
                last_update = str(study["LastUpdate"])
                is_new = known.get(self._digest(study["ID"])) != self._stamp(last_update)
                if is_new and last_update >= floor and study["ID"] not in self._pending:
                    self._deal(str(study["ID"]), None, is_quiet=last_update <= quiet_since)
            if len(page) < PAGE:
                break
            since += len(page) - OVERLAP
        self._swept_at = time.monotonic()
        assert self._position  # noqa: S101  # set by look
        self._position = replace(self._position, sweep=False)

    def _look_at_pending(self) -> None:
        """Take what has been quiet for long enough although no event says that it is stable."""
        for study, pending in list(self._pending.items()):
            if time.monotonic() - pending.since < QUIET_S:
                continue
            now = self._ask(study)
            has_grown = now is not None and now["LastUpdate"] != pending.last_update
            self._deal(study, pending.sequence, is_quiet=not has_grown)

    # One study.

    def _deal(self, study: str, sequence: int | None, *, is_quiet: bool) -> None:
        """Take a study where it is new or has grown, and is stable; else look at it again later.

        Raises
        ------
        Stopped
            The collector ends.
        Retriable, Postponed
            Not now; what was saved leads here again.
        """
        if self._tools.stopping.is_set():
            raise Stopped
        found = self._ask(study)
        if found is None or self._is_known(study, str(found["LastUpdate"])):
            self._pending.pop(study, None)
            return
        if is_quiet and found["IsStable"]:
            self._take(found, sequence)
        else:
            self._watch(found, sequence)

    def _ask(self, study: str) -> dict[str, Any] | None:
        """Return a study as it is now; None where it is gone."""
        try:
            return self._remote.study(study)
        except NotFound:
            return None

    def _watch(self, found: dict[str, Any], sequence: int | None) -> _Pending:
        """Remember to look at a study again, from the first event on that told of it."""
        pending = self._pending.setdefault(
            str(found["ID"]), _Pending(sequence, str(found["LastUpdate"]), time.monotonic())
        )
        if sequence is not None:
            pending.sequence = sequence if pending.sequence is None else min(sequence, pending.sequence)
        pending.last_update, pending.since = str(found["LastUpdate"]), time.monotonic()
        return pending

    def _take(self, found: dict[str, Any], sequence: int | None) -> None:
        """Fetch a study, and note it where all of it is accounted for and nothing came meanwhile."""
        self._tools.demand_open()
        self._say_working()
        study, last_update = str(found["ID"]), str(found["LastUpdate"])
        before = self._tools.collected.find(self._settings.name, self._digest(study))
        taken_before = before.instances if before and before.state == TAKEN else None
        try:
            fetched = RemoteStudy(self._remote, self._tools, self._settings.name, found).fetch(taken_before)
        except NotFound:
            self._pending.pop(study, None)  # deleted over there meanwhile
            return
        now = self._ask(study)
        if now is not None and now["LastUpdate"] != last_update:
            self._watch(now, sequence)
            return
        if not fetched.is_whole and now is not None:
            pending = self._watch(now, sequence)
            pending.tries += 1
            if pending.tries < TRIES:
                return
        self._note(study, last_update, fetched)
        self._pending.pop(study, None)

    def _note(self, study: str, last_update: str, fetched: Fetched) -> None:
        state = REFUSED if fetched.total and not fetched.here else TAKEN
        self._tools.collected.note(
            self._settings.name, self._digest(study), self._stamp(last_update), state,
            reason=fetched.reason, instances=fetched.here,
        )  # fmt: skip
        self._taken += 1

    def _say_working(self) -> None:
        if not self._is_told:
            self._tools.collected.note_state(self._settings.name, WORKING, waiting=len(self._pending))
            self._is_told = True

    def _is_known(self, study: str, last_update: str) -> bool:
        known = self._tools.collected.find(self._settings.name, self._digest(study))
        return known is not None and known.stamp == self._stamp(last_update)

    def _digest(self, study: str) -> str:
        return self._tools.seal.digest(KIND, study)

    def _stamp(self, last_update: str) -> str:
        return self._tools.seal.digest(STAMP, last_update)


def _before(at: str, seconds: float) -> str:
    """Return a time of Orthanc's that many seconds earlier."""
    earlier = datetime.strptime(at[:15], TIME).replace(tzinfo=UTC) - timedelta(seconds=seconds)
    return earlier.strftime(TIME)
