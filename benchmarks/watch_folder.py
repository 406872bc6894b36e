"""A watch folder against POST /instances, and the collector's memory, file handles and looks at very many files.

    python benchmarks/watch_folder.py [--files 1000] [--folders 100] [--waiting 0] [--connections 4]

Both begin with a fresh Orthanc with the plugin, processing off, on loopback:
1. `--files` small CT slices in `--folders` nested folders, posted over as many connections as the collector has;
2. the same files renamed into a watch folder, until all are taken; the collector's largest memory (proportional set
   size) and number of file handles meanwhile;
3. with `--waiting N`: N empty files that never settle, and how long one look at all of them takes, by the collector's
   own account, with its memory;
4. how long a new file takes to be noticed with inotify, beside polling every 2 s.
"""

import argparse
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(CHECKOUT / "plugin"), str(CHECKOUT / "tests")]

import requests  # noqa: E402  # after the path is set

from servers import MAIN, OrthancServer, children, wait_for  # noqa: E402
from studies import Person, ct_instance  # noqa: E402

DEID = """
intake: {{automatic: false}}
sources:
  - {{name: inbox, kind: folder, path: {path}, settle_s: {settle_s}, poll_s: {poll_s}, concurrency: {threads},
     notify: {notify}}}
"""
SLICES = 50  # of each study


def write(folder: Path, files: int, folders: int, first: int = 0) -> None:
    """Write slices, each of its own UID, in nested folders."""
    for number in range(first, first + files):
        study, slice_ = divmod(number, SLICES)
        where = folder / f"{number % folders % 10}" / f"{number % folders}"
        where.mkdir(parents=True, exist_ok=True)
        (where / f"IM{number:07d}").write_bytes(ct_instance(Person(study + 1), number=slice_ + 1))


@contextmanager
def orthanc(  # noqa: PLR0913  # the settings
    folder: Path, inbox: Path, *, threads: int = 2, settle_s: float = 0, poll_s: float = 5, notify: bool = True
) -> Iterator[OrthancServer]:
    """Start an Orthanc whose collector attends to `inbox`."""
    where = Path(tempfile.mkdtemp(prefix="orthanc-", dir=folder))
    word = "true" if notify else "false"
    deid = DEID.format(path=inbox, settle_s=settle_s, poll_s=poll_s, threads=threads, notify=word)
    server = OrthancServer(where, script=MAIN, deid=deid).start()
    try:
        wait_for(lambda: told(server).get("looked_at"), 60, "the collector looks")
        yield server
    finally:
        server.kill()


def told(server: OrthancServer) -> dict[str, object]:
    """Answer what the service says of the source; {} while it starts."""
    answer = server.get("/deid/sources/inbox", timeout=60)
    return dict(answer.json()) if answer.ok else {}


def post(server: OrthancServer, files: list[Path], threads: int) -> float:
    """Post files over several connections; answer instances per second."""
    own = threading.local()

    def send(path: Path) -> None:
        if not hasattr(own, "session"):
            own.session = requests.Session()
            own.session.auth = server.session.auth
        own.session.post(f"{server.url}/instances", data=path.read_bytes(), timeout=60).raise_for_status()

    began = time.perf_counter()
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(send, files))
    return len(files) / (time.perf_counter() - began)


class Gauge:
    """Looks at the collector's process four times a second."""

    def __init__(self, server: OrthancServer) -> None:
        self.pid = next(pid for pid in children(server.pid) if "orthanc_deid.collect" in _words(pid))
        self.megabytes = 0.0
        self.handles = 0
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._end.wait(0.25):
            self.look()

    def look(self) -> None:
        """Look once."""
        rollup = Path(f"/proc/{self.pid}/smaps_rollup").read_text()
        self.megabytes = max(self.megabytes, int(rollup.split("Pss:")[1].split()[0]) / 1024)
        self.handles = max(self.handles, len(list(Path(f"/proc/{self.pid}/fd").iterdir())))

    def stop(self) -> None:
        """Stop looking."""
        self._end.set()
        self._thread.join()


def _words(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/cmdline").read_text().split("\0")


def taken(folder: Path, inbox: Path, ready: Path, files: int, threads: int) -> tuple[float, Gauge]:
    """Rename everything into the watch folder; answer instances per second and the gauge."""
    with orthanc(folder, inbox, threads=threads) as server:
        gauge = Gauge(server)
        began = time.perf_counter()
        ready.rename(inbox / "all")
        while server.get("/statistics", timeout=60).json()["CountInstances"] < files:
            time.sleep(0.2)
        rate = files / (time.perf_counter() - began)
        gauge.stop()
        return rate, gauge


def looked(folder: Path, inbox: Path, threads: int, count: int) -> tuple[float, Gauge]:
    """Look at files that never settle; answer the seconds of one look and the gauge."""
    for number in range(count):
        where = inbox / f"{number % 1000}"
        where.mkdir(exist_ok=True)
        (where / f"IM{number}").touch()
    with orthanc(folder, inbox, threads=threads, settle_s=86400, poll_s=0.2, notify=False) as server:
        gauge = Gauge(server)
        wait_for(lambda: told(server).get("waiting") == count and told(server).get("state") == "waiting", 600)
        times = []
        for _ in range(3):
            before = told(server)["looked_at"]
            began = time.perf_counter()
            wait_for(
                lambda before=before: told(server)["looked_at"] != before and told(server)["state"] == "waiting", 600
            )
            times.append(time.perf_counter() - began)
        gauge.stop()
        return statistics.median(times), gauge


def noticed(folder: Path, inbox: Path, *, notify: bool) -> float:
    """Answer the median of seconds from a rename into the folder until the file is gone."""
    write(folder / f"new-{notify}", 5, 1, first=10_000_000 + 1000 * notify)
    times = []
    with orthanc(folder, inbox, poll_s=2, notify=notify):
        for path in (folder / f"new-{notify}").rglob("IM*"):
            time.sleep(1.1)
            began = time.perf_counter()
            target = path.rename(inbox / path.name)
            while target.exists():
                time.sleep(0.005)
            times.append(time.perf_counter() - began)
    return statistics.median(times)


def main() -> None:
    """Print a line for each measurement."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--folders", type=int, default=100)
    parser.add_argument("--waiting", type=int, default=0)
    parser.add_argument("--connections", type=int, default=4)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="deid-bench-") as name:
        folder = Path(name)
        inboxes = [folder / f"in-{number}" for number in range(5)]
        for inbox in inboxes:
            inbox.mkdir()
        write(folder / "ready", options.files, options.folders)
        with orthanc(folder, inboxes[0], poll_s=60) as server:
            posted = post(server, sorted((folder / "ready").rglob("IM*")), options.connections)
        rate, gauge = taken(folder, inboxes[1], folder / "ready", options.files, options.connections)
        print(
            f"POST /instances: {posted:.0f} instances/s; watch folder: {rate:.0f}, ratio {rate / posted:.2f}",
            flush=True,
        )
        print(f"collector: at most {gauge.megabytes:.0f} MB, {gauge.handles} file handles", flush=True)
        if options.waiting:
            seconds, gauge = looked(folder, inboxes[2], options.connections, options.waiting)
            print(f"{options.waiting} files that wait: {seconds:.2f} s a look, {gauge.megabytes:.0f} MB", flush=True)
        woken, polled = noticed(folder, inboxes[3], notify=True), noticed(folder, inboxes[4], notify=False)
        print(
            f"a new file is taken after {woken:.2f} s with inotify, {polled:.2f} s with polling every 2 s", flush=True
        )


if __name__ == "__main__":
    main()
