"""The command `manifest`."""

import csv
import io
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from .arguments import Command
from .server import Asked

PIECE = 50  # manifests at once
STUDY, NUMBER, INSTANCE = "StudyInstanceUID", "Instances", "SOPInstanceUID"
UID = re.compile("[0-9][0-9.]{0,63}")
KNOWN = {name.lower(): name for name in (STUDY, NUMBER, INSTANCE)}


@click.command(cls=Command)
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False, allow_dash=True))
@click.pass_obj
def manifest(asked: Asked, file: Path) -> None:
    """Announce how many instances studies have.

    \b
    orthanc-deid manifest announced.csv
    orthanc-deid manifest announced.json

    Studies whose `completeness` is `by: manifest` begin when all that is announced is there. A CSV file has the
    columns StudyInstanceUID and Instances, a row each study; or StudyInstanceUID and SOPInstanceUID, a row each
    instance. A JSON file holds what `POST /deid/manifests` takes, one manifest or a list of them. `-` reads standard
    input. A second manifest of a study replaces the first.
    """  # noqa: D301  # \b is click's own mark
    with click.open_file(str(file), "rb") as stream:
        announced = read(stream.read())
    server = asked.server()
    items: list[dict[str, Any]] = []
    for begin in range(0, len(announced), PIECE):
        items += server.call("POST", "/deid/manifests", announced[begin : begin + PIECE])["items"]
    if asked.as_json:
        click.echo(json.dumps(items, indent=2))
        return
    replaced = sum(item["replaced"] for item in items)
    click.echo(f"{len(items)} studies announced, of these {replaced} anew")


def read(content: bytes) -> list[dict[str, Any]]:
    """Return the manifests of a file, CSV or JSON; end with a message that names the line, never a value."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise click.ClickException("the file is not UTF-8") from None
    if text.lstrip()[:1] in ("[", "{"):
        return _of_json(text)
    return _of_csv(text)


def _of_json(text: str) -> list[dict[str, Any]]:
    try:
        found = json.loads(text)
    except json.JSONDecodeError as error:
        raise click.ClickException(f"line {error.lineno}: not JSON") from None
    return found if isinstance(found, list) else [found]


def _of_csv(text: str) -> list[dict[str, Any]]:
    header = text.split("\n", 1)[0]
    delimiter = max(",;\t", key=header.count)
    rows = csv.reader(io.StringIO(text), delimiter=delimiter)
    columns = [KNOWN.get(name.strip().lower(), "") for name in next(rows, [])]
    named = sorted(filter(None, columns))
    if named not in ([NUMBER, STUDY], [INSTANCE, STUDY]) or "" in columns:
        raise click.ClickException(f"line 1: the columns are {STUDY} and {NUMBER}, or {STUDY} and {INSTANCE}")
    lines = _lines(rows, columns)
    return list(_numbered(lines)) if NUMBER in named else _listed(lines)


def _lines(rows: Any, columns: list[str]) -> Iterator[tuple[int, Mapping[str, str]]]:  # noqa: ANN401  # csv's reader
    """Yield line and cells of each row that is not empty."""
    for cells in rows:
        stripped = [cell.strip() for cell in cells]
        if not any(stripped):
            continue
        if len(stripped) != len(columns) or not all(stripped):
            raise click.ClickException(f"line {rows.line_num}: {len(columns)} values are expected")
        row = dict(zip(columns, stripped, strict=True))
        for name in (STUDY, INSTANCE):
            if name in row and not UID.fullmatch(row[name]):
                raise click.ClickException(f"line {rows.line_num}: {name} is not a UID")
        yield rows.line_num, row


def _numbered(lines: Iterator[tuple[int, Mapping[str, str]]]) -> Iterator[dict[str, Any]]:
    seen: set[str] = set()
    for line, row in lines:
        if not re.fullmatch("[1-9][0-9]{0,6}", row[NUMBER]):
            raise click.ClickException(f"line {line}: {NUMBER} is not a number from 1")
        if row[STUDY] in seen:
            raise click.ClickException(f"line {line}: the study has a line already")
        seen.add(row[STUDY])
        yield {STUDY: row[STUDY], "instances": int(row[NUMBER])}


def _listed(lines: Iterator[tuple[int, Mapping[str, str]]]) -> list[dict[str, Any]]:
    found: dict[str, dict[str, None]] = {}
    for line, row in lines:
        instances = found.setdefault(row[STUDY], {})
        if row[INSTANCE] in instances:
            raise click.ClickException(f"line {line}: the instance has a line already")
        instances[row[INSTANCE]] = None
    return [{STUDY: study, "SOPInstanceUIDs": list(instances)} for study, instances in found.items()]
