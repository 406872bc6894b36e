"""Makes one item of a shipment a local file: an instance of Orthanc, or an archive of some, fetched one by one."""

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from ...errors import Retriable
from ...formats import archives
from ..base import Shipment
from ..work import local_disk
from .contents import Item

_RESERVE_BYTES = 2**28


def fetched(shipment: Shipment, item: Item) -> Path:
    """Fetch an instance, or make an archive, in the shipment's own folder; the caller deletes it.

    Raises
    ------
    Retriable
        The temporary folder has no room, or an instance has left Orthanc.
    """
    work = shipment.work
    if item.instance:
        path = work / "instance.dcm"
        with local_disk():
            shipment.orthanc.save(item.instance, path)
        return path
    _room_for(shipment, len(item.members))
    members = _Fetched(shipment, item.members, work / "member.dcm")
    try:
        with local_disk():
            write = archives.zip_files if item.kind == "zip" else archives.tar_gz
            return write(members, work / f"archive.{item.kind}")
    finally:
        members.path.unlink(missing_ok=True)


def study_bytes(shipment: Shipment) -> int:
    """Return the bytes of the whole study on Orthanc's disk."""
    return int(shipment.orthanc.get(f"/studies/{shipment.output}/statistics")["DicomDiskSize"])


class _Fetched(Mapping[str, Path]):
    """Members of an archive; each is fetched when it is asked for, in place of the one before."""

    def __init__(self, shipment: Shipment, members: Mapping[str, str], path: Path) -> None:
        self._shipment = shipment
        self._members = members
        self.path = path

    def __getitem__(self, name: str) -> Path:
        self._shipment.orthanc.save(self._members[name], self.path)
        return self.path

    def __iter__(self) -> Iterator[str]:
        return iter(self._members)

    def __len__(self) -> int:
        return len(self._members)


def _room_for(shipment: Shipment, count: int) -> None:
    needed = study_bytes(shipment) * count // max(len(shipment.all), 1) + _RESERVE_BYTES
    free = shutil.disk_usage(shipment.work).free
    if free < needed:
        raise Retriable(f"an archive needs {needed} bytes of temporary space: {needed - free} are missing")
