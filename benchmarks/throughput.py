"""De-identification and intake against Orthanc's own, side by side in one run: ratios, since machines differ.

    python benchmarks/throughput.py [--instances 400] [--rounds 3]

Each round starts fresh Orthancs of the same configuration on loopback and alternates the two candidates:
1. `/studies/{id}/anonymize` of a plain Orthanc, against begun -> verified of the product (no destination);
2. REST and C-STORE intake of a plain Orthanc, against the same with the plugin loaded (processing off);
3. CPU and memory of everything but Orthanc while nothing happens.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import numpy as np

CHECKOUT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(CHECKOUT / "plugin"), str(CHECKOUT / "tests")]

from pydicom import dcmread  # noqa: E402  # after the path is set
from pydicom.data import get_testdata_file  # noqa: E402
from pydicom.uid import UID  # noqa: E402

from servers import MAIN, OrthancServer, children, wait_for  # noqa: E402

SIZE = 512
OFF = "intake:\n  automatic: false\n"


def write_ct(folder: Path, count: int) -> list[Path]:
    """Write `count` slices of 512x512, 16 bit, with noise, from pydicom's CT_small and its 130 attributes."""
    ds = dcmread(str(get_testdata_file("CT_small.dcm", download=False)))
    rng = np.random.default_rng(0)
    body = np.add.outer(np.arange(SIZE), np.arange(SIZE)) % 2000
    ds.Rows = ds.Columns = SIZE
    ds.StudyInstanceUID = UID("1.2.826.0.1.3680043.10.1337.5")
    ds.SeriesInstanceUID = UID("1.2.826.0.1.3680043.10.1337.5.1")
    folder.mkdir()
    files = []
    for number in range(1, count + 1):
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = UID(f"{ds.SeriesInstanceUID}.{number}")
        ds.InstanceNumber = number
        ds.PixelData = (body + rng.integers(-20, 20, (SIZE, SIZE))).astype("<i2").tobytes()
        files.append(folder / f"{number:05d}.dcm")
        ds.save_as(files[-1])
    return files


def upload(server: OrthancServer, files: list[Path]) -> float:
    """Store by REST over one connection; answer instances per second."""
    bodies = [file.read_bytes() for file in files]
    began = time.perf_counter()
    for body in bodies:
        server.upload(body).raise_for_status()
    return len(files) / (time.perf_counter() - began)


def c_store(server: OrthancServer, files: list[Path]) -> float:
    """Store by C-STORE over one association; answer instances per second."""
    began = time.perf_counter()
    server.c_store(*files, seconds=600).check_returncode()
    return len(files) / (time.perf_counter() - began)


def native(server: OrthancServer, files: list[Path]) -> float:
    """Orthanc's own anonymization of a study; answer instances per second."""
    upload(server, files)
    study = server.studies()[0]
    began = time.perf_counter()
    server.post(f"/studies/{study}/anonymize", json={}, timeout=600).raise_for_status()
    return len(files) / (time.perf_counter() - began)


def product(server: OrthancServer, files: list[Path]) -> tuple[float, dict[str, float]]:
    """Begun to verified; answer instances per second and the seconds in each state (`queued` is the engine's poll)."""
    await_service(server)
    upload(server, files)
    study = server.studies()[0]
    server.post(f"/deid/studies/{study}/process").raise_for_status()
    while server.get(f"/deid/studies/{study}").json()["status"] not in ("done", "failed", "quarantined"):
        time.sleep(0.5)  # asking more often would be a load of its own
    found = server.get(f"/deid/studies/{study}").json()
    if found["status"] != "done":
        sys.exit(f"the study is {found['status']}: {found['reason']}")
    at = {e["status"]: datetime.fromisoformat(e["at"]).timestamp() for e in found["events"]}
    states = ["queued", "deidentifying", "verifying", "done"]  # done: at the next poll after verify
    spent = {a: at[b] - at[a] for a, b in pairwise(states)}
    return len(files) / (at["done"] - at["deidentifying"]), spent


def await_service(server: OrthancServer) -> None:
    """Wait until a worker lives."""

    def ready() -> bool:
        answer = server.get("/deid/health")
        return answer.ok and answer.json()["checks"]["workers"] == "ok"

    wait_for(ready, 60)


def idle(server: OrthancServer, seconds: float = 20) -> tuple[float, float]:
    """Answer percent of one core and MB (proportional set size) of all children of Orthanc."""
    await_service(server)
    time.sleep(10)
    pids = children(server.pid)
    began, ticks = time.monotonic(), sum(map(_ticks, pids))
    time.sleep(seconds)
    percent = (sum(map(_ticks, pids)) - ticks) / (time.monotonic() - began)
    return percent, sum(map(_megabytes, pids))


def _ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def _megabytes(pid: int) -> float:
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
        return int(rollup.split("Pss:")[1].split()[0]) / 1024
    except (OSError, IndexError):  # not every kernel has it; resident size counts shared pages twice
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096 / 2**20


def fresh(folder: Path, name: str, *, plugin: bool, processes: int = 0) -> OrthancServer:
    """Start an Orthanc in an empty folder."""
    where = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=folder))
    environment = {"ORTHANC_DEID_PROCESSES": str(processes)} if processes else {}
    return OrthancServer(where, script=MAIN if plugin else None, deid=OFF, environment=environment).start()


def measure(folder: Path, *, plugin: bool, what: Callable[[OrthancServer], float]) -> float:
    """Run one measurement on an Orthanc of its own."""
    server = fresh(folder, "bench", plugin=plugin)
    try:
        if plugin:
            await_service(server)
        return what(server)
    finally:
        server.kill()


def main() -> None:
    """Print a table of medians and the ratios of each round."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--instances", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--processes", type=int, default=0, help="CPU processes of the worker (0: its default)")
    parser.add_argument("--only", choices=["deidentify", "intake", "idle"])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="deid-bench-") as name:
        folder = Path(name)
        files = write_ct(folder / "ct", options.instances)
        if options.only in (None, "deidentify"):
            _print_deidentify(folder, files, options.rounds, options.processes)
        if options.only in (None, "intake"):
            for title, send in (("REST intake", upload), ("C-STORE intake", c_store)):
                _print_intake(folder, files, options.rounds, title, send)
        if options.only in (None, "idle"):
            server = fresh(folder, "idle", plugin=True)
            percent, megabytes = idle(server)
            server.kill()
            print(f"idle: {percent:.1f} % of one core, {megabytes:.0f} MB in all children of Orthanc")


def _print_deidentify(folder: Path, files: list[Path], rounds: int, processes: int) -> None:
    theirs, ours, spent = [], [], []
    for _ in range(rounds):
        theirs.append(measure(folder, plugin=False, what=lambda s: native(s, files)))
        server = fresh(folder, "product", plugin=True, processes=processes)
        rate, seconds = product(server, files)
        server.kill()
        ours.append(rate)
        spent.append(seconds)
    _print("de-identify + verify", "native", theirs, ours)
    for state in spent[0]:
        median = statistics.median(s[state] for s in spent)
        print(f"    {state:<14} {median:6.2f} s, {1000 * median / len(files):5.2f} ms an instance")


def _print_intake(
    folder: Path, files: list[Path], rounds: int, title: str, send: Callable[[OrthancServer, list[Path]], float]
) -> None:
    theirs, ours = [], []
    for _ in range(rounds):
        theirs.append(measure(folder, plugin=False, what=lambda s: send(s, files)))
        ours.append(measure(folder, plugin=True, what=lambda s: send(s, files)))
    _print(title, "without plugin", theirs, ours)


def _print(title: str, other: str, theirs: list[float], ours: list[float]) -> None:
    ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
    print(
        f"{title}: {statistics.median(ours):.0f} instances/s, {other} {statistics.median(theirs):.0f},"
        f" ratio {statistics.median(ratios):.2f} (rounds: {', '.join(f'{r:.2f}' for r in ratios)})",
        flush=True,
    )


if __name__ == "__main__":
    main()
