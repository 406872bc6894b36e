"""Commands on what was in Orthanc before: check, run, mark-processed, import-uuids."""

import json
import sys
import time
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, TextIO

import click

from .arguments import Command, StudyId
from .asking import act, chunks
from .printing import time_of
from .server import PAGE, Asked, Server
from .uuid_file import NotIds, UuidFile

PROGRESS_S = 1.0
WIDTH = 44  # characters of an Orthanc id
COUNTS = {
    "marked": "left alone from now on",
    "already": "had ended before",
    "at_work": "at work, unchanged",
    "results": "results of this software, unchanged",
    "absent": "of all not in this Orthanc",
}
DATES = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"])


class IdOrInput(StudyId):
    """Orthanc's id of a study, or - for the lines of standard input."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:  # noqa: ANN401  # click's own
        """Refuse anything else."""
        return "-" if value == "-" else super().convert(value, param, ctx)


IDS = click.argument("study", nargs=-1, required=True, type=IdOrInput())


@click.command(cls=Command)
@click.option("--limit", "-l", type=click.IntRange(1), help="At most so many.  [default: all]")
@click.option("--raw", "-r", is_flag=True, help="Print the Orthanc ids only, a line each, for `run`.")
@click.option("--since", type=DATES, help="Only what has arrived since, in UTC: 2026-11-01 or 2026-11-01T08:00.")
@click.option("--project", help="Only what this project has or would take.")
@click.option("--mark-processed", "mark", is_flag=True, help="Mark what is listed, as `mark-processed` does.")
@click.pass_obj
def check(  # noqa: PLR0913  # its options
    asked: Asked, limit: int | None, since: datetime | None, project: str | None, *, raw: bool, mark: bool
) -> None:
    """List studies in Orthanc that are not processed yet.

    \b
    orthanc-deid check
    orthanc-deid check --raw | orthanc-deid run -
    orthanc-deid check --raw --limit 20 | xargs -r orthanc-deid run

    The column after the id says received or waiting, or new where the study is not known yet. Results, and studies
    that are done, ignored or have failed, are not listed; `studies --status` lists these.
    """  # noqa: D301  # \b is click's own mark
    server = asked.server()
    count = 0
    for page in _pages(server, since, project, limit):
        for item in page:
            click.echo(_line(asked, item, raw=raw))
        count += len(page)
        if mark and page:
            server.call("POST", "/deid/processed", {"studies": [item["source"] for item in page]})
    if not raw and not asked.as_json:
        done = " and marked" if mark and count else ""
        click.echo(f"{count} studies are not processed yet{done}." if count else "Every study is processed.", err=True)


@click.command(cls=Command)
@IDS
@click.option("--wait", is_flag=True, help="Wait until each has ended; exit 1 unless all are done.")
@click.pass_obj
def run(asked: Asked, study: tuple[str, ...], *, wait: bool) -> None:
    """De-identify studies, by id or from a list.

    With - the ids are the lines of standard input.

    \b
    orthanc-deid run STUDY STUDY
    orthanc-deid check --raw --since 2026-11-01 | orthanc-deid run --wait -

    As `process`, also one that is marked as processed. Each study has a line; the last line, on standard error, counts.
    Exit 0 if all were taken (with --wait: are done), 1 if one was refused.
    """  # noqa: D301  # \b is click's own mark
    counts = act(asked, counted(ids(study)), "process", wait=wait)
    click.echo(f"{counts.taken} taken, {counts.refused} refused{_not_done(counts.not_done)}", err=True)
    sys.exit(0 if counts.well else 1)


@click.command("mark-processed", cls=Command)
@IDS
@click.pass_obj
def mark_processed(asked: Asked, study: tuple[str, ...]) -> None:
    """Mark studies as processed elsewhere.

    By ids or, with -, from the lines of standard input. They are ignored, with your name as reason, and left alone,
    also when instances arrive later; `run` still starts them. An id that this Orthanc does not hold is marked for the
    day when it comes.
    """
    _mark(asked, ids(study))


@click.command("import-uuids", cls=Command)
@click.argument("file", type=click.File("r", encoding="utf-8-sig"))
@click.pass_obj
def import_uuids(asked: Asked, file: TextIO) -> None:
    """Mark the studies that image-deid-etl has processed.

    FILE is its flat JSON array of Orthanc ids, or a text with ids in its lines: one a line, or a CSV or SQL dump of the
    table processed_uuids; - is standard input.
    """
    found = UuidFile(file)
    try:
        _mark(asked, found)
    except NotIds as error:
        raise click.ClickException(str(error)) from None
    if found.passed_over:
        click.echo(f"{found.passed_over} lines hold no Orthanc id and were passed over", err=True)


COMMANDS = (check, run, mark_processed, import_uuids)


def _pages(
    server: Server, since: datetime | None, project: str | None, limit: int | None
) -> Iterator[list[dict[str, Any]]]:
    """Yield the pages of the answer; nothing but the ids of one page is kept."""
    cursor, left = None, limit
    before: set[str] = set()
    while True:
        page = server.call(
            "GET", "/deid/unprocessed", since=since.isoformat() if since else None, project=project, cursor=cursor,
            limit=PAGE if left is None else min(PAGE, left),
        )  # fmt: skip
        items = [item for item in page["items"] if item["source"] not in before]
        before = {item["source"] for item in page["items"]}
        yield items
        cursor = page["next"]
        if left is not None:
            left -= len(items)
        if cursor is None or left == 0:
            return


def _line(asked: Asked, item: dict[str, Any], *, raw: bool) -> str:
    if asked.as_json:
        return json.dumps(item)
    if raw:
        return str(item["source"])
    return f"{item['source']:<{WIDTH}}  {item['status'] or 'new':<8}  {time_of(item['last_update'])}  {item['project']}"


def ids(given: tuple[str, ...]) -> Iterator[str]:
    """Yield the ids that were given, and for - those in the lines of standard input."""
    for word in given:
        if word == "-":
            yield from _lines(sys.stdin)
        else:
            yield word


def _lines(text: Iterable[str]) -> Iterator[str]:
    kind = StudyId()
    for number, line in enumerate(text, 1):
        if not line.strip():
            continue
        try:
            yield kind.convert(line.strip(), None, None)
        except click.UsageError:
            raise click.UsageError(f"line {number} of standard input is not an Orthanc id") from None


def counted(studies: Iterable[str]) -> Iterator[str]:
    """Show a person how many were asked for."""
    shows = sys.stderr.isatty() and not sys.stdout.isatty()
    told = time.monotonic()
    for number, study in enumerate(studies):
        if shows and time.monotonic() - told > PROGRESS_S:
            told = time.monotonic()
            click.echo(f"\r{number} asked for", nl=False, err=True)
        yield study
    if shows:
        click.echo("\r", nl=False, err=True)


def _not_done(count: int) -> str:
    return f", {count} not done" if count else ""


def _mark(asked: Asked, studies: Iterable[str]) -> None:
    """Mark them a thousand at a time and print the counts; exit 1 where one is at work."""
    server = asked.server()
    counts = dict.fromkeys(COUNTS, 0)
    for some in chunks(studies, PAGE):
        told = server.call("POST", "/deid/processed", {"studies": some})
        counts = {name: counts[name] + told[name] for name in counts}
    if asked.as_json:
        click.echo(json.dumps(counts))
    else:
        for name, meaning in COUNTS.items():
            click.echo(f"{counts[name]:>8}  {meaning}")
    if counts["at_work"]:
        sys.exit(1)
