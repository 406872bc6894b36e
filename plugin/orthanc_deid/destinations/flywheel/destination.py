"""A Flywheel site as a destination: check, send, confirm."""

import hashlib
import time

from ...errors import ConfigurationError, NotFound, Retriable
from ...orthanc_rest import Orthanc
from ...settings import Flywheel
from ..base import Shipment
from . import contents, labels
from .contents import Item
from .delivery import Delivery
from .digests import Digests
from .hierarchy import Hierarchy
from .sdk import client
from .sent import Memory
from .site import Site


class FlywheelDestination:
    """A group of a Flywheel site, by its own SDK."""

    def __init__(self, settings: Flywheel, orthanc: Orthanc) -> None:  # noqa: ARG002  # as every kind is made
        self._settings = settings

    def check(self) -> str:
        """Log in and look at the group."""
        with client(self._settings) as connection:
            site = Site(connection, self._settings.attempts)
            roles = ", ".join(site.roles()) or "none"
            try:
                site.group(self._settings.group)
            except NotFound:
                raise ConfigurationError("Flywheel has no group of that id, or its key may not see it") from None
        return f"Flywheel; the group can be seen; roles of the key's user: {roles}"

    def send(self, shipment: Shipment) -> None:
        """Send each file that is not there in this version."""
        study = self._study(shipment)
        series = contents.series_of(self._settings, shipment, study)
        wanted = contents.items(self._settings, shipment, series)
        memory = self._memory(shipment)
        with client(self._settings) as connection:
            site = Site(connection, self._settings.attempts)
            uids = tuple(each.SeriesInstanceUID for each in series)
            hierarchy = Hierarchy(self._settings, site, memory, study, uids)
            delivery = Delivery(self._settings, site, memory, shipment, time.monotonic() + shipment.seconds)
            acquisitions: dict[str, str] = {}
            for item in wanted:
                uid = item.series.SeriesInstanceUID
                if uid not in acquisitions:
                    acquisitions[uid] = hierarchy.acquisition(uid, item.series.label)
                delivery.deliver(acquisitions[uid], item)
        kept = sum((known := memory.sent(item.key)) is not None and not known[0].is_ours() for item in wanted)
        if kept:
            told = "Flywheel had others of their names, which were kept (existing: skip)"
            shipment.remarks.append(f"{kept} of {len(wanted)} files are not sent: {told}")
        shipment.remarks.extend(study.remarks)

    def confirm(self, shipment: Shipment) -> int:
        """Look at each acquisition again and compare the files with what was sent: version, size, digest.

        Raises
        ------
        Retriable
            A file is missing or differs.
        """
        series = contents.series_of(self._settings, shipment, self._study(shipment))
        memory = self._memory(shipment)
        wanted = contents.items(self._settings, shipment, series)
        with client(self._settings) as connection:
            site = Site(connection, self._settings.attempts)
            there = {item.key for item in wanted if _is_there(site, memory, item)}
        if len(there) != len(wanted):
            raise Retriable(f"{len(there)} of {len(wanted)} files are at the destination as they were sent")
        return len(shipment.all)

    def _study(self, shipment: Shipment) -> labels.Study:
        settings = self._settings
        is_more = settings.diagnoses or settings.timestamps or "session" in labels.fields(settings)
        tags = shipment.orthanc.tags(shipment.all[0]) if is_more and shipment.all else None
        facts = shipment.facts()
        return labels.read(settings, facts, shipment.project, tags, shipment.labels(facts))

    def _memory(self, shipment: Shipment) -> Memory:
        # Of another site or group nothing is known; the key changes without the site.
        host = self._settings.api_key().rpartition(":")[0]
        place = hashlib.sha256(f"{host} {self._settings.group}".encode()).hexdigest()[:16]
        return Memory(shipment.journal, place)


def _is_there(site: Site, memory: Memory, item: Item) -> bool:
    known = memory.sent(item.key)
    if known is None:
        return False
    sent, receipt = known
    found = (site.files(sent.acquisition) or {}).get(item.name)
    if found is None or not sent.holds(item.content):
        return False
    if not sent.is_ours():
        return sent.is_file(found)
    ours = Digests(receipt.size, receipt.sha256, sent.sha384, "")
    same = ours.agree(found.size, found.digest)
    return sent.is_file(found) if same is None else same
