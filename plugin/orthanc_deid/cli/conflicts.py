"""Commands on instances that came again with another content."""

import json
import sys
from collections.abc import Iterator
from typing import Any

import click

from .arguments import Group, StudyId
from .printing import time_of
from .server import Asked, Server


@click.group(cls=Group, invoke_without_command=True)
@click.option("--study", type=StudyId(), help="Only those of this study, decided ones too.")
@click.pass_context
def conflicts(context: click.Context, study: str | None) -> None:
    """See and decide what came again with another content.

    \b
    orthanc-deid conflicts                      what waits for a decision
    orthanc-deid conflicts --study STUDY        all of one study, decided ones too
    orthanc-deid conflicts keep 7 --stored      what is stored stays, what came is deleted
    orthanc-deid conflicts keep 7 --arrived     what came is stored, de-identified and delivered
    """  # noqa: D301  # \b is click's own mark
    if context.invoked_subcommand is None:
        _print_all(context.obj, study)


@conflicts.command()
@click.argument("conflict", nargs=-1, required=True, type=click.IntRange(1))
@click.option("--stored", "which", flag_value="stored", help="What is stored stays; the other is deleted.")
@click.option("--arrived", "which", flag_value="arrived", help="What came takes the place of what is stored.")
@click.pass_obj
def keep(asked: Asked, conflict: tuple[int, ...], which: str | None) -> None:
    """Decide which content is the right one; exit 1 if one of the decisions was refused."""
    if which is None:
        raise click.UsageError("say --stored or --arrived")
    server, well = asked.server(), 0
    for number in conflict:
        try:
            told = server.call("POST", f"/deid/conflicts/{number}", body={"keep": which})
        except click.ClickException as error:
            click.echo(f"{number}: {error.message}", err=True)
            continue
        well += 1
        click.echo(json.dumps(told) if asked.as_json else f"{number}: {told['state']}")
    sys.exit(0 if well == len(conflict) else 1)


def _print_all(asked: Asked, study: str | None) -> None:
    found = list(_all(asked.server(), study))
    if asked.as_json:
        click.echo(json.dumps(found, indent=2))
        return
    for item in found:
        differs = ", ".join(item["attributes"]) if item["attributes"] else "-"
        click.echo(f"{item['id']:>6}  {time_of(item['at'])}  {item['state']:<9} {item['study']}  {differs}")
    if not found:
        click.echo("Nothing came again with another content.")


def _all(server: Server, study: str | None) -> Iterator[dict[str, Any]]:
    cursor: str | None = None
    while True:
        page = server.call("GET", "/deid/conflicts", limit=1000, study=study, cursor=cursor)
        yield from page["items"]
        cursor = page["next"]
        if cursor is None:
            return
