"""Send a large study to an object store and to a folder, and measure time and memory of the process that sends.

    .venv/bin/python benchmarks/large_study.py --gigabytes 20 --kind folder

Orthanc holds few instances; the client here answers them again and again under UIDs of their own, so that its disk
need not hold the study. `s3`: s3rver, whose disk holds it. `sftp`: rclone. `folder`: a folder. `zip`: one archive
into a folder. What arrives is deleted in the end.
"""

import argparse
import hashlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(CHECKOUT / "plugin"), str(CHECKOUT / "tests")]

from object_servers import RcloneSftp, S3rver, Server  # noqa: E402  # after the path
from orthanc_deid.destinations.base import Receipt, Shipment  # noqa: E402  # after the path
from orthanc_deid.destinations.files.folder import FolderDestination  # noqa: E402  # after the path
from orthanc_deid.destinations.files.object_store import ObjectStoreDestination  # noqa: E402  # after the path
from orthanc_deid.orthanc_rest import Address, Orthanc  # noqa: E402  # after the path
from orthanc_deid.settings.files import Folder, ObjectStore  # noqa: E402  # after the path
from shipments import FixedResults, NoPace  # noqa: E402  # after the path

MEBIBYTE = 2**20
PER_SERIES = 1000


class Synthetic(Orthanc):
    """Answers for a study of as many instances as wanted; each file differs from the others by its first bytes."""

    def __init__(self, count: int, size: int) -> None:
        super().__init__(Address("http://127.0.0.1:9", None))
        self.count = count
        self._size = size
        self._filler = os.urandom(MEBIBYTE)

    def study(self, study: str) -> dict[str, Any]:
        """Return the tags that names are made of."""
        return {
            "ID": study,
            "MainDicomTags": {"StudyInstanceUID": "2.25.1"},
            "PatientMainDicomTags": {"PatientID": "P"},
        }

    def series(self, study: str) -> list[dict[str, Any]]:  # noqa: ARG002  # the real one's argument
        """Return all series, with the ids of their instances."""
        return [self._series(number) for number in range(-(-self.count // PER_SERIES))]

    def _series(self, number: int) -> dict[str, Any]:
        tags = {"SeriesInstanceUID": f"2.25.1.{number}", "SeriesNumber": str(number)}
        ids = range(number * PER_SERIES, min((number + 1) * PER_SERIES, self.count))
        return {"ID": f"series-{number}", "MainDicomTags": tags, "Instances": [identifier(i) for i in ids]}

    def get(self, path: str) -> Any:  # noqa: ANN401  # JSON
        """Answer the statistics, and the instances of a series."""
        if path.endswith("/statistics"):
            return {"DicomDiskSize": str(self.count * self._size)}
        number = int(path.split("/")[2].removeprefix("series-"))
        return [
            {"ID": each, "MainDicomTags": {"SOPInstanceUID": f"2.25.1.{number}.{n}", "InstanceNumber": str(n)}}
            for n, each in enumerate(self._series(number)["Instances"])
        ]

    def call(self, method: str, path: str, *_: object, **__: object) -> bytes:  # noqa: ARG002  # the real one's arguments
        """Answer the MD5 of a file."""
        return hashlib.md5(path.encode(), usedforsecurity=False).hexdigest().encode()

    def tags(self, instance: str) -> dict[str, Any]:  # noqa: ARG002  # the real one's argument
        """Return the method."""
        return {"0012,0063": {"Value": "synthetic"}}

    def save(self, instance: str, path: Path) -> int:
        """Write a file that no other is equal to."""
        with path.open("wb") as file:
            file.write(instance.encode())
            left = self._size - len(instance)
            while left:
                left -= file.write(self._filler[:left])
        return self._size


def identifier(number: int) -> str:
    """Return an id as Orthanc makes them."""
    digest = hashlib.sha1(str(number).encode(), usedforsecurity=False).hexdigest()
    return "-".join(digest[i : i + 8] for i in range(0, 40, 8))


class DiskJournal:
    """Receipts in a database on disk, as the worker's are."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path)
        self._connection.execute("create table receipt (item text primary key, size int, sha256 text, remote text)")

    def get(self, key: str) -> Receipt | None:
        """Return what is known of a thing."""
        found = self._connection.execute("select size, sha256, remote from receipt where item = ?", (key,)).fetchone()
        return Receipt(*found) if found else None

    def put(self, key: str, receipt: Receipt) -> None:
        """Remember that it has arrived."""
        values = (key, receipt.size, receipt.sha256, receipt.remote)
        with self._connection:
            self._connection.execute("insert or replace into receipt values (?, ?, ?, ?)", values)


def send(kind: str, settings: dict[str, Any], folder: Path, count: int, size: int) -> None:
    """Send and confirm, and print seconds and the most memory that was used."""
    orthanc = Synthetic(count, size)
    every = [identifier(i) for i in range(count)]
    work = folder / "work"
    work.mkdir()
    shipment = Shipment(
        1, 1, "benchmark", "study", every, every, orthanc, FixedResults(), DiskJournal(folder / "journal"), NoPace(),
        work, 86400.0,
    )  # fmt: skip
    if kind in {"folder", "zip"}:
        destination: Any = FolderDestination(Folder.model_validate(settings, strict=False), orthanc)
    else:
        destination = ObjectStoreDestination(ObjectStore.model_validate(settings, strict=False), orthanc)
    began = time.monotonic()
    destination.send(shipment)
    sent = time.monotonic()
    destination.confirm(shipment)
    confirmed = time.monotonic()
    peak = int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 1024
    gigabytes = count * size / 1e9
    print(
        f"{kind}: {gigabytes:.1f} GB in {count} files, sent in {sent - began:.0f} s"
        f" ({gigabytes * 1000 / (sent - began):.0f} MB/s), confirmed in {confirmed - sent:.1f} s,"
        f" at most {peak:.0f} MiB of memory",
        flush=True,
    )


@contextmanager
def place(kind: str, folder: Path) -> Iterator[dict[str, Any]]:
    """Start what is sent to, and answer its settings."""
    base = {"name": "benchmark"}
    if kind in {"folder", "zip"}:
        (folder / "out").mkdir()
        content = ["zip"] if kind == "zip" else ["dicom"]
        yield base | {"kind": "folder", "path": str(folder / "out"), "content": content}
        return
    server: Server = (S3rver if kind == "s3" else RcloneSftp)(folder / "server")
    server.start()
    try:
        yield base | {"kind": "object-store", **server.settings()}
    finally:
        server.kill()


def main() -> None:
    """Measure each kind in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gigabytes", type=float, default=1.0)
    parser.add_argument("--megabytes", type=float, default=0.5, help="of one instance")
    parser.add_argument("--kind", action="append", choices=["folder", "zip", "s3", "sftp"])
    parser.add_argument("--in", dest="folder", type=Path, default=None, help="a folder with room for it")
    parser.add_argument("--send", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    size = int(arguments.megabytes * 1e6)
    count = max(1, round(arguments.gigabytes * 1e9 / size))
    if arguments.send:
        kind, settings, folder = json.loads(arguments.send)
        send(kind, settings, Path(folder), count, size)
        return
    for kind in arguments.kind or ["folder", "zip", "s3", "sftp"]:
        folder = Path(tempfile.mkdtemp(prefix="large-study-", dir=arguments.folder))
        try:
            with place(kind, folder) as settings:
                words = [sys.executable, __file__, *("--gigabytes", str(arguments.gigabytes))]
                words += ["--megabytes", str(arguments.megabytes), "--send", json.dumps([kind, settings, str(folder)])]
                subprocess.run(words, check=True, timeout=4 * 3600)
        finally:
            shutil.rmtree(folder)


if __name__ == "__main__":
    main()
