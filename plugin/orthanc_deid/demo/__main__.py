"""Start both Orthancs, send the samples, watch them, read them back."""

import argparse
import signal
import sys
import time
from collections.abc import Sequence
from types import FrameType
from typing import NoReturn

from rich.console import Console

from orthanc_deid import install, settings, states
from orthanc_deid.errors import DeidError, Retriable

from .readback import faults
from .samples import studies
from .send import send
from .servers import Pair
from .table import Display, Row, result

LONGEST_S = 120.0
POLL_S = 0.3


def main(arguments: Sequence[str]) -> int:
    """Run the demo; answer 0 only if every study is done and the archive holds it whole and without identity."""
    parser = argparse.ArgumentParser(prog="./run demo", description=main.__doc__)
    parser.add_argument(
        "--once", action="store_true", help=f"end when all are through, after {LONGEST_S:.0f} s at most"
    )
    once = parser.parse_args(arguments).once
    signal.signal(signal.SIGTERM, _stop)
    console = Console() if sys.stdout.isatty() else Console(width=120)
    deadline = time.monotonic() + LONGEST_S
    try:
        site = settings.load()
        install.check_ports({"ORTHANC_DEID_HTTP_PORT": site.http_port, "ORTHANC_DEID_DICOM_PORT": site.dicom_port})
        install.warn_of_slow_name()
        with Pair(site) as pair:
            good = _through(pair, console, deadline)
            if not once:
                _stay(pair, console)
    except DeidError as error:
        console.print(str(error), style="red", soft_wrap=True, highlight=False, markup=False)
        return 1
    except KeyboardInterrupt:
        console.print("Stopped.")
        return 130
    return 0 if good else 1


def _through(pair: Pair, console: Console, deadline: float) -> bool:
    """Send, watch and read back; print the result and tell whether all is well."""
    console.print("Starting a clinical Orthanc and a research archive ...")
    pair.await_answers(deadline)
    rows = [Row(study) for study in studies()]
    display = Display(console, rows)
    with display.showing():
        for row in rows:
            send(row.study, pair.clinical)
            row.sent_at, row.state = time.monotonic(), "sent"
            display.refresh()
        while not all(row.ended for row in rows) and time.monotonic() < deadline:
            _look(pair, rows)
            display.refresh()
            time.sleep(POLL_S)
    archive = pair.research.client()
    for row in rows:
        if row.state == states.DONE and row.output:
            row.confirmed, row.faults = faults(archive, row.study, row.output)
    console.print(result(rows))
    return _explain(rows, pair, console)


def _look(pair: Pair, rows: Sequence[Row]) -> None:
    """Ask the product about all studies; a service that restarts is asked again."""
    pair.clinical.check()
    pair.research.check()
    try:
        known = {item["source"]: item for item in pair.clinical.client().get("/deid/studies?limit=100")["items"]}
    except Retriable:
        return
    for row in rows:
        if row.study.source in known:
            row.update(known[row.study.source], time.monotonic())


def _explain(rows: Sequence[Row], pair: Pair, console: Console) -> bool:
    bad = [row for row in rows if not row.good]
    for row in bad:
        if row.ended:
            why = row.reason or "; ".join(row.faults) or "not at the archive"
        else:
            why = f"not through in {LONGEST_S:.0f} s, {row.deidentified} of {len(row.study.files)} de-identified"
        line = f"{row.study.source} ({row.study.title}): {row.state}: {why}"
        console.print(line, soft_wrap=True, highlight=False, markup=False)
    if bad:
        console.print(f"Logs: {pair.clinical.log} and {pair.research.log}", soft_wrap=True, highlight=False)
    else:
        console.print(f"All {len(rows)} studies are at the research archive, whole and without their identity.")
    return not bad


def _stay(pair: Pair, console: Console) -> None:
    """Leave both running until a signal comes or one ends."""
    for name, server in (("clinical", pair.clinical), ("research", pair.research)):
        line = f"{name}: {server.site.orthanc_url}/ user admin, password in {server.site.admin_password_file}"
        console.print(line, soft_wrap=True, highlight=False)
    console.print("Ctrl-C stops both.")
    while True:
        pair.clinical.check()
        pair.research.check()
        time.sleep(1)


def _stop(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
