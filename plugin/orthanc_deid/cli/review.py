"""Commands for studies that wait in review: release them, or do not."""

import json
import sys

import click

from .arguments import Command, StudyId
from .asking import act
from .server import Asked

STUDIES = click.argument("study", nargs=-1, required=True, type=StudyId())


@click.command(cls=Command)
@STUDIES
@click.option("--wait", is_flag=True, help="Wait until each has ended; exit 1 unless all are done.")
@click.pass_obj
def approve(asked: Asked, study: tuple[str, ...], *, wait: bool) -> None:
    """Release studies that wait in `review`: they are delivered.

    `orthanc-deid studies --status review` lists them.
    """
    sys.exit(0 if act(asked, study, "approve", wait=wait).well else 1)


@click.command(cls=Command)
@STUDIES
@click.option("--reason", required=True, help="Why, shown with the study: no name and no number of a patient.")
@click.pass_obj
def reject(asked: Asked, study: tuple[str, ...], reason: str) -> None:
    """Do not release studies that wait in `review`.

    Nothing of them leaves. `process STUDY` asks once more for a rejected one: it waits in review again.
    """
    if not reason.strip():
        raise click.UsageError("--reason: say why")
    server = asked.server()
    refused = 0
    for each in study:
        try:
            told = server.call("POST", f"/deid/studies/{each}/reject", {"reason": reason})
        except click.ClickException as error:
            refused += 1
            click.echo(f"{each}: {error.message}", err=True)
            continue
        click.echo(json.dumps(told) if asked.as_json else f"{each}: {told['status']} ({told['reason']})")
    sys.exit(1 if refused else 0)
