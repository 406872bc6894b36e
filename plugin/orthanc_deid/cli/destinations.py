"""Commands on destinations, and `export`."""

import json
import sys
from typing import Any

import click

from .arguments import Command, Group, StudyId
from .server import Asked

NAME = click.argument("name")


@click.group(cls=Group)
def destinations() -> None:
    """See, check, pause, resume and resend destinations.

    \b
    orthanc-deid destinations list              what waits where
    orthanc-deid destinations check research    does it answer, is the log-in right?
    orthanc-deid destinations pause research    send nothing more to it
    orthanc-deid destinations resend research   all that failed for good, once more
    """  # noqa: D301  # \b is click's own mark


@destinations.command("list")
@click.pass_obj
def list_destinations(asked: Asked) -> None:
    """List destinations with what waits for each."""
    items = asked.server().call("GET", "/deid/destinations")["items"]
    if asked.as_json:
        click.echo(json.dumps(items, indent=2))
        return
    if not items:
        click.echo("No destination is configured.")
    for item in items:
        _print(item)


@destinations.command()
@click.argument("name", nargs=-1)
@click.pass_obj
def check(asked: Asked, name: tuple[str, ...]) -> None:
    """Speak to destinations, or to all, without sending anything; exit 1 unless all answer."""
    server = asked.server()
    names = name or tuple(item["name"] for item in server.call("GET", "/deid/destinations")["items"])
    found = {each: server.call("POST", f"/deid/destinations/{each}/check") for each in names}
    if asked.as_json:
        click.echo(json.dumps(found, indent=2))
    else:
        for each, told in found.items():
            click.secho(f"{'ok ' if told['ok'] else 'BAD'}  {each}  {told['detail']}", fg=None if told["ok"] else "red")
    sys.exit(0 if all(told["ok"] for told in found.values()) else 1)


@destinations.command()
@NAME
@click.pass_obj
def pause(asked: Asked, name: str) -> None:
    """Send nothing more to a destination; what waits for it is kept."""
    _act(asked, name, "pause")


@destinations.command()
@NAME
@click.pass_obj
def resume(asked: Asked, name: str) -> None:
    """Let a paused destination go on, at once."""
    _act(asked, name, "resume")


@destinations.command()
@NAME
@click.pass_obj
def resend(asked: Asked, name: str) -> None:
    """Send all studies again whose delivery to this destination has failed for good."""
    told = asked.server().call("POST", f"/deid/destinations/{name}/resend")
    left = f", {told['refused']} are at work or gone" if told["refused"] else ""
    click.echo(json.dumps(told) if asked.as_json else f"{told['started']} studies are sent again{left}")


@click.command(cls=Command)
@click.argument("study", nargs=-1, type=StudyId())
@click.option("--destination", required=True, help="Its name in the configuration.")
@click.option("--all", "every", is_flag=True, help="Every study that is done, instead of naming some.")
@click.option("--project", help="With --all: only of this project.")
@click.option("--anew", is_flag=True, help="Send what has arrived there already once more.")
@click.pass_obj
def export(  # noqa: PLR0913  # click's options
    asked: Asked, study: tuple[str, ...], destination: str, project: str | None, *, every: bool, anew: bool
) -> None:
    """Send results to a destination, of their project or not.

    \b
    orthanc-deid export --destination research STUDY
    orthanc-deid export --destination backup --all --project default

    What has arrived there is not sent twice. Exit 1 if one of them was refused.
    """  # noqa: D301  # \b is click's own mark
    if every == bool(study):
        raise click.UsageError("name studies, or give --all")
    server = asked.server()
    wanted = [s["address"] for s in server.pages("done", project)] if every else list(study)
    well = 0
    for each in wanted:
        try:
            told = server.call("POST", f"/deid/studies/{each}/export", body={"destination": destination, "anew": anew})
        except click.ClickException as error:
            click.echo(f"{each}: {error.message}", err=True)
            continue
        well += 1
        click.echo(json.dumps(told) if asked.as_json else f"{told['address']}: {told['status']}")
    sys.exit(0 if well == len(wanted) else 1)


def _act(asked: Asked, name: str, verb: str) -> None:
    told = asked.server().call("POST", f"/deid/destinations/{name}/{verb}")
    if asked.as_json:
        click.echo(json.dumps(told))
    else:
        _print(told)


def _print(item: dict[str, Any]) -> None:
    states = ", ".join(f"{count} {state}" for state, count in sorted(item["deliveries"].items())) or "nothing yet"
    more = "paused" if item["paused"] else f"opens in {item['opens_in_s']:.0f} s" if item["opens_in_s"] else "open"
    optional = "" if item["required"] else ", not required"
    click.echo(f"{item['name']:<16} {item['kind']:<14} {more}{optional}: {states}")
