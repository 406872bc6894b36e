"""`staging`: from a review list to the research archive, by way of a hook; and the folders of its runs."""

import json
import re
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import Conflict, Rejected
from .arguments import Group
from .patient import PatientServer
from .server import Asked, read_password

if TYPE_CHECKING:
    from ..staging.ends import LineEnd
    from ..staging.options import Options
    from ..staging.run_folder import RunFolder

SOME_NOT, INTERRUPTED = 3, 130
DAYS = ("%m/%d/%Y", "%Y-%m-%d")
RUNS = click.option(
    "--runs", type=click.Path(path_type=Path, file_okay=False), default=Path("runs"), show_default=True,
    help="Folder of the runs.",
)  # fmt: skip
FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


class _Modalities(click.ParamType[tuple[str, ...]]):
    """Modalities, separated by commas."""

    name = "modalities"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:  # noqa: ANN401  # click's own
        """Answer them in capitals; `all`: none."""
        if isinstance(value, tuple):
            return value
        found = tuple(dict.fromkeys(word for word in re.split(r"[\s,]+", str(value).strip().upper()) if word))
        if not found or any(not re.fullmatch(r"[A-Z0-9_]{1,16}", word) for word in found):
            self.fail("modalities are capitals and digits, with commas between them: mr,ct", param, ctx)
        return () if found == ("ALL",) else found


@click.group(cls=Group)
def staging() -> None:
    """Bring what reviewers have released from an archive.

    \b
    orthanc-deid staging run reviews.json --from staging --practice
    orthanc-deid staging run reviews.json --from staging --hook link_by_accession.py
    orthanc-deid staging run --last             go on with the newest run
    orthanc-deid staging list                   the runs, newest first
    orthanc-deid staging show                   the summary of the newest
    orthanc-deid staging clean 01/31/2026       delete what is identified of older runs
    """  # noqa: D301  # \b is click's own mark


@staging.command()
@click.argument("list_", metavar="[LIST]", required=False, type=FILE)
@click.option("--from", "source", help="The archive: a source of kind pacs or dicomweb in deid.yaml.")
@click.option("--last", "-r", "--runlast", "last", is_flag=True, help="Go on with the newest run, with its options.")
@click.option("--max", "-m", "most", type=click.IntRange(1), default=10, show_default=True, help="Most studies.")
@click.option(
    "--modalities", "-a", "--allowed_modalities", "modalities", type=_Modalities(), default="mr,ct", show_default=True,
    help="Only studies that have a series of one of these; all: of any.",
)  # fmt: skip
@click.option("--practice", "-p", is_flag=True, help="All but what is permanent: no push, no marks; the hook is told.")
@click.option("--no-push", "-n", "--no_push", "no_push", is_flag=True, help="Stop before anything is pushed.")
@click.option("--push", "real", is_flag=True, help="With --last: go on with a run that was practice or --no-push.")
@click.option("--hook", type=FILE, help="Python file with a function `hook`, asked before anything is pushed.")
@click.option("--hook-python", help="Python that runs the hook.  [default: this one]")
@click.option("--hook-timeout", type=click.FloatRange(1), help="Seconds for the hook.  [default: 3600]")
@click.option("--project", help="Project of lines that name none.  [default: the first that matches]")
@RUNS
@click.pass_context
def run(context: click.Context, /, list_: Path | None, runs: Path, **given: Any) -> None:  # noqa: ANN401  # the options above
    """Pull what a list allows, de-identify it, ask the hook, push it, mark the list.

    LIST: reviews of django-dicom-review (JSON or CSV), a query (CSV, as `pull` takes it), or Study Instance UIDs, one a
    line. What is stopped or killed goes on with `run --last` where it was; no study is fetched or pushed twice.

    \b
    Exit codes: 0 all are pushed (practice, --no-push: ready); 3 some are not: the overview says which and why;
    1 refused or failed, nothing of the step is lost; 2 usage.
    """  # noqa: D301  # \b is click's own mark
    asked: Asked = context.obj
    server = PatientServer(asked.url, asked.user, read_password(asked.password_file))
    folder, ends = _guarded(context, server, list_, runs, given)
    _conclude(asked, folder, ends)


def _guarded(
    context: click.Context, server: PatientServer, list_: Path | None, runs: Path, given: dict[str, Any]
) -> tuple["RunFolder", list["LineEnd"]]:
    """Go through the steps; turn what stops them into messages."""
    from ..staging import run as runner

    asked: Asked = context.obj
    try:
        folder, options = _last(context, list_, runs, given) if given["last"] else _new(list_, runs, given)
        _tell(asked, f"{folder.path}: IDENTIFIED, readable by you alone")
        server.call("GET", "/deid/health")
        return folder, runner.go(server, folder, options, lambda text: _tell(asked, text))
    except (Rejected, Conflict) as error:
        raise click.ClickException(str(error)) from None
    except KeyboardInterrupt:
        click.echo("\nStopped: `orthanc-deid staging run --last` goes on.", err=True)
        sys.exit(INTERRUPTED)


def _new(list_: Path | None, runs: Path, given: dict[str, Any]) -> tuple["RunFolder", "Options"]:
    from ..staging import run as runner
    from ..staging import run_folder
    from ..staging.options import Options

    if list_ is None or not given["source"]:
        raise click.UsageError("name the list and the archive: staging run LIST --from PACS; or --last")
    if given["real"]:
        raise click.UsageError("--push goes with --last")
    options = Options(
        list=str(list_.resolve()), source=given["source"], most=given["most"], modalities=given["modalities"],
        practice=given["practice"], no_push=given["no_push"], project=given["project"] or "",
    )  # fmt: skip
    options = _with_hook(options, given)
    runner.demand_list(list_)
    return run_folder.create(runs.resolve(), options), options


def _last(
    context: click.Context, list_: Path | None, runs: Path, given: dict[str, Any]
) -> tuple["RunFolder", "Options"]:
    """Return the newest run; its options stand, but for the hook and --push."""
    from ..staging import run_folder

    of_first = ("source", "most", "modalities", "practice", "no_push", "project")
    said = [name for name in of_first if context.get_parameter_source(name) is not click.core.ParameterSource.DEFAULT]
    if list_ or said:
        raise click.UsageError("--last goes on with the list and the options of the newest run: give no others")
    folder = run_folder.newest(runs.resolve())
    before = folder.options()
    options = _with_hook(before, given)
    if given["real"]:
        options = replace(options, practice=False, no_push=False)
    if options != before:
        folder.note_options(options)
    return folder, options


def _with_hook(options: "Options", given: dict[str, Any]) -> "Options":
    changes: dict[str, Any] = {"hook_python": given["hook_python"] or options.hook_python or sys.executable}
    if given["hook"]:
        changes["hook_file"] = str(given["hook"].resolve())
    if given["hook_timeout"]:
        changes["hook_timeout_s"] = given["hook_timeout"]
    return replace(options, **changes)


def _tell(asked: Asked, text: str) -> None:
    if not asked.as_json:
        click.echo(text, err=True)


def _conclude(asked: Asked, folder: "RunFolder", ends: Sequence["LineEnd"]) -> None:
    from ..staging.ends import all_well
    from ..staging.run_folder import OVERVIEW

    if asked.as_json:
        click.echo(json.dumps(_summary(folder) | {"lines": [asdict(each) for each in ends]}, indent=2))
    else:
        click.echo((folder.path / OVERVIEW).read_text(encoding="utf-8"), nl=False)
    sys.exit(0 if all_well(ends) else SOME_NOT)


def _summary(folder: "RunFolder") -> dict[str, Any]:
    """Return what a run is, for lists and machines."""
    found = {"name": folder.path.name, "began": folder.began.isoformat()}
    if folder.is_cleaned:
        return found | {"state": "cleaned", "next": None, "list": None, "source": None, "kind": None}
    options = folder.options()
    step = folder.first_open(options)
    kind = "practice" if options.practice else "no-push" if options.no_push else "push"
    state = "finished" if step is None else "open"
    return found | {"state": state, "next": step, "list": options.list, "source": options.source, "kind": kind}


@staging.command("list")
@RUNS
@click.pass_obj
def list_runs(asked: Asked, runs: Path) -> None:
    """List the runs, newest first."""
    from ..staging.run_folder import every

    found = [_summary(folder) for folder in every(runs.resolve())]
    if asked.as_json:
        click.echo(json.dumps(found, indent=2))
        return
    for each in found:
        next_ = f", next {each['next']}" if each["next"] else ""
        of = f", {each['kind']} of {each['list']} from {each['source']}" if each["list"] else ""
        click.echo(f"{each['name']}  {each['began'][:16].replace('T', ' ')}Z  {each['state']}{next_}{of}")
    if not found:
        click.echo(f"No run in {runs}.")


@staging.command()
@click.argument("name", metavar="[RUN]", required=False)
@RUNS
@click.pass_obj
def show(asked: Asked, name: str | None, runs: Path) -> None:
    """Show the summary of a run, without RUN of the newest."""
    from ..staging.run_folder import OVERVIEW, named, newest

    try:
        folder = named(runs.resolve(), name) if name else newest(runs.resolve())
    except Rejected as error:
        raise click.ClickException(str(error)) from None
    overview = folder.path / OVERVIEW
    text = overview.read_text(encoding="utf-8") if overview.exists() else ""
    if asked.as_json:
        click.echo(json.dumps(_summary(folder) | {"overview": text}, indent=2))
        return
    summary = _summary(folder)
    click.echo(text or f"{summary['name']}: {summary['state']}, next step: {summary['next']}", nl=not text)


@staging.command()
@click.argument("date")
@click.option("--open", "unfinished", is_flag=True, help="Also of runs that are not finished: they cannot go on then.")
@RUNS
@click.pass_obj
def clean(asked: Asked, date: str, runs: Path, *, unfinished: bool) -> None:
    """Delete what is identified of the runs before DATE (mm/dd/yyyy or yyyy-mm-dd); their overviews stay.

    Runs that are not finished are left alone without --open. Copies of lists (LIST.bak) are yours to delete.
    """
    from ..staging import run_folder

    before = _day(date)
    cleaned = []
    for folder in run_folder.every(runs.resolve()):
        if folder.began >= before or folder.is_cleaned:
            continue
        if folder.first_open(folder.options()) and not unfinished:
            _tell(asked, f"{folder.path.name}: not finished, left (see --open)")
            continue
        try:
            count = run_folder.clean(folder)
        except Conflict as error:
            _tell(asked, f"{folder.path.name}: {error}")
            continue
        cleaned.append({"name": folder.path.name, "files": count})
        _tell(asked, f"{folder.path.name}: {count} files deleted")
    if asked.as_json:
        click.echo(json.dumps(cleaned, indent=2))
    elif not cleaned:
        click.echo("Nothing to clean.", err=True)


def _day(text: str) -> datetime:
    """Return the beginning of a day, by the clock of this machine."""
    for form in DAYS:
        try:
            return datetime.strptime(text, form).astimezone().astimezone(UTC)
        except ValueError:
            continue
    raise click.UsageError("DATE is mm/dd/yyyy or yyyy-mm-dd")
