"""The command that makes results anew: by name, or all that another profile has made."""

import json
import sys
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import click

from .arguments import Command, StudyId
from .asking import act
from .server import PAGE, Asked, Server

WIDTH = 44  # characters of an Orthanc id
PROGRESS_S = 1.0


@click.command(cls=Command)
@click.argument("study", nargs=-1, type=StudyId())
@click.option("--older", is_flag=True, help="What another profile has made than its project has now.")
@click.option("--all", "every", is_flag=True, help="Everything, also what the present profile has made.")
@click.option("--profile", help="Only of projects with this profile; of these what is older.")
@click.option(
    "--profile-version",
    "version",
    help="Bring results to this version: what is older is made anew. Refused where the profile is another version.",
)
@click.option("--project", help="Only of this project; of this what is older.")
@click.option("--limit", "-l", type=click.IntRange(1), help="At most so many are made anew.  [default: all]")
@click.option("--dry-run", is_flag=True, help="Change nothing, only list what would be made anew, and what cannot be.")
@click.option("--wait", is_flag=True, help="Of studies that are named: wait until each has ended.")
@click.pass_obj
def reprocess(  # noqa: PLR0913  # its options
    asked: Asked, study: tuple[str, ...], profile: str | None, version: str | None, project: str | None,
    limit: int | None, *, older: bool, every: bool, dry_run: bool, wait: bool,
) -> None:  # fmt: skip
    """Make results anew.

    \b
    orthanc-deid reprocess STUDY STUDY
    orthanc-deid reprocess --older --dry-run
    orthanc-deid reprocess --profile research --profile-version 2

    All instances of a study are de-identified, verified and delivered again by the project's profile of now, under the
    same pseudonym and UIDs. Each study that was found has a line; the last line, on standard error, counts. Exit 1 if
    one cannot be made anew: it is at work, held, or its sources are gone.
    """  # noqa: D301  # \b is click's own mark
    filters = {"profile": profile, "version": version, "project": project}
    some = older or every or any(filters.values())
    if bool(study) == some or (older and every):
        raise click.UsageError("name studies, or say which: --older, --all, --profile, --profile-version or --project")
    if study:
        if dry_run or limit is not None:
            raise click.UsageError("--dry-run and --limit are for --older, --all, --profile and --project")
        sys.exit(0 if act(asked, study, "reprocess", wait=wait).well else 1)
    wanted = {name: value for name, value in filters.items() if value} | {"older": not every, "dry_run": dry_run}
    counts = Counter(_told(asked, item) for item in _found(asked.server(), wanted, limit))
    would = "would be" if dry_run else "are"
    click.echo(f"{counts[True]} {would} made anew, {counts[False]} cannot be", err=True)
    sys.exit(1 if counts[False] else 0)


def _found(server: Server, wanted: dict[str, Any], limit: int | None) -> Iterator[dict[str, Any]]:
    """Yield what became of each study, until that many were taken."""
    cursor, left = None, limit
    shows = sys.stderr.isatty() and not sys.stdout.isatty()
    told, count = time.monotonic(), 0
    while True:
        body = wanted | {"limit": PAGE if left is None else min(PAGE, left), "cursor": cursor}
        page = server.call("POST", "/deid/reprocess", {k: v for k, v in body.items() if v is not None})
        yield from page["items"]
        cursor, count = page["next"], count + len(page["items"])
        if shows and time.monotonic() - told > PROGRESS_S:
            told = time.monotonic()
            click.echo(f"\r{count} found", nl=False, err=True)
        if left is not None:
            left -= sum(item["taken"] for item in page["items"])
        if cursor is None or left == 0:
            return


def _told(asked: Asked, item: dict[str, Any]) -> bool:
    """Print what became of one study; answer whether it was taken."""
    if asked.as_json:
        click.echo(json.dumps(item))
        return bool(item["taken"])
    made_by = item["made_by"]
    by = f"{made_by['name']} {made_by['version']} ({made_by['digest']})" if made_by else "unknown"
    click.echo(
        f"{item['source']:<{WIDTH}}  {item['project']:<16}  {by}{': ' + item['reason'] if item['reason'] else ''}"
    )
    return bool(item["taken"])
