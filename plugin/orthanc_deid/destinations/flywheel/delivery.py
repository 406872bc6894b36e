"""One file to Flywheel: not what is there already, never a piece, never twice."""

import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...errors import Rejected, Retriable
from ...settings import Flywheel
from ..base import Shipment
from . import contents, digests
from .contents import Item
from .digests import Digests
from .sent import KEPT, Memory, Sent
from .site import RemoteFile, Site


@dataclass
class Delivery:
    """Sends the files of one shipment."""

    settings: Flywheel
    site: Site
    memory: Memory
    shipment: Shipment
    end: float  # of the monotonic clock
    _there: dict[str, dict[str, RemoteFile]] = field(default_factory=dict)  # acquisition to files by name

    def deliver(self, acquisition: str, item: Item) -> None:
        """Send a file that is not there, and its metadata.

        Raises
        ------
        Rejected
            Another one has its name, and `existing` is fail.
        """
        there = self._files(acquisition).get(item.name)
        if not self._has_arrived(acquisition, item, there):
            with tempfile.TemporaryDirectory(dir=self.shipment.work) as folder:
                path = item.path or contents.make_zip(self.shipment, item, Path(folder))
                there = self._settle(acquisition, item, path, there)
        self._describe(acquisition, item, there)

    def _has_arrived(self, acquisition: str, item: Item, there: RemoteFile | None) -> bool:
        known = self.memory.sent(item.key)
        if known is None or there is None:
            return False
        sent, _ = known
        is_current = sent.content == self._content(item) or (not item.series.is_new and sent.holds(item.content))
        return sent.acquisition == acquisition and sent.is_file(there) and is_current

    def _content(self, item: Item) -> str:
        # The same instances may hold other values in another version of the study.
        return f"{item.content}.{self.shipment.version}" if item.series.is_new and not item.path else item.content

    def _settle(self, acquisition: str, item: Item, path: Path, there: RemoteFile | None) -> RemoteFile:
        ours = digests.read(path)
        if there and self._is_same(item, ours, there):
            self._remember(acquisition, item, there, ours)
            return there
        if there and not self._may_replace(item, there):
            if self.settings.existing == "fail":
                raise Rejected("Flywheel has another file of that name: remove it, or set existing: replace or skip")
            self._remember(acquisition, item, there, ours, kept=True)
            return there
        self.memory.begin(item.key, ours)
        arrived = self._upload(acquisition, item, path, ours)
        self._there[acquisition][item.name] = arrived
        self._remember(acquisition, item, arrived, ours)
        self.shipment.pace.sent(ours.size)
        return arrived

    def _remember(self, acquisition: str, item: Item, there: RemoteFile, ours: Digests, *, kept: bool = False) -> None:
        sent = Sent(acquisition, there.file_id, there.version, KEPT if kept else ours.sha384, self._content(item))
        self.memory.remember_sent(item.key, sent, ours.size, ours.sha256)

    def _is_same(self, item: Item, ours: Digests, there: RemoteFile) -> bool:
        same = ours.agree(there.size, there.digest)
        if same is not None:
            return same
        # An algorithm that we do not know: the size is right, and we had begun to send just this.
        begun = self.memory.begun(item.key)
        return begun is not None and begun.sha256 == ours.sha256

    def _may_replace(self, item: Item, there: RemoteFile) -> bool:
        if self.settings.existing == "replace":
            return True
        known = self.memory.sent(item.key)
        if known:
            return known[0].is_ours() and known[0].is_file(there)
        return self.memory.begun(item.key) is not None  # a piece of ours

    def _upload(self, acquisition: str, item: Item, path: Path, ours: Digests) -> RemoteFile:
        for attempt in range(self.site.attempts):
            if time.monotonic() > self.end:
                break
            try:
                arrived = self.site.upload(acquisition, item.name, path, self.end)
            except Retriable as error:
                # The answer may be lost and not the file: look before it is sent again.
                found = self._look(acquisition, item.name)
                if found and self._is_same(item, ours, found):
                    return found
                if attempt + 1 == self.site.attempts or error.after_s:
                    raise
                time.sleep(self.site.pause_s * 2**attempt)
                continue
            if ours.agree(arrived.size, arrived.digest) is False:
                raise Retriable("Flywheel has taken another file than was sent")
            return arrived
        raise Retriable("the time for sending is over; what has arrived as a whole is not sent again")

    def _describe(self, acquisition: str, item: Item, there: RemoteFile | None) -> None:
        known = self.memory.sent(item.key)
        if there is None or known is None or not known[0].is_ours():
            return
        modality, classes = contents.classes(self.settings, item)
        info = contents.sidecar_info(item.sidecar) if item.sidecar else {}
        wanted: dict[str, Any] = {
            "file": f"{there.file_id} {there.version}",
            "modality": modality,
            "classes": {key: list(values) for key, values in classes.items()},
            "info": info,
        }
        if self.memory.is_described(item.key, wanted):
            return
        self.site.describe(acquisition, item.name, modality, classes)
        if info:
            self.site.set_info(acquisition, item.name, info)
        self.memory.remember_described(item.key, wanted)

    def _files(self, acquisition: str) -> dict[str, RemoteFile]:
        if acquisition not in self._there:
            self._there[acquisition] = self.site.files(acquisition) or {}
        return self._there[acquisition]

    def _look(self, acquisition: str, name: str) -> RemoteFile | None:
        try:
            return (self.site.files(acquisition) or {}).get(name)
        except Retriable:
            return None
