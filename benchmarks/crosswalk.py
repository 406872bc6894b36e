"""The crosswalk with many instances: how fast it is written, found both ways and encrypted again, and how large it is.

    python benchmarks/crosswalk.py [--instances 1000000] [--database-url postgresql://...] [--no-rotation]

Studies of 500 instances, five studies a patient, each written as a worker does: one transaction a study. UIDs are as
long as those of scanners (52 to 58 characters); those of the output are ours. A look-up is what the pipeline asks:
project, key and row are read from database and disk, and the row is opened. Times are wall time of one process.
"""

import argparse
import hashlib
import random
import shutil
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "plugin"))

from sqlalchemy import Engine, event, select, text

from orthanc_deid.database import migrate, open_database
from orthanc_deid.database.crosswalk import Crosswalk, Identity, Known, Mapped
from orthanc_deid.database.crosswalk_tables import INSTANCE, STUDY, crosswalk
from orthanc_deid.database.rotation import Rotation
from orthanc_deid.keyring import Keyring

PROJECT, IN_STUDY, STUDIES = "benchmark", 500, 5
LOOKS = 5000
AS_EVER = (
    200_000  # instances that are written as the product writes; the others, in SQLite, without waiting for the disk
)


def original(number: int) -> str:
    """Return a UID as a scanner makes them."""
    return f"1.2.840.113619.2.55.3.{2831186420 + number // IN_STUDY}.{781 + number % 7}.{1600000000 + number}.{number}"


def replaced(number: int) -> str:
    """Return a UID as we make them: 2.25 and a number of 128 bits."""
    return f"2.25.{int.from_bytes(hashlib.sha256(str(number).encode()).digest()[:16], 'big')}"


def fill(walk: Crosswalk, instances: int, first: int = 0) -> float:
    """Write all from the first on; answer instances a second."""
    began, patient = time.perf_counter(), 0
    for study in range(first // IN_STUDY, instances // IN_STUDY):
        if study % STUDIES == 0:
            identity = Identity("", f"MRN-{study // STUDIES:08}")
            patient = walk.assign(PROJECT, Known(0, identity, f"P{study // STUDIES:08}")).row
        uids = [Mapped(INSTANCE, original(n), replaced(n)) for n in range(study * IN_STUDY, (study + 1) * IN_STUDY)]
        walk.note(PROJECT, patient, [Mapped(STUDY, original(-study), replaced(-study)), *uids])
    return (instances - first) / (time.perf_counter() - began)


def hurry(engine: Engine) -> None:
    """Let SQLite write without waiting for the disk, from the next connection on."""

    def unsynced(connection: sqlite3.Connection, _record: object) -> None:
        for pragma in ("synchronous=OFF", "cache_size=-3000000", "wal_autocheckpoint=100000"):
            connection.execute(f"PRAGMA {pragma}")

    event.listen(engine, "connect", unsynced)
    engine.dispose()


def looks(walk: Crosswalk, instances: int, column: str) -> list[float]:
    """Find and open instances at random; answer ms of each."""
    found = []
    for number in random.Random(1).choices(range(instances - instances % IN_STUDY), k=LOOKS):
        uid = original(number) if column == "original" else replaced(number)
        began = time.perf_counter()
        with walk.reading(PROJECT) as opened:
            if opened is None:
                raise SystemExit("the project is not there")
            connection, place = opened
            digest = getattr(place, column)(INSTANCE, uid)
            mine = (crosswalk.c.project_id == place.number) & (crosswalk.c.kind == INSTANCE)
            row = connection.execute(select(crosswalk).where(mine, crosswalk.c[column] == digest)).one()
            if uid not in place.open(row):
                raise SystemExit("another row was found")
        found.append(1000 * (time.perf_counter() - began))
    return found


def patients(walk: Crosswalk, instances: int) -> list[float]:
    """Find patients at random; answer ms of each."""
    found = []
    for number in random.Random(2).choices(range(instances // IN_STUDY // STUDIES), k=LOOKS):
        began = time.perf_counter()
        if walk.patient(PROJECT, Identity("", f"MRN-{number:08}")) is None:
            raise SystemExit("a patient was not found")
        found.append(1000 * (time.perf_counter() - began))
    return found


def size(engine: Engine) -> int:
    """Return bytes of the crosswalk on disk, indexes too."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        if engine.dialect.name == "postgresql":
            return int(connection.scalar(text("SELECT pg_total_relation_size('crosswalk')")) or 0)
        pages = connection.scalar(text("PRAGMA page_count")) or 0
        return int(pages) * int(connection.scalar(text("PRAGMA page_size")) or 0)


def rotate(walk: Crosswalk) -> float:
    """Encrypt all with another key, without pauses; answer rows a second."""
    rotation, began = Rotation(walk.engine, walk.keyring), time.perf_counter()
    progress = rotation.begin("benchmark")
    for _ in rotation.batches(progress):
        pass
    if not rotation.finish(progress, "benchmark"):
        raise SystemExit("rows are left")
    return progress.done / (time.perf_counter() - began)


def told(name: str, times: list[float]) -> None:
    """Print median and 99th percentile."""
    cuts = statistics.quantiles(times, n=100)
    say(f"{name:<34} median {statistics.median(times):.2f} ms, 99 % below {cuts[98]:.2f} ms")


def say(line: str) -> None:
    """Print at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("--instances", type=int, default=1_000_000)
    parser.add_argument("--database-url", default="", help="without: SQLite in a temporary folder")
    parser.add_argument("--no-rotation", action="store_true")
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="crosswalk-"))
    try:
        measure(
            arguments.instances,
            arguments.database_url or f"sqlite:///{folder / 'deid.sqlite'}",
            folder,
            rotation=not arguments.no_rotation,
        )
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def measure(instances: int, url: str, folder: Path, *, rotation: bool) -> None:
    """Fill, look up, weigh and rotate one database."""
    keyring = Keyring(folder, {"ORTHANC_DEID_KEY": "5a" * 32})
    engine = open_database(url, keyring.audit())
    migrate(engine)
    walk = Crosswalk(engine, keyring)
    say(f"{instances} instances, {engine.dialect.name}")
    as_ever = min(instances, AS_EVER)
    say(f"written                            {fill(walk, as_ever):.0f} instances a second, the first {as_ever}")
    if as_ever < instances and engine.dialect.name == "sqlite":
        built = open_database(url, keyring.audit())
        hurry(built)
        fill(Crosswalk(built, keyring), instances, as_ever)
        built.dispose()
    else:
        fill(walk, instances, as_ever)
    say(f"size                               {size(engine) / instances:.0f} bytes an instance")
    asked: dict[str, Callable[[], list[float]]] = {
        "patient by identity": lambda: patients(walk, instances),
        "instance by UID of the source": lambda: looks(walk, instances, "original"),
        "instance by UID of the output": lambda: looks(walk, instances, "replaced"),
    }
    for name, ask in asked.items():
        told(name, ask())
    if rotation:
        say(f"rotated                            {rotate(walk):.0f} rows a second")
        say(f"size after it                      {size(engine) / instances:.0f} bytes an instance")
    engine.dispose()


if __name__ == "__main__":
    main()
