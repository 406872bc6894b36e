"""What people see: a table of studies, one study with its history."""

import sys
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from .. import states

STYLES = {states.DONE: "green", states.QUARANTINED: "bold red", states.FAILED: "red", states.WAITING: "dim"}
PIPE_WIDTH = 240  # columns, where nobody's terminal says how many there are


def print_studies(items: list[dict[str, Any]]) -> None:
    """Print a table, a study each row; ids stay whole, so that they can be copied."""
    table = Table(box=None, pad_edge=False)
    for name in ("study", "state", "project", "instances", "destinations", "next attempt", "reason"):
        table.add_column(name, no_wrap=name in ("study", "state", "instances"), overflow="fold")
    for item in items:
        counts = item["instances"]
        # Text, not str: rich would take a reason's brackets for its own marks.
        table.add_row(
            Text(item["address"]),
            Text(item["status"], STYLES.get(item["status"], "")),
            Text(item["project"]),
            Text(f"{counts['deidentified']}/{counts['received']}"),
            Text(" ".join(f"{name}:{state}" for name, state in item["destinations"].items())),
            Text(time_of(item["next_attempt_at"])),
            Text(item["reason"] or ""),
        )
    Console(width=None if sys.stdout.isatty() else PIPE_WIDTH).print(table)


def print_study(found: dict[str, Any]) -> None:
    """Print one study: what it is, its counts, its destinations, its history."""
    for field in ("source", "output", "project", "belongs", "status", "reason", "version"):
        click.echo(f"{field:<16} {found[field] if found[field] is not None else '-'}")
    _print_projects(found)
    made_by = found.get("profile")
    if made_by:
        click.echo(f"{'profile':<16} {made_by['name']} {made_by['version']} ({made_by['digest']})")
    if found["next_attempt_at"]:
        click.echo(f"{'next attempt':<16} {time_of(found['next_attempt_at'])}")
    for name, count in found["instances"].items():
        click.echo(f"{name:<16} {count}")
    if found.get("awaited"):
        click.echo(f"{'awaited':<16} {_awaited(found['awaited'])}")
    if found["conflicts"]:
        click.echo(f"{'conflicts':<16} {found['conflicts']}: see `orthanc-deid conflicts`")
    for delivery in found["deliveries"]:
        why = f": {delivery['reason']}" if delivery["reason"] else ""
        told = f"{delivery['state']}, {delivery['confirmed']} confirmed, attempt {delivery['attempt']}{why}"
        click.echo(f"{'to ' + delivery['destination']:<16} {told}")
    click.echo()
    for event in found["events"]:
        where = f" {event['destination']}" if event["destination"] else ""
        why = f": {event['reason']}" if event["reason"] else ""
        click.echo(f"{time_of(event['at'])}  v{event['version']} {event['status']}{where}{why}  ({event['actor']})")


def _print_projects(found: dict[str, Any]) -> None:
    """Print what a further study is called, and in which other projects the same source is."""
    if found["address"] != found["source"]:
        click.echo(f"{'address':<16} {found['address']}")
    for other in found["also"]:
        click.echo(f"{'also in':<16} {other['project']}: {other['status']}, see {other['address']}")


def _awaited(told: dict[str, Any]) -> str:
    """Say how much of a study is here, who was asked, and until when it is waited for."""
    expected = "unknown" if told["expected"] is None else told["expected"]
    missing = f", {told['missing']} missing" if told["missing"] else ""
    until = f", until {time_of(told['until'])}" if told["until"] else ", held"
    asked = f", asked {told['source']}" if told["source"] else ""
    requested = f", requested {told['requests']} times" if told["requests"] else ""
    why = f": {told['reason']}" if told["reason"] else ""
    return f"{told['present']} of {expected}{missing}{until}{asked}{requested}{why}"


def time_of(iso: str | None) -> str:
    """Shorten a time in UTC to what people read; nothing where there is none."""
    return iso[:19].replace("T", " ") + "Z" if iso else ""
