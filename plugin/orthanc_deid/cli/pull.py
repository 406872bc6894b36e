"""`pull`: fetch what a list names from an archive, watch it arrive, write reports, dumps and copies."""

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from .. import states
from ..batches.lists import sheet
from ..batches.lists.read import Fault, read
from ..formats import atomic
from .arguments import Command
from .batch_answers import print_batch, rows_of
from .copies import save
from .info import write_info
from .server import Asked, Server

POLL_S = 1.0
LINE_S = 10.0  # between two lines of progress where nobody sees a bar
ENDED = (states.BATCH_DONE, states.BATCH_CANCELLED)
GOOD = frozenset({states.ROW_DELIVERED, states.ROW_DUPLICATE, states.ROW_FOUND})
SOME_NOT = 3


@click.command(cls=Command)
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False, allow_dash=True))
@click.option("--from", "source", required=True, help="The archive: a source of kind pacs or dicomweb in deid.yaml.")
@click.option("--to", default="local", show_default=True, help="This Orthanc, or the AE title it is moved to.")
@click.option("--project", default="", help="Its project, of rows that name none.  [default: the first that matches]")
@click.option("--label", default="", help="Word by which projects match what it fetches: `match.batch` in deid.yaml.")
@click.option("--dry-run", is_flag=True, help="Ask which studies there are; retrieve nothing.")
@click.option("--max", "most", type=click.IntRange(1), help="Retrieve at most so many studies.")
@click.option("--hold", is_flag=True, help="Let them wait in `review` after verification: `approve` delivers them.")
@click.option("--priority", type=click.IntRange(1, 9), default=5, show_default=True, help="1: before others.")
@click.option("--report", type=click.Path(path_type=Path, dir_okay=False), help="Write the report here at the end.")
@click.option("--info", type=click.Path(path_type=Path, file_okay=False), help="Write a CSV for each series below.")
@click.option("--save", "folder", type=click.Path(path_type=Path, file_okay=False), help="Save the images below it.")
@click.option("--no-wait", is_flag=True, help="Begin it and return: `batches show` tells how it goes.")
@click.pass_obj
def pull(asked: Asked, /, file: Path, source: str, **options: Any) -> None:  # noqa: ANN401  # the options above
    """Fetch what a list names from an archive into this Orthanc.

    \b
    orthanc-deid pull studies.csv --from clinical --dry-run
    orthanc-deid pull studies.csv --from clinical --report report.csv
    orthanc-deid pull studies.csv --from clinical --info dumps --save copies

    FILE is a CSV with a header: StudyInstanceUID, PatientID, AccessionNumber, StudyDate, Modality ... and Project,
    Pseudonym, Album; or one Study Instance UID a line; `-` reads it from a pipe. A list with a mistake begins nothing:
    each is named by line and column. What is stopped here goes on in the server; started again the same list fetches
    nothing twice.

    Reports, dumps and copies (--report, --info, --save) hold identities: they are readable by you alone.

    \b
    Exit codes: 0 every row is delivered, here already, or found; 3 some are not (the report says why); 1 refused.
    """  # noqa: D301  # \b is click's own mark
    content = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    table = read(content)
    if table.faults:
        _refuse(table.faults)
    server = asked.server()
    wanted = {
        "list": sheet.text_of(content),
        "source": source,
        "to": options["to"],
        "project": options["project"],
        "label": options["label"],
        "mode": "find" if options["dry_run"] else "retrieve",
        "hold": options["hold"],
        "priority": options["priority"],
        "most": options["most"],
    }
    batch = server.call("POST", "/deid/batches", wanted)
    number = int(batch["id"])
    if options["no_wait"]:
        click.echo(
            json.dumps(batch, indent=2) if asked.as_json else f"Batch {number}: orthanc-deid batches show {number}"
        )
        return
    batch = await_end(server, number, as_json=asked.as_json)
    if options["report"]:
        atomic.write(options["report"], server.get(f"/deid/batches/{number}/report.csv").content, 0o600)
    cells = {line.number: line.cells for line in table.lines}
    if options["info"]:
        _tell(asked, f"{write_info(server, number, options['info'], cells)} series described below {options['info']}")
    if options["folder"]:
        saved = save(server, number, options["folder"], cells)
        what = "IDENTIFIED, not de-identified; keep them safe" if saved.identified else "de-identified on arrival"
        _tell(asked, f"{saved.instances} instances below {options['folder']}: {what}")
    _conclude(asked, server, batch)


def _refuse(faults: Sequence[Fault]) -> NoReturn:
    """Name every fault by line and column, and stop."""
    for fault in faults:
        where = f"line {fault.line}" + (f", {fault.column}" if fault.column else "")
        click.echo(f"{where}: {fault.message}", err=True)
    click.echo("Nothing was asked for.", err=True)
    sys.exit(1)


def await_end(server: Server, number: int, *, as_json: bool) -> dict[str, Any]:
    """Wait until every row has ended, and show how it goes; Ctrl-C ends the waiting, not the batch."""
    try:
        with Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), console=Console(stderr=True),
            transient=True, disable=as_json or not sys.stderr.isatty(),
        ) as bars:  # fmt: skip
            rows, instances = bars.add_task("rows", total=None), bars.add_task("instances", total=None)
            told_at = time.monotonic()
            while True:
                batch: dict[str, Any] = server.call("GET", f"/deid/batches/{number}")
                if batch["state"] in ENDED:
                    return batch
                total = sum(batch["rows"].values())
                done = total - sum(batch["rows"].get(state, 0) for state in states.ROW_OPEN)
                bars.update(rows, completed=done, total=total)
                bars.update(instances, completed=batch["instances"]["arrived"], total=batch["instances"]["expected"])
                if bars.disable and time.monotonic() - told_at > LINE_S:
                    told_at = time.monotonic()
                    click.echo(f"{done} of {total} rows, {batch['instances']['arrived']} instances", err=True)
                time.sleep(POLL_S)
    except KeyboardInterrupt:
        click.echo(f"\nIt goes on in the server: orthanc-deid batches show {number} (or cancel {number}).", err=True)
        sys.exit(130)


def _tell(asked: Asked, text: str) -> None:
    if not asked.as_json:
        click.echo(text)


def _conclude(asked: Asked, server: Server, batch: dict[str, Any]) -> None:
    """Print the end, and each row that did not go well; exit 3 where there is one."""
    number = batch["id"]
    if asked.as_json:
        click.echo(json.dumps(batch, indent=2))
    else:
        print_batch(batch)
        for row in rows_of(server, number):
            if row["state"] not in GOOD:
                click.echo(f"  line {row['line']}: {row['state']}{': ' + row['reason'] if row['reason'] else ''}")
    bad = sum(count for state, count in batch["rows"].items() if state not in GOOD)
    sys.exit(SOME_NOT if bad else 0)
