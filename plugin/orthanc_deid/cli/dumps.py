"""The command `move-dumps`."""

import json
import sys
from dataclasses import asdict
from pathlib import Path

import click

from .arguments import Command
from .server import Asked


@click.command("move-dumps", cls=Command)
@click.option(
    "-d",
    "--data-folder",
    required=True,
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Folder with sub-*/ses-*, as `--save` and `--info` write it.",
)
@click.option(
    "-o",
    "--info-folder",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder to move the dumps to; made where it is not there.",
)
@click.pass_obj
def move_dumps(asked: Asked, data_folder: Path, info_folder: Path) -> None:
    """Move dumps of --info out of a folder of images.

    \b
    orthanc-deid move-dumps -d data -o info

    The CSV files of sub-*/ses-* and sub-*, and mapper.json, go to the same places below the other folder. They hold
    identities: folders are made with mode 0700, files have mode 0600. Started again it finishes what was left. It
    needs no running server. Exit 3 where a different file of a name is there already: that one is not moved.
    """  # noqa: D301  # \b is click's own mark
    from ..batches.lists import dumps

    done = dumps.move(data_folder, info_folder)
    if asked.as_json:
        click.echo(json.dumps(asdict(done), indent=2))
    else:
        for path in done.kept:
            click.echo(f"not moved, another is there: {path}")
        click.echo(f"{done.moved} moved, {len(done.kept)} not moved")
    sys.exit(3 if done.kept else 0)
