"""The group `crosswalk`: who is who, exports of it, and what cuts it off."""

import json
import sys
from typing import Any

import click

from .arguments import Group
from .crosswalk_files import REASON, export, lookup
from .crosswalk_import import import_file
from .server import Asked

PROJECT = click.option("--project", "-p", required=True, help="Name of the project.")


@click.group(cls=Group)
def crosswalk() -> None:
    """See who is who, and cut it off.

    All but `status` needs the role `reidentify`: `access.reidentify` in deid.yaml lists the users of Orthanc who have
    it, and nobody has it by default. Each use is audited, with its reason.
    """


@crosswalk.command()
@click.pass_obj
def status(asked: Asked) -> None:
    """Count what is known of each project, and tell whether it is sealed."""
    items = asked.server().call("GET", "/deid/crosswalk")["items"]
    if asked.as_json:
        click.echo(json.dumps(items, indent=2))
        return
    for item in items:
        counts = ", ".join(f"{count} {name}" for name, count in item["counts"].items())
        click.echo(f"{item['project']:<20} {item['source'] or '-':<10} key {item['key']:<8} {counts}")


@crosswalk.command()
@click.argument("patient", required=False)
@PROJECT
@click.option("--original", is_flag=True, help="PATIENT is the PatientID of the source; without: the pseudonym.")
@click.option("--issuer", help="IssuerOfPatientID of the source, empty for none.  [default: any]")
@click.option("--dry-run", is_flag=True, help="Tell what would be erased, and erase nothing.")
@REASON
@click.pass_obj
def forget(  # noqa: PLR0913  # its options
    asked: Asked, patient: str | None, project: str, issuer: str | None, reason: str, *, original: bool, dry_run: bool
) -> None:
    """Erase a patient from a project: his mapping goes, his studies are marked and never touched again.

    \b
    orthanc-deid crosswalk forget P000017 --project alpha --reason "consent withdrawn"
    orthanc-deid crosswalk forget --original --project alpha --reason "consent withdrawn"

    Arguments are visible to all users of the machine while the command runs: leave a PatientID out, it is then asked
    for, or read from standard input. The answer names what remains elsewhere.
    """  # noqa: D301  # \b is click's own mark
    who = "patient_id" if original else "pseudonym"
    value = patient or _asked_for("PatientID" if original else "Pseudonym")
    body: dict[str, Any] = {"project": project, who: value, "reason": reason, "dry_run": dry_run}
    told = asked.server().call("POST", "/deid/crosswalk/forget", body | ({"issuer": issuer} if original else {}))
    if asked.as_json:
        click.echo(json.dumps(told, indent=2))
        return
    did = "would be erased" if dry_run else "erased"
    click.echo(
        f"{told['mappings']} mappings, {told['aliases']} former identities, {told['batch_rows']} rows of lists,"
        f" {told['conversions']} conversions {did}; {len(told['studies'])} studies marked"
    )
    for name in ("sources", "outputs"):
        for study in told[name]:
            click.echo(f"in this Orthanc still, {name[:-1]}: {study}")
    _print_remains(told)


@crosswalk.command()
@click.argument("project")
@click.option("--confirm", required=True, help="The project's name once more.")
@REASON
@click.pass_obj
def seal(asked: Asked, project: str, confirm: str, reason: str) -> None:
    """Cut a project off for ever: its key and all its mappings are destroyed. Nobody can undo it.

    \b
    orthanc-deid crosswalk seal alpha --confirm alpha --reason "study ended"

    Where it was interrupted the same command finishes it. Exit 1 unless nothing is left.
    """  # noqa: D301  # \b is click's own mark
    server = asked.server()
    told: dict[str, Any] = {"complete": False, "rows": -1}
    while not told["complete"]:
        before = told
        told = server.call("POST", "/deid/crosswalk/seal", {"project": project, "confirm": confirm, "reason": reason})
        if (told["rows"], told.get("studies")) == (before["rows"], before.get("studies")):
            break  # nothing moves
    if asked.as_json:
        click.echo(json.dumps(told, indent=2))
    else:
        click.echo(
            f"key {'still here' if told['key'] else 'destroyed'}, {told['rows']} mappings, {told['aliases']} former"
            f" identities and {told['studies']} ties of studies left; look-up"
            f" {'impossible' if told['unreadable'] else 'still possible'}"
        )
        _print_remains(told)
    sys.exit(0 if told["complete"] and told["unreadable"] else 1)


@crosswalk.command()
@click.argument("old", required=False)
@click.argument("new", required=False)
@click.option("--old-issuer", default="", help="IssuerOfPatientID of the former one.")
@click.option("--issuer", default="", help="IssuerOfPatientID of the present one.")
@click.option("--project", "-p", help="Only in this project.")
@click.option("--all", "everywhere", is_flag=True, help="In every project whose key is here.")
@REASON
@click.pass_obj
def alias(  # noqa: PLR0913  # its options
    asked: Asked, old: str | None, new: str | None, old_issuer: str, issuer: str, project: str | None, reason: str,
    *, everywhere: bool,
) -> None:  # fmt: skip
    """Have a merged patient's former PatientID stand for the present one.

    \b
    orthanc-deid crosswalk alias --project alpha --reason "merged in the HIS"

    Late studies under the former number get the pseudonym and the shift of dates of the present one. What was made
    under another pseudonym is named: process it anew. Without OLD and NEW both are asked for: arguments are visible to
    all users of the machine while the command runs.
    """  # noqa: D301  # \b is click's own mark
    if (project is None) != everywhere:
        raise click.UsageError("give --project or --all")
    body = {
        "project": project, "old": old or _asked_for("Former PatientID"), "old_issuer": old_issuer,
        "new": new or _asked_for("Present PatientID"), "issuer": issuer, "reason": reason,
    }  # fmt: skip
    told = asked.server().call("POST", "/deid/crosswalk/alias", body)
    if asked.as_json:
        click.echo(json.dumps(told, indent=2))
        return
    for item in told["items"]:
        click.echo(f"{item['project']}: {'joined' if item['is_new'] else 'was joined before'}")
        if item["studies"]:
            numbers = ", ".join(map(str, item["studies"]))
            click.echo(f"  made under the former pseudonym, to be processed anew: studies {numbers}")
        if item["unknown"]:
            click.echo(f"  and {item['unknown']} that this Orthanc's ledger does not know")
    _print_unread(told)


@crosswalk.command()
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="At most so many.")
@click.pass_obj
def reasons(asked: Asked, limit: int) -> None:
    """List who has used the crosswalk, newest first, with the reasons."""
    items = asked.server().call("GET", "/deid/crosswalk/reasons", limit=limit)["items"]
    if asked.as_json:
        click.echo(json.dumps(items, indent=2))
        return
    for item in items:
        click.echo(
            f"{item['at'][:19]}Z  {item['actor']:<16} {item['what']:<16} {item['project'] or '-':<16}"
            f" {item['reason'] or '(gone with the key)'}"
        )


def _asked_for(what: str) -> str:
    """Ask for a value, or read a line of standard input."""
    if sys.stdin.isatty():
        return str(click.prompt(what, err=True))
    value = sys.stdin.readline().strip()
    if not value:
        raise click.UsageError(f"{what}: give it as argument or on standard input")
    return value


def _print_remains(told: dict[str, Any]) -> None:
    click.echo("what remains:")
    for line in told["remains"]:
        click.echo(f"  - {line}")


def _print_unread(told: dict[str, Any]) -> None:
    if told["unread"]:
        click.echo(f"not asked, their key is not here: {', '.join(told['unread'])}", err=True)


for command in (lookup, export, import_file):
    crosswalk.add_command(command)
