"""Commands on batches that `pull` has begun."""

import json
from pathlib import Path
from typing import Any

import click

from ..formats import atomic
from .arguments import Group
from .batch_answers import print_batch, rows_of
from .server import Asked

NUMBER = click.argument("number", type=click.IntRange(1))


@click.group(cls=Group)
def batches() -> None:
    """See and steer what `pull` has begun.

    \b
    orthanc-deid batches list           newest first
    orthanc-deid batches show 7         its rows and what came of them
    orthanc-deid batches pause 7        also resume, cancel
    orthanc-deid batches retry 7        what was partial, refused or not found, once more
    orthanc-deid batches report 7 -o report.csv
    """  # noqa: D301  # \b is click's own mark


@batches.command("list")
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="At most so many.")
@click.pass_obj
def list_batches(asked: Asked, limit: int) -> None:
    """List batches, newest first."""
    items = asked.server().call("GET", "/deid/batches", limit=limit)["items"]
    if asked.as_json:
        click.echo(json.dumps(items, indent=2))
        return
    if not items:
        click.echo("No batch was begun yet: see `orthanc-deid pull --help`.")
    for item in items:
        print_batch(item)


@batches.command()
@NUMBER
@click.option("--state", help="Only rows in these states, separated by commas.")
@click.pass_obj
def show(asked: Asked, number: int, state: str | None) -> None:
    """Show a batch and its rows, by their lines in the list."""
    server = asked.server()
    batch = server.call("GET", f"/deid/batches/{number}")
    rows = rows_of(server, number, state)
    if asked.as_json:
        click.echo(json.dumps(batch | {"items": rows}, indent=2))
        return
    print_batch(batch)
    for row in rows:
        click.echo(f"  {_line(row)}")


def _line(row: dict[str, Any]) -> str:
    why = f": {row['reason']}" if row["reason"] else ""
    statuses = sorted({study["status"] for study in row["studies"] if study["status"]})
    return f"line {row['line']}: {row['state']}{why}" + (f" ({', '.join(statuses)})" if statuses else "")


@batches.command()
@NUMBER
@click.option(
    "--out", "-o", type=click.Path(path_type=Path, dir_okay=False, allow_dash=True), default="-", show_default=True,
    help="File to write; - prints it.",
)  # fmt: skip
@click.pass_obj
def report(asked: Asked, number: int, out: Path) -> None:
    """Write the list with what came of each row, as CSV; it holds identities."""
    content = asked.server().get(f"/deid/batches/{number}/report.csv").content
    if str(out) == "-":
        click.echo(content.decode(), nl=False)
    else:
        atomic.write(out, content, 0o600)


@batches.command()
@NUMBER
@click.pass_obj
def pause(asked: Asked, number: int) -> None:
    """Begin no further study of a batch."""
    _act(asked, number, "pause")


@batches.command()
@NUMBER
@click.pass_obj
def resume(asked: Asked, number: int) -> None:
    """Let a paused batch go on."""
    _act(asked, number, "resume")


@batches.command()
@NUMBER
@click.pass_obj
def cancel(asked: Asked, number: int) -> None:
    """Stop a batch; what has arrived goes its way."""
    _act(asked, number, "cancel")


@batches.command()
@NUMBER
@click.option("--state", help="Only rows in these states, separated by commas.  [default: all that were not delivered]")
@click.pass_obj
def retry(asked: Asked, number: int, state: str | None) -> None:
    """Ask once more for what was partial, not found, refused, failed or not begun."""
    _act(asked, number, "retry", {"state": state or ""})


def _act(asked: Asked, number: int, verb: str, body: dict[str, str] | None = None) -> None:
    batch = asked.server().call("POST", f"/deid/batches/{number}/{verb}", body)
    if asked.as_json:
        click.echo(json.dumps(batch, indent=2))
    else:
        print_batch(batch)
