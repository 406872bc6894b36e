"""The commands `crosswalk lookup` and `crosswalk export`: what they write only its owner can read."""

import csv
import json
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from ..formats import atomic
from .arguments import Command
from .asking import chunks
from .server import Asked, Server

REASON = click.option("--reason", required=True, help="Why, 3 to 500 characters; kept encrypted in the audit.")
KINDS = ("patient", "study", "series", "instance", "accession")
COLUMNS = ("found", "kind", "project", "original", "issuer", "replaced", "patient", "patient_id", "offset_days")
FILES = ("uid_mapping.csv", "patid_mapping.csv")
_AT_ONCE = 1000  # values in one question
_ROWS = 50_000  # of a mapping in one answer
_NEXT = re.compile(r'[?&]after=([0-9]+)[^>]*>; rel="next"')
PRIVATE = 0o600


@click.command(cls=Command)
@click.argument("value", nargs=-1)
@click.option("--original", is_flag=True, help="VALUEs are of sources: PatientID, UID, accession number.")
@click.option("--project", "-p", help="Only in this project.  [default: every one whose key is here]")
@click.option("--kind", type=click.Choice(KINDS), help="What VALUEs are.  [default: any]")
@click.option("--issuer", help="IssuerOfPatientID, empty for none.  [default: any]")
@click.option("--csv", "table", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="Table with values.")
@click.option("--column", help="With --csv: the column that holds them.")
@click.option("--out", "-o", type=click.Path(path_type=Path, dir_okay=False), help="With --csv: the table to write.")
@REASON
@click.pass_obj
def lookup(  # noqa: PLR0913  # its options
    asked: Asked, value: tuple[str, ...], project: str | None, kind: str | None, issuer: str | None,
    table: Path | None, column: str | None, out: Path | None, reason: str, *, original: bool,
) -> None:  # fmt: skip
    """Tell who a pseudonym is, or with --original what a patient is called.

    \b
    orthanc-deid crosswalk lookup P000017 --reason "incidental finding"
    orthanc-deid crosswalk lookup --original --reason "data request"        asks for the value
    orthanc-deid crosswalk lookup - --original --reason "data request"      a value each line of standard input
    orthanc-deid crosswalk lookup --csv in.csv --column subject --out out.csv --reason "read-out"

    Arguments are visible to all users of the machine while the command runs, and stay in the shell's history: give
    values of sources by prompt, `-` or --csv. The table of --out gets columns behind its own, and only its owner can
    read it. Exit 1 where one value is not found.
    """  # noqa: D301  # \b is click's own mark
    if bool(table) != bool(column and out) or (table and value):
        raise click.UsageError("--csv, --column and --out belong together, without VALUE")
    question = {
        "direction": "original" if original else "pseudonym", "project": project, "kind": kind, "issuer": issuer,
        "reason": reason,
    }  # fmt: skip
    if table and column and out:
        missed = _look_up_table(asked.server(), question, (table, column, out))
        click.echo(f"{out}: written, {missed} not found")
        sys.exit(1 if missed else 0)
    found = list(_answers(asked.server(), question, list(_values(value))))
    if asked.as_json:
        click.echo(json.dumps(found, indent=2))
    else:
        for each in found:
            click.echo(_told(each))
    sys.exit(0 if all(each["found"] or each["derived"] for each in found) else 1)


@click.command(cls=Command)
@click.option("--project", "-p", required=True, help="Name of the project.")
@click.option(
    "--out", "-o", required=True, type=click.Path(path_type=Path, file_okay=False), help="Folder to write to."
)
@REASON
@click.pass_obj
def export(asked: Asked, project: str, out: Path, reason: str) -> None:
    """Write uid_mapping.csv and patid_mapping.csv of a project: columns id_old and id_new.

    Only their owner can read them. They say who everybody is, and are not encrypted.
    """
    server = asked.server()
    counts: dict[str, int] = {}
    try:
        out.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name in FILES:
            with atomic.file(out / name, PRIVATE) as path, path.open("wb") as file:
                for part in _parts(server, f"/deid/crosswalk/{project}/{name}", reason):
                    counts[name] = counts.get(name, 0) + part.count(b"\n")
                    file.write(part)
    except OSError as error:
        raise click.ClickException(f"--out cannot be written ({error.strerror})") from None
    told = {name: count - 1 for name, count in counts.items()}
    click.echo(json.dumps(told) if asked.as_json else "".join(f"{n}: {c} rows\n" for n, c in told.items()).rstrip())


def _parts(server: Server, path: str, reason: str) -> Iterator[bytes]:
    """Fetch a mapping part by part."""
    server.explain(reason)
    after = "0"
    while True:
        answer = server.get(path, after=after, count=_ROWS)
        yield answer.content
        found = _NEXT.search(answer.headers.get("Link", ""))
        if not found:
            return
        after = found[1]


def _values(given: Sequence[str]) -> Iterator[str]:
    """Yield what stands in arguments, in lines of standard input for `-`, or what is typed where nothing is given."""
    if not given and sys.stdin.isatty():
        yield str(click.prompt("Value", err=True))
        return
    for each in given or ("-",):
        if each == "-":
            yield from filter(None, map(str.strip, sys.stdin))
        else:
            yield each


def _answers(server: Server, question: dict[str, Any], values: Sequence[str]) -> Iterator[dict[str, Any]]:
    if not values:
        raise click.UsageError("no value is given")
    unread: set[str] = set()
    for part in chunks(values, _AT_ONCE):
        told = server.call("POST", "/deid/crosswalk/lookup", question | {"values": part})
        unread |= set(told["unread"])
        yield from told["items"]
    if unread:
        click.echo(f"not asked, their key is not here: {', '.join(sorted(unread))}", err=True)


def _look_up_table(server: Server, question: dict[str, Any], files: tuple[Path, str, Path]) -> int:
    """Write a table with what was found behind each row; a value that is found twice has two rows. Count the missed."""
    table, column, out = files
    header, rows = _read(table, column)
    asked = [row[header.index(column)].strip() for row in rows]
    found: dict[str, list[dict[str, Any]]] = {}
    for each in _answers(server, question, list(dict.fromkeys(filter(None, asked)))):
        found.setdefault(each["value"], []).append(each)
    missed = 0
    try:
        with atomic.file(out, PRIVATE) as path, path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow([*header, *(f"crosswalk_{name}" for name in COLUMNS)])
            for value, row in zip(asked, rows, strict=True):
                matches = found.get(value) or [{"found": False}]
                missed += not matches[0]["found"]
                for match in matches:
                    cells = ("" if match.get(name) is None else match[name] for name in COLUMNS)
                    writer.writerow([*row, *cells])
    except OSError as error:
        raise click.ClickException(f"--out cannot be written ({error.strerror})") from None
    return missed


def _read(table: Path, column: str) -> tuple[list[str], list[list[str]]]:
    try:
        text = table.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError):
        raise click.ClickException("--csv cannot be read as UTF-8") from None
    first = text.split("\n", 1)[0]
    rows = [row for row in csv.reader(text.splitlines(), delimiter=max(",;\t", key=first.count)) if any(row)]
    header = [name.strip() for name in rows[0]] if rows else []
    if column not in header:
        raise click.ClickException("--column: the table has no column of that name")
    short = next((number for number, row in enumerate(rows, 1) if len(row) != len(header)), None)
    if short:
        raise click.ClickException(f"--csv: row {short} has not {len(header)} values")
    return header, rows[1:]


def _told(each: dict[str, Any]) -> str:
    if each["derived"]:
        return f"{each['value']}: not noted; the key of {each['project']} makes it {each['replaced']}"
    if not each["found"]:
        return f"{each['value']}: not found"
    issuer = f" of {each['issuer']}" if each["issuer"] else ""
    days = "" if each["offset_days"] is None else f", dates {each['offset_days']:+d} days"
    whose = "" if each["kind"] == "patient" else f" (patient {each['patient']}, PatientID {each['patient_id']})"
    return f"{each['original']}{issuer} -> {each['replaced']}: {each['kind']} in {each['project']}{whose}{days}"
