"""The command `add-metadata`."""

import json
import sys
from collections import Counter
from dataclasses import asdict
from pathlib import Path

import click

from .. import settings
from .arguments import Command
from .server import Asked

WELL = ("written", "same")


@click.command("add-metadata", cls=Command)
@click.argument("sidecar", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--destination", required=True, help="Its name in the configuration; its kind is flywheel.")
@click.option("--project", required=True, help="Label of the project on Flywheel.")
@click.option("--subject", required=True, help="Label of the subject.")
@click.option("--session", required=True, help="Label of the session.")
@click.pass_obj
def add_metadata(  # noqa: PLR0913  # click's options
    asked: Asked, sidecar: tuple[Path, ...], destination: str, project: str, subject: str, session: str
) -> None:
    """Write sidecars to files that are on Flywheel already.

    \b
    orthanc-deid add-metadata --destination fw --project Brain --subject S1 --session visit1 *.json

    Each becomes the info of a NIfTI file: it goes to the acquisition whose label is like
    `{SeriesNumber} - {SeriesDescription}`, and to the file in it. A second time nothing changes. What new deliveries
    bring has its info from the start. It needs no running server. Exit 3 unless every sidecar found its file.
    """  # noqa: D301  # \b is click's own mark
    from ..destinations.flywheel import add_metadata as add

    chosen = settings.load().configuration.destination(destination)
    if not isinstance(chosen, settings.Flywheel):
        raise click.UsageError(f"{destination} is of the kind {chosen.kind}: only flywheel has such metadata")
    added = add(chosen, (project, subject, session), sidecar)
    if asked.as_json:
        click.echo(json.dumps([asdict(each) for each in added], indent=2))
    else:
        for each in added:
            click.echo(f"{each.outcome:<14} {each.sidecar}{f'  ({each.acquisition})' if each.acquisition else ''}")
        counts = Counter(each.outcome for each in added)
        click.echo(", ".join(f"{count} {outcome}" for outcome, count in counts.most_common()))
    sys.exit(0 if all(each.outcome in WELL for each in added) else 3)
