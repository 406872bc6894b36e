"""Shipments as a worker makes them: a journal in a file, a pace that counts, results that a test has made."""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from orthanc_deid.destinations.base import Converted, Receipt, Results, Shipment
from orthanc_deid.errors import Postponed
from orthanc_deid.orthanc_rest import Address, Orthanc, basic
from servers import OrthancServer


@contextmanager
def passing(server: OrthancServer) -> Iterator[OrthancServer]:
    """Run an Orthanc whose end no test looks at: it is killed, as a clean stop takes three seconds."""
    server.start()
    try:
        yield server
    finally:
        server.kill()


def client(server: OrthancServer) -> Orthanc:
    """Return the client of an Orthanc of the tests."""
    return Orthanc(Address(server.url, basic("admin", server.password)))


@dataclass
class FileJournal:
    """Receipts in one JSON file: they survive the process that wrote them, as the database's do."""

    path: Path
    puts: int = 0  # by this object

    def get(self, key: str) -> Receipt | None:
        found = self._read().get(_hashed(key))
        return Receipt(**found) if found else None

    def put(self, key: str, receipt: Receipt) -> None:
        self.puts += 1
        temporary = self.path.with_suffix(".tmp")
        temporary.write_text(json.dumps(self._read() | {_hashed(key): asdict(receipt)}), encoding="utf-8")
        os.replace(temporary, self.path)  # noqa: PTH105  # same as Path.replace, and says that it is atomic

    def __len__(self) -> int:
        return len(self._read())

    def _read(self) -> dict[str, dict[str, Any]]:
        try:
            return dict(json.loads(self.path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return {}


def _hashed(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


@dataclass
class NoPace:
    """Counts what went out and waits for nothing; raises Postponed once `until` bytes are out."""

    until: int | None = None
    bytes_sent: int = 0
    calls: int = 0

    def sent(self, count: int) -> None:
        self.calls += 1
        self.bytes_sent += count
        if self.until is not None and self.bytes_sent >= self.until:
            raise Postponed("the time window has closed", after_s=60)


@dataclass(frozen=True)
class FixedResults:
    """Conversions that a test has made."""

    nifti_files: Sequence[Converted] = ()
    picture_files: Mapping[str, Sequence[Converted]] = field(default_factory=dict)
    bids_folder: Path | None = None
    etl_folder: Path | None = None
    dicomdir_folder: Path | None = None
    refused: Mapping[str, int] = field(default_factory=dict)

    def nifti(self) -> Sequence[Converted]:
        return self.nifti_files

    def pictures(self, kind: str) -> Sequence[Converted]:
        return self.picture_files.get(kind, ())

    def bids(self) -> Path:
        assert self.bids_folder
        return self.bids_folder

    def etl(self) -> Path:
        assert self.etl_folder
        return self.etl_folder

    def dicomdir(self) -> Path:
        assert self.dicomdir_folder
        return self.dicomdir_folder


def make_shipment(
    tmp_path: Path,
    orthanc: OrthancServer | Orthanc,
    study: str,
    *,
    new: Sequence[str] | None = None,
    every: Sequence[str] | None = None,
    results: Results | None = None,
    version: int = 1,
    pace: NoPace | None = None,
    seconds: float = 60,
) -> Shipment:
    """Return a shipment of a study that an Orthanc holds; a second one in the same folder has the same journal.

    `new` are the instances to send and `every` those that are to be there in the end, by Orthanc id; without, all that
    the Orthanc holds.
    """
    connection = client(orthanc) if isinstance(orthanc, OrthancServer) else orthanc
    held = connection.instance_ids(study) if every is None else list(every)
    work = tmp_path / "work"
    work.mkdir(parents=True, exist_ok=True)
    return Shipment(
        study=41,
        version=version,
        project="default",
        output=study,
        new=held if new is None else list(new),
        all=held,
        orthanc=connection,
        results=results or FixedResults(),
        journal=FileJournal(tmp_path / "journal.json"),
        pace=pace or NoPace(),
        work=work,
        seconds=seconds,
    )
