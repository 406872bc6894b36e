"""Fetch one study from another Orthanc into ours, through the door, and prove that all of it came."""

import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ..database.marks import is_marked
from ..database.origins import Origin
from ..database.studies import Studies
from ..errors import NotFound, Rejected, Retriable
from ..orthanc_rest import Orthanc
from .base import Tools

LARGE = 64 * 2**20  # bytes; a larger instance goes through a file


class Stopped(Exception):  # nobody's error
    """The collector ends; what is not noted is looked at again after its next start."""


@dataclass
class Fetched:
    """What became of the instances of a study."""

    total: int = 0  # that the other Orthanc has
    here: int = 0  # that ours has, or had and has processed
    refused: int = 0  # that the door kept out
    failed: int = 0  # that could not be read there or were not accepted here, for no reason of a rule
    note: str | None = None
    outputs: list[str] = field(default_factory=list)  # ids under which ours has stored them

    @property
    def is_whole(self) -> bool:
        """Tell whether every instance is accounted for."""
        return not self.failed and self.here + self.refused >= self.total

    @property
    def reason(self) -> str | None:
        """Say what is worth to be said; None where all is here."""
        if self.failed:
            return f"{self.failed} of {self.total} instances could not be read there or are not accepted here"
        return f"{self.refused} of {self.total} instances were refused at the door" if self.refused else self.note


class RemoteStudy:
    """One study over there."""

    def __init__(self, remote: Orthanc, tools: Tools, source: str, study: dict[str, Any]) -> None:
        self._remote, self._tools, self._source = remote, tools, source
        self._id, self._uid = str(study["ID"]), str(study["MainDicomTags"].get("StudyInstanceUID", ""))
        self._patient_id = str(study.get("PatientMainDicomTags", {}).get("PatientID", ""))
        self._studies = Studies(tools.collected.engine)

    def fetch(self, taken_before: int | None) -> Fetched:
        """Fetch what is not here, one instance after the other.

        `taken_before`: instances that were here when it was fetched last; where ours stores them under other ids, since
        they are de-identified on arrival, this number says whether there are more now.

        Raises
        ------
        Retriable
            One of the two is away.
        Stopped
            The collector ends.
        """
        series = self._remote.series(self._id)
        every = {instance for each in series for instance in each["Instances"]}
        found = Fetched(len(every))
        known = self._known()
        ledger = self._studies.find(self._id)
        if ledger and is_marked(ledger.status, ledger.reason) and not known:
            return Fetched(note="it is marked as processed")
        if taken_before == found.total and not known:
            found.here = found.total
            return found
        found.here = len(every & known)
        if every - known:
            self._note_origin()
        for instance, size in self._missing(series, known):
            if self._tools.stopping.is_set():
                raise Stopped
            self._take(instance, size, found)
        self._demand_stored(found, every)
        return found

    def _known(self) -> set[str]:
        """Return the ids of the instances that ours holds, or that retention has deleted after they were processed."""
        ledger = self._studies.find(self._id)
        processed = {each.source for each in self._studies.instances(ledger.id)} if ledger and ledger.removed else set()
        return processed | self._tools.orthanc.present(self._id)

    def _note_origin(self) -> None:
        """Say where it comes from before any of it is here; what a list has said of it stays."""
        if self._uid:
            self._tools.origins.note_sender(self._uid, self._patient_id, Origin(source=self._source))

    def _missing(self, series: list[dict[str, Any]], known: set[str]) -> Iterator[tuple[str, int]]:
        """Yield each instance that is not here with its bytes, series by series: a study need not fit into memory."""
        for each in series:
            if set(each["Instances"]) - known:
                for instance in self._remote.get(f"/series/{each['ID']}/instances"):
                    if instance["ID"] not in known:
                        yield str(instance["ID"]), int(instance["FileSize"])

    def _take(self, instance: str, size: int, found: Fetched) -> None:
        try:
            stored = self._through_file(instance) if size > LARGE else self._through_memory(instance)
        except NotFound:
            return  # deleted over there; the numbers say so if it was not
        except Rejected:
            found.failed += 1
            return
        if stored:
            found.here += 1
            found.outputs.append(stored)
        else:
            found.refused += 1

    def _through_memory(self, instance: str) -> str:
        return self._tools.orthanc.offer(self._remote.file(instance)).instance

    def _through_file(self, instance: str) -> str:
        self._tools.work.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self._tools.work / secrets.token_hex(16)
        try:
            self._remote.save(instance, path)
            with path.open("rb") as file:
                return self._tools.orthanc.offer(file).instance
        finally:
            path.unlink(missing_ok=True)

    def _demand_stored(self, found: Fetched, every: set[str]) -> None:
        """Compare what ours said with what it holds.

        Raises
        ------
        Retriable
            Something that it has taken is not there.
        """
        if not found.outputs:
            return
        stored = set(found.outputs)
        if stored <= every:
            held = self._tools.orthanc.present(self._id)
        else:  # de-identified on arrival
            held = self._tools.orthanc.present(self._study_of(found.outputs[0]))
        if stored - held:
            raise Retriable(f"{len(stored - held)} instances that Orthanc has taken are not there")

    def _study_of(self, instance: str) -> str:
        try:
            return str(self._tools.orthanc.get(f"/instances/{instance}/study")["ID"])
        except NotFound:
            raise Retriable("an instance that Orthanc has taken is not there") from None
