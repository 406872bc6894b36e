"""The command validate: which project, subject and session studies would get, and which are missing."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from .arguments import Command
from .asking import chunks
from .mapping_sheets import Sheets
from .retrospective import IdOrInput, counted, ids
from .server import Asked, Server

AT_ONCE = 100  # studies in one question
MISSING = 3  # exit code
WIDTHS = (44, 14, 18, 26)  # characters of study, project, subject, session
ITS_DATE = "(its date)"


@click.command(cls=Command)
@click.argument("study", nargs=-1, type=IdOrInput())
@click.option("--new", is_flag=True, help="All studies that are not processed yet, as `check` lists them.")
@click.option("--project", help="Only what this project has or would take.")
@click.option("--limit", "-l", type=click.IntRange(1), help="At most so many.  [default: all]")
@click.option(
    "--csv",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="Write sub_mapping_DATE.csv and what is missing into this folder; the tables name patients.",
)
@click.option("--reason", default="", help="Why --csv needs the patients' numbers: recorded in the audit.")
@click.pass_obj
def validate(  # noqa: PLR0913  # its options
    asked: Asked, study: tuple[str, ...], project: str | None, limit: int | None, folder: Path | None, reason: str,
    *, new: bool,
) -> None:  # fmt: skip
    """Show what studies would be called, before anything runs.

    \b
    orthanc-deid validate STUDY STUDY
    orthanc-deid check --raw | orthanc-deid validate -
    orthanc-deid validate --new --project cbtn
    orthanc-deid validate --new --csv tables --reason "mapping of November"

    A line for each study and project: Orthanc's id, project, subject, session, and what is missing. Nothing is made
    and no pseudonym is given: where the next number of a sequence would be given, the subject has a +. A session
    without a label is called by its (shifted) date.

    --csv writes sub_mapping_DATE.csv, missing_subject_ids_DATE.csv, missing_sessions_DATE.csv and, where a destination
    goes by diagnoses, missing_diagnosis_DATE.csv. They name patients: role reidentify and a --reason are needed, and
    only you may read them.

    Exit 0 if nothing is missing, 3 if something is.
    """  # noqa: D301  # \b is click's own mark
    if bool(study) == new:
        raise click.UsageError("name studies (- for those in the lines of standard input), or give --new")
    if folder and not reason.strip():
        raise click.UsageError("--csv names patients: say why by --reason")
    body: dict[str, Any] = {"project": project}
    if folder:
        body |= {"identified": True, "reason": reason}
    pages = _of_new(asked.server(), body, limit) if new else _of_studies(asked.server(), body, study, limit)
    total = incomplete = 0
    with Sheets(folder) as sheets:
        for item in pages:
            click.echo(json.dumps(item) if asked.as_json else _line(item))
            sheets.add(item)
            total += 1
            incomplete += bool(item["missing"])
    for path in sheets.written:
        click.echo(f"written: {path}", err=True)
    if not asked.as_json:
        click.echo(f"{total} looked at, {incomplete} with something missing", err=True)
    sys.exit(MISSING if incomplete else 0)


COMMANDS = (validate,)


def _of_studies(
    server: Server, body: dict[str, Any], given: tuple[str, ...], limit: int | None
) -> Iterator[dict[str, Any]]:
    left = limit
    for some in chunks(counted(ids(given)), AT_ONCE):
        wanted = some if left is None else some[:left]
        yield from server.call("POST", "/deid/validate", body | {"studies": wanted})["items"]
        if left is not None:
            left -= len(wanted)
            if left <= 0:
                return


def _of_new(server: Server, body: dict[str, Any], limit: int | None) -> Iterator[dict[str, Any]]:
    """Yield what is told of all new studies, page after page; a study that two pages tell of is told once."""
    cursor, left, seen = None, limit, 0
    before: set[str] = set()
    while True:
        most = AT_ONCE if left is None else min(AT_ONCE, left)
        page = server.call("POST", "/deid/validate", body | {"limit": most, "cursor": cursor})
        sources = {item["source"] for item in page["items"]}
        yield from (item for item in page["items"] if item["source"] not in before)
        seen += len(sources - before)
        if left is not None:
            left -= len(sources - before)
        before, cursor = sources, page["next"]
        _progress(seen)
        if cursor is None or left == 0:
            _progress(None)
            return


def _progress(seen: int | None) -> None:
    """Show a person how far it is; nothing to a file, and nothing between the lines of a table."""
    if sys.stderr.isatty() and not sys.stdout.isatty():
        click.echo("\r" if seen is None else f"\r{seen} looked at", nl=False, err=True)


def _line(item: dict[str, Any]) -> str:
    missing = {each["what"] for each in item["missing"]}
    session = item["session"] or ("-" if missing & {"session", "subject", "project"} else ITS_DATE)
    cells = (item["source"], item["project"] or "-", item["subject"] or "-", session)
    why = "; ".join(f"no {each['what']}: {each['reason']}" for each in item["missing"])
    return "  ".join([*(f"{cell:<{width}}" for cell, width in zip(cells, WIDTHS, strict=True)), why]).rstrip()
