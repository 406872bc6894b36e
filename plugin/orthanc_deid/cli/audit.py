"""The commands on the audit: list it, verify it here or far from here, save it."""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

import click

from .. import chain
from ..keyring import Keyring
from .arguments import Group, StudyId
from .printing import time_of
from .server import Asked, Server

PART = 20000  # records
_ANCHOR = re.compile(r"([1-9][0-9]*):([0-9a-f]{64})")
NOT_AN_EXPORT = "line {}: not a line of an audit's export"


@click.group(cls=Group)
def audit() -> None:
    """Show, verify or save the record of every decision."""


@audit.command("list")
@click.option("--what", help="Only this kind of record, as `verified`; docs/audit.md lists them.")
@click.option("--study", type=StudyId(), help="Only of this study.")
@click.option("--project", help="Only of this project.")
@click.option("--after", type=click.IntRange(0), help="From the record after this one on; without: the newest.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="At most so many.")
@click.pass_obj
def list_records(  # noqa: PLR0913  # its options
    asked: Asked, what: str | None, study: str | None, project: str | None, after: int | None, limit: int
) -> None:
    """List records, the newest last."""
    told = asked.server().call(
        "GET", "/deid/audit", None, what=what, study=study, project=project, after=after, limit=limit,
        newest=None if after is not None else "true",
    )  # fmt: skip
    items = told["items"]
    items = items[::-1] if after is None else items
    if asked.as_json:
        click.echo(json.dumps(items, indent=2))
        return
    for one in items:
        about = [f"study {one['study_id']}"] if one["study_id"] else []
        about += [one["project"]] if one["project"] else []
        about += [f"{name}={value}" for name, value in one["detail"].items()]
        click.echo(f"{one['id']:>8}  {time_of(one['at'])}  {one['what']:<15} {one['actor']:<10} {', '.join(about)}")
    if not items:
        click.echo("There is no such record.")


@audit.command()
@click.argument("file", required=False, type=click.File(encoding="utf-8"))
@click.option(
    "--key-file",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="With FILE: the key that `audit key` has saved, or the file `key` of ORTHANC_DEID_HOME.",
)
@click.option("--against", type=click.File(encoding="utf-8"), help="An earlier export: all of it must still be there.")
@click.option("--anchor", help="NUMBER:HASH of a record, as noted elsewhere: it must still be there.")
@click.pass_obj
def verify(
    asked: Asked, file: TextIO | None, key_file: Path | None, against: TextIO | None, anchor: str | None
) -> None:
    """Verify that no record was changed, taken out, put in or moved.

    \b
    orthanc-deid audit verify
    orthanc-deid audit verify --against audit-2025.jsonl
    orthanc-deid audit verify audit-2025.jsonl --key-file key

    The last form needs neither server nor database. Exit 1 and the first wrong record where there is one. What is
    printed at the end, number and hash of the newest record, belongs somewhere else: by --anchor it tells a database
    that was put back to an older state.
    """  # noqa: D301  # \b is click's own mark
    if file and (against or anchor):
        raise click.UsageError("--against and --anchor are compared with the server: leave FILE out")
    if bool(file) != bool(key_file):
        raise click.UsageError("FILE and --key-file belong together")
    noted = _anchor(anchor) if anchor else (_last_of(against) if against else (0, ""))
    if file and key_file:
        last, newest, wrong = _verify_file(file, _key(key_file))
    else:
        last, newest, wrong = _verify_there(asked.server(), *noted)
    if asked.as_json:
        told = {"number": wrong.number, "why": wrong.why} if wrong else None
        click.echo(json.dumps({"last": last, "hash": newest, "wrong": told}, indent=2))
    elif wrong:
        click.secho(f"record {wrong.number} {wrong.why}", fg="red")
    else:
        click.echo(f"{last} records, all in place. Note elsewhere: {last}:{newest}")
    sys.exit(1 if wrong else 0)


@audit.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--after", type=click.IntRange(0), default=0, help="Only records after this one.")
@click.pass_obj
def export(asked: Asked, file: Path, after: int) -> None:
    """Save records as JSON Lines, with what proves that none is missing."""
    server = asked.server()
    before = server.call("GET", "/deid/audit", after=after - 1, limit=1)["items"] if after else []
    if after and [one["id"] for one in before] != [after]:
        raise click.ClickException(f"there is no record {after}")
    unfinished = file.with_name(file.name + ".part")
    count = 0
    with unfinished.open("w", encoding="utf-8") as stream:
        for one in before:
            stream.write(chain.canonical({"after": {"number": after, "hash": one["hash"]}}) + "\n")
        for line in _lines(server, after):
            stream.write(line + "\n")
            count += 1
    unfinished.replace(file)
    click.echo(f"{count - 1} records saved", err=True)


@audit.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
def key(file: Path) -> None:
    """Save the audit's own key, for who verifies exports far from here.

    It verifies, and could forge, records; it opens nothing else. Run it where the product runs, with its
    ORTHANC_DEID_HOME.
    """
    from ..settings import load

    text = Keyring(load().home).audit().hex()
    file.touch(mode=0o600, exist_ok=False)
    file.write_text(f"audit {text}\n", encoding="ascii")
    click.echo(f"{file}: the audit's key", err=True)


def _lines(server: Server, after: int) -> Iterator[str]:
    """Yield the lines of an export, asked for in parts; the last one is the head."""
    while True:
        lines = server.get("/deid/audit/export", after=after, limit=PART).text.splitlines()
        yield from lines
        last = json.loads(lines[-1])
        if "head" in last:
            return
        after = last["id"]


def _verify_there(server: Server, number: int, noted: str) -> tuple[int, str, chain.Fault | None]:
    last, newest = 0, chain.NOTHING
    while True:
        wanted = {"after": last, "before": newest, "number": number, "hash": noted}
        told: dict[str, Any] = server.call("POST", "/deid/audit/verify", wanted)
        last, newest = told["last"], told["hash"]
        if told["wrong"] or told["ended"]:
            return last, newest, chain.Fault(**told["wrong"]) if told["wrong"] else None


def _verify_file(file: TextIO, secret: bytes) -> tuple[int, str, chain.Fault | None]:
    """Verify an export, a line at a time."""
    verifier, head = chain.Verifier(secret), None
    for number, line in enumerate(file, 1):
        told = _object(line, number)
        if number == 1 and "after" in told:
            verifier = chain.Verifier(secret, told["after"]["number"], told["after"]["hash"])
        elif "head" in told and head is None:
            head = chain.Head(**told["head"])
        elif head is not None:
            raise click.ClickException(f"line {number}: stands after the head, which is the last line")
        elif fault := verifier.take([_entry(told, number)]):
            return verifier.last, verifier.hash, fault
    missing = chain.Fault(verifier.last + 1, "is missing: the file does not end with its head")
    return verifier.last, verifier.hash, verifier.end(head) if head else missing


def _object(line: str, number: int) -> dict[str, Any]:
    try:
        told = json.loads(line)
    except ValueError:
        told = None
    if not isinstance(told, dict):
        raise click.ClickException(NOT_AN_EXPORT.format(number))
    return told


def _entry(told: dict[str, Any], number: int) -> chain.Entry:
    try:
        return chain.entry(told)
    except (KeyError, TypeError, ValueError):
        raise click.ClickException(NOT_AN_EXPORT.format(number)) from None


def _last_of(file: TextIO) -> tuple[int, str]:
    """Return number and hash of the last record of an export."""
    last: tuple[int, str] = (0, "")
    for number, line in enumerate(file, 1):
        told = _object(line, number)
        if "id" in told:
            one = _entry(told, number)
            last = (one.id, one.hash)
    if not last[0]:
        raise click.ClickException("--against: the file holds no record")
    return last


def _anchor(text: str) -> tuple[int, str]:
    found = _ANCHOR.fullmatch(text)
    if found is None:
        raise click.UsageError("--anchor: NUMBER:HASH, as `audit verify` prints it")
    return int(found[1]), found[2]


def _key(path: Path) -> bytes:
    """Read the audit's key, or make it of the master key."""
    kind, _, text = path.read_text(encoding="utf-8", errors="replace").strip().rpartition(" ")
    if kind == "audit" and re.fullmatch("[0-9a-f]{64}", text):
        return bytes.fromhex(text)
    return Keyring(path.parent, {"ORTHANC_DEID_KEY": text}).audit()
