"""`watch`: the sources that are looked at, and what became of what was found."""

import json
import sys
from typing import Any

import click

from .arguments import Command
from .server import Asked


@click.command(cls=Command)
@click.argument("name", required=False)
@click.option("--pause", "verb", flag_value="pause", help="Take nothing more from it; what waits there is kept.")
@click.option("--resume", "verb", flag_value="resume", help="Let it go on.")
@click.option(
    "--check", "verb", flag_value="check", help="Speak to it without taking anything; exit 1 unless it answers."
)
@click.pass_obj
def watch(asked: Asked, name: str | None, verb: str | None) -> None:
    """See, check, pause and resume sources.

    \b
    orthanc-deid watch                   what waits where, what was taken and refused
    orthanc-deid watch scanner           one source
    orthanc-deid watch scanner --check   is the folder there, is the log-in right?
    orthanc-deid watch scanner --pause   take nothing more from it
    """  # noqa: D301  # \b is click's own mark
    if verb and not name:
        raise click.UsageError(f"--{verb} needs the name of a source")
    if verb == "check":
        _check(asked, str(name))
    elif name:
        path = f"/deid/sources/{name}"
        told = asked.server().call("POST", f"{path}/{verb}") if verb else asked.server().call("GET", path)
        _show([told], asked, told)
    else:
        items = asked.server().call("GET", "/deid/sources")["items"]
        _show(items, asked, items)


def _check(asked: Asked, name: str) -> None:
    told = asked.server().call("POST", f"/deid/sources/{name}/check")
    if asked.as_json:
        click.echo(json.dumps(told))
    else:
        click.secho(f"{'ok ' if told['ok'] else 'BAD'}  {name}  {told['detail']}", fg=None if told["ok"] else "red")
    sys.exit(0 if told["ok"] else 1)


def _show(items: list[dict[str, Any]], asked: Asked, told: object) -> None:
    if asked.as_json:
        click.echo(json.dumps(told, indent=2))
        return
    if not items:
        click.echo("No source is configured.")
    for item in items:
        click.echo(_line(item))


def _line(item: dict[str, Any]) -> str:
    state = "paused" if item["paused"] else item["state"] or "asked by batches"
    if item["opens_in_s"] and not item["paused"]:
        state = f"opens in {item['opens_in_s']:.0f} s"
    counts = f"{item['waiting']} waiting, {item['taken']} taken, {item['refused']} refused"
    reason = f" ({item['reason']})" if item["reason"] else ""
    return f"{item['name']:<16} {item['kind']:<14} {state}: {counts}{reason}"
