"""The command `crosswalk import`: reads a file here, and sends its rows to the server in the bodies of requests."""

import json
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import click

from ..pseudonymization import imports
from ..pseudonymization.imports import Row, Told
from .arguments import Command
from .server import Asked, Server

PIECE = 500  # rows at once
SHOWN = 20  # conflicts
COUNTS = ("patients_new", "patients_known", "values_new", "values_known")
_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


@dataclass
class _Result:
    """What became of all rows; conflicts by place in the file."""

    counts: Counter[str] = field(default_factory=Counter)
    conflicts: list[tuple[str, str]] = field(default_factory=list)


@click.command("import", cls=Command)
@click.argument("file", type=_FILE)
@click.option("--project", required=True, help="Project of the configuration whose patients they are.")
@click.option(
    "--form",
    type=click.Choice(["auto", *imports.FORMS]),
    default="auto",
    show_default=True,
    help="What kind of file it is; auto: told by its content, or by the name mapper.json.",
)
@click.option("--issuer", default="", help="IssuerOfPatientID of all patients of the file.  [default: none]")
@click.option("--day-shift", type=_FILE, help="day_shift_*.json of PACSIFIER, for a list of patients.")
@click.option(
    "--tree",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="OUT of `orthanc-deid deidentify`, for the uid_mapping.csv that was written with it.",
)
@click.option("--dry-run", is_flag=True, help="Compare with the crosswalk and write nothing.")
@click.pass_obj
def import_file(  # noqa: PLR0913  # click's arguments
    asked: Asked,
    file: Path,
    project: str,
    form: str,
    issuer: str,
    day_shift: Path | None,
    tree: Path | None,
    *,
    dry_run: bool,
) -> None:
    """Take over what another system has called patients and studies.

    \b
    orthanc-deid crosswalk import identity.db --project trial --dry-run
    orthanc-deid crosswalk import new_ids_trial.json --project trial --day-shift day_shift_trial.json
    orthanc-deid crosswalk import ids.csv --project trial
    orthanc-deid crosswalk import KEEP_THIS_SAFE/uid_mapping.csv --tree OUT --project trial

    FILE is identity.db of dicom-anon, new_ids_*.json or mapper.json of PACSIFIER, a CSV file with old and new in each
    line, or patid_mapping.csv or uid_mapping.csv of our own. Needs the role reidentify. What the crosswalk knows
    already is compared and never changed: who has another pseudonym there is listed by his place in the file.

    \b
    Exit codes: 0 all is taken over, or would be; 1 with conflicts, or refused.
    """  # noqa: D301  # \b is click's own mark
    told = Told()
    wanted = imports.Wanted(file, form, day_shift, tree)
    try:
        result = _sent(asked.server(), imports.read(wanted, told), {"project": project, "dry_run": dry_run}, issuer)
    except imports.Unreadable as error:
        raise click.ClickException(f"the file is not imported any further: {error}") from None
    result.conflicts += told.conflicts
    _print(result, told, as_json=asked.as_json, dry_run=dry_run)
    sys.exit(1 if result.conflicts else 0)


def _sent(server: Server, rows: Iterator[Row], wanted: dict[str, Any], issuer: str) -> _Result:
    result = _Result()
    while piece := list(islice(rows, PIECE)):
        body = wanted | {"rows": [_body(number, row, issuer) for number, row in enumerate(piece)]}
        answer = server.call("POST", "/deid/crosswalk/import", body)
        result.counts.update({name: answer[name] for name in COUNTS})
        result.conflicts += [(piece[each["row"]].place, each["reason"]) for each in answer["conflicts"]]
    return result


def _body(number: int, row: Row, issuer: str) -> dict[str, Any]:
    body: dict[str, Any] = {
        "row": number, "patient_id": row.patient_id, "issuer": row.issuer or issuer, "pseudonym": row.pseudonym,
        "offset_days": row.offset_days, "kind": row.kind,
    }  # fmt: skip
    return body if row.kind == "patient" else body | {"original": row.original, "replaced": row.replaced}


def _print(result: _Result, told: Told, *, as_json: bool, dry_run: bool) -> None:
    counts = {name: result.counts[name] for name in COUNTS}
    if as_json:
        conflicts = [{"place": place, "reason": reason} for place, reason in result.conflicts]
        found = {"dry_run": dry_run, **counts, "passed_over": dict(told.passed_over), "conflicts": conflicts}
        click.echo(json.dumps(found, indent=2))
        return
    said = "would be taken over" if dry_run else "taken over"
    for what in ("patients", "values"):
        new, known = counts[f"{what}_new"], counts[f"{what}_known"]
        click.echo(f"{'Patients' if what == 'patients' else 'UIDs and accession numbers'}: {new} {said}, {known} known")
    for reason, count in sorted(told.passed_over.items()):
        click.echo(f"Passed over: {count} {reason}")
    for place, reason in result.conflicts[:SHOWN]:
        click.echo(f"Not taken: {place}: {reason}")
    if len(result.conflicts) > SHOWN:
        click.echo(f"Not taken: {len(result.conflicts) - SHOWN} more; see --json")
