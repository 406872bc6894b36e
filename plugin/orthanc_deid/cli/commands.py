"""The commands, each calling one route."""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from .. import __version__, states
from ..errors import DeidError
from .doctor import diagnose
from .server import Server, read_password

END_STATES = frozenset(states.STATES) - states.ACTIVE - {states.RECEIVED, states.WAITING}
STYLES = {states.DONE: "green", states.QUARANTINED: "bold red", states.FAILED: "red", states.WAITING: "dim"}


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="orthanc-deid")
@click.option(
    "--url",
    help="Orthanc that runs the plugin. [default: http://127.0.0.1:$ORTHANC_DEID_HTTP_PORT, 8042]",
)
@click.option("--user", default="admin", show_default=True, help="User of that Orthanc.")
@click.option(
    "--password-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File with the password. [default: $ORTHANC_DEID_HOME/admin-password; ORTHANC_DEID_PASSWORD wins]",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON for machines.")
@click.pass_context
def main(context: click.Context, url: str | None, user: str, password_file: Path | None, *, as_json: bool) -> None:
    """See and steer the de-identification that runs inside an Orthanc.

    \b
    orthanc-deid studies                     what is known, newest first
    orthanc-deid studies --status quarantined
    orthanc-deid show STUDY                  one study with its history
    orthanc-deid retry STUDY                 start a quarantined or failed one again
    orthanc-deid doctor                      is everything set up as it should be?

    STUDY is Orthanc's id of the identified or of the de-identified study.
    """  # noqa: D301  # \b is click's own mark
    port = os.environ.get("ORTHANC_DEID_HTTP_PORT") or "8042"
    context.obj = _Asked(url or f"http://127.0.0.1:{port}", user, password_file, as_json=as_json)


class _Asked:
    """The options that stand before the command."""

    def __init__(self, url: str, user: str, password_file: Path | None, *, as_json: bool) -> None:
        self.url, self.user, self.password_file, self.as_json = url, user, password_file, as_json

    def server(self) -> Server:
        return Server(self.url, self.user, read_password(self.password_file))


@main.command("studies")
@click.option("--status", help=f"States, separated by commas: {', '.join(states.STATES)}.")
@click.option("--project", help="Only this project.")
@click.option("--limit", type=click.IntRange(1, 100000), default=100, show_default=True, help="At most so many.")
@click.option("--raw", is_flag=True, help="Print the Orthanc ids of the sources only, a line each, for other commands.")
@click.pass_obj
def list_studies(asked: _Asked, status: str | None, project: str | None, limit: int, *, raw: bool) -> None:
    """List studies, newest first."""
    items = _pages(asked.server(), status, project, limit)
    if asked.as_json:
        click.echo(json.dumps(items, indent=2))
    elif raw:
        for item in items:
            click.echo(item["source"])
    else:
        _print_studies(items)


@main.command()
@click.argument("study")
@click.pass_obj
def show(asked: _Asked, study: str) -> None:
    """Show one study: counts, destinations, and everything that happened to it."""
    _print_study(asked, asked.server().call("GET", f"/deid/studies/{study}"))


@main.command()
@click.argument("study", nargs=-1, required=True)
@click.option("--wait", is_flag=True, help="Wait until each has ended; exit 1 unless all are done.")
@click.pass_obj
def process(asked: _Asked, study: tuple[str, ...], *, wait: bool) -> None:
    """De-identify studies now, without waiting until they are stable."""
    _act(asked, study, "process", wait=wait)


@main.command()
@click.argument("study", nargs=-1, required=True)
@click.option("--wait", is_flag=True, help="Wait until each has ended; exit 1 unless all are done.")
@click.pass_obj
def retry(asked: _Asked, study: tuple[str, ...], *, wait: bool) -> None:
    """Start quarantined, failed or cancelled studies again; hasten the next attempt of waiting ones."""
    _act(asked, study, "retry", wait=wait)


@main.command()
@click.argument("study", nargs=-1, required=True)
@click.pass_obj
def cancel(asked: _Asked, study: tuple[str, ...]) -> None:
    """Stop studies; what was delivered already stays where it is."""
    _act(asked, study, "cancel", wait=False)


@main.command()
@click.pass_obj
def doctor(asked: _Asked) -> None:
    """Check plugin, log-in, database, clock, disk, host name and destinations; exit 1 if something is wrong."""
    results = diagnose(asked.url, asked.user, asked.password_file)
    if asked.as_json:
        click.echo(json.dumps([{"check": r.check, "ok": r.ok, "detail": r.detail} for r in results], indent=2))
    else:
        for result in results:
            click.secho(
                f"{'ok  ' if result.ok else 'BAD '} {result.check:<14} {result.detail}", fg=None if result.ok else "red"
            )
    sys.exit(0 if all(r.ok for r in results) else 1)


@main.command("door-rules", hidden=True)
def door_rules() -> None:
    """Print what the plugin's door needs of the configuration."""
    from ..door_rules import main as print_rules

    sys.exit(print_rules())


def _pages(server: Server, status: str | None, project: str | None, limit: int) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    cursor = None
    while len(items) < limit:
        page = server.call(
            "GET", "/deid/studies", status=status, project=project, limit=min(1000, limit - len(items)), cursor=cursor
        )
        items += page["items"]
        cursor = page["next"]
        if cursor is None:
            break
    return items


def _act(asked: _Asked, studies: tuple[str, ...], verb: str, *, wait: bool) -> None:
    server = asked.server()
    failed = False
    for study in studies:
        try:
            found = server.call("POST", f"/deid/studies/{study}/{verb}")
            if wait:
                found = _await_end(server, study)
                failed = failed or found["status"] != states.DONE
        except click.ClickException as error:
            click.echo(f"{study}: {error.message}", err=True)
            failed = True
            continue
        if asked.as_json:
            click.echo(json.dumps(found))
        else:
            click.echo(f"{study}: {found['status']}" + (f" ({found['reason']})" if found["reason"] else ""))
    if failed:
        sys.exit(1)


def _await_end(server: Server, study: str) -> dict[str, Any]:
    while True:
        found: dict[str, Any] = server.call("GET", f"/deid/studies/{study}")
        if found["status"] in END_STATES:
            return found
        time.sleep(0.5)


def _print_studies(items: list[dict[str, Any]]) -> None:
    table = Table("study", "state", "project", "instances", "destinations", "next attempt", "reason", box=None)
    for item in items:
        counts = item["instances"]
        table.add_row(
            item["source"],
            f"[{STYLES.get(item['status'], 'default')}]{item['status']}",
            item["project"],
            f"{counts['deidentified']}/{counts['received']}",
            " ".join(f"{name}:{state}" for name, state in item["destinations"].items()),
            _time(item["next_attempt_at"]),
            item["reason"] or "",
        )
    console = Console(width=None if sys.stdout.isatty() else 240)
    console.print(table)
    if not items:
        console.print("no study is known yet: send one to Orthanc")


def _print_study(asked: _Asked, found: dict[str, Any]) -> None:
    if asked.as_json:
        click.echo(json.dumps(found, indent=2))
        return
    for field in ("source", "output", "project", "status", "reason", "version", "next_attempt_at"):
        click.echo(f"{field:<16} {found[field] if found[field] is not None else '-'}")
    for name, count in found["instances"].items():
        click.echo(f"{name:<16} {count}")
    for delivery in found["deliveries"]:
        click.echo(
            f"to {delivery['destination']:<13} {delivery['state']}, {delivery['confirmed']} confirmed,"
            f" attempt {delivery['attempt']}" + (f", {delivery['reason']}" if delivery["reason"] else "")
        )
    click.echo()
    for event in found["events"]:
        where = f" {event['destination']}" if event["destination"] else ""
        why = f": {event['reason']}" if event["reason"] else ""
        click.echo(f"{_time(event['at'])}  v{event['version']} {event['status']}{where}{why}  ({event['actor']})")


def _time(iso: str | None) -> str:
    return iso[:19].replace("T", " ") + "Z" if iso else ""


def run() -> None:
    """Run the command line; an error of ours is one line, not a traceback."""
    try:
        main()
    except DeidError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(2)
