"""deidentify: a folder to a folder, with no server; what a person sees of it."""

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from .. import __version__, install, profiles, settings
from ..folder import journal, mapping, places
from ..folder.run import Report, Request, run
from ..folder.sources import Left, Why
from ..keyring import Keyring
from ..pseudonymization.without_server import Namer, demand_no_server
from ..settings import Settings
from .arguments import Command

QUARANTINED, INTERRUPTED = 3, 130  # exit codes
LINE_S = 10.0  # seconds between two lines where nobody sees a bar
TITLES = {Why.QUARANTINED: "Not de-identified", Why.NOT_DICOM: "Not DICOM", Why.IGNORED: "Ignored"}
Tell = Callable[[str, int, int], None]


class Asked(Protocol):
    """The options that stand before the command."""

    as_json: bool


@click.command(cls=Command)
@click.argument("source", metavar="IN", type=click.Path(exists=True, path_type=Path))
@click.argument("out", metavar="OUT", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--profile", help="Profile by its name: research, basic or one of your own.  [default: the project's, research]"
)
@click.option("--project", help="Project of the configuration whose pseudonyms these get.  [default: the first]")
@click.option(
    "--config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Configuration file; profiles are looked for in the folder profiles beside it.  [default: the product's own]",
)
@click.option(
    "--mapping-dir",
    "mapping_folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write uid_mapping.csv, patid_mapping.csv and manifest.json into this folder. They say who became whom and"
    " hold paths inside IN: keep them as safe as IN, and never give them away with OUT.",
)
@click.pass_obj
def deidentify(  # noqa: PLR0913  # click's arguments
    asked: Asked,
    source: Path,
    out: Path,
    profile: str | None,
    project: str | None,
    config: Path | None,
    mapping_folder: Path | None,
) -> None:
    """De-identify a folder into another one, with no server.

    \b
    orthanc-deid deidentify IN OUT --profile research
    orthanc-deid deidentify IN OUT --profile basic --mapping-dir KEEP_THIS_SAFE

    IN is searched at any depth, in ZIP files too; nothing in it is changed. OUT gets PATIENT/STUDY/SERIES/INSTANCE.dcm
    under new ids only: the ones that the server gives, since the key is the same file in ORTHANC_DEID_HOME, made where
    there is none. What cannot be de-identified is listed with its reason and is not in OUT. Started again, it goes on
    where it was stopped.

    \b
    Exit codes: 0 all is done, 3 some DICOM files could not be de-identified, 2 usage or configuration, 130 stopped.
    """  # noqa: D301  # \b is click's own mark
    loaded = settings.load(os.environ | ({"ORTHANC_DEID_CONFIG": str(config)} if config else {}))
    places.check(source, out, mapping_folder, loaded.home)
    request = _request(loaded, source, out, profile, project)
    try:
        with _progress(as_json=asked.as_json) as tell:
            report = run(request, tell)
    except KeyboardInterrupt:
        click.echo("Stopped. What is in OUT is whole; start the same command again to go on.", err=True)
        sys.exit(INTERRUPTED)
    if mapping_folder:
        mapping.write(mapping_folder, report.uids, report.patients, _manifest(report, request))
    _print(report, mapping_folder, as_json=asked.as_json)
    sys.exit(QUARANTINED if report.of(Why.QUARANTINED) else 0)


def _request(loaded: Settings, source: Path, out: Path, profile: str | None, project: str | None) -> Request:
    configuration = loaded.configuration
    of = configuration.project(project) if project else configuration.projects[0]
    chosen = profiles.load(loaded, profile or of.profile)
    demand_no_server(of)
    install.private_folder(loaded.home)
    if not loaded.key_file.exists():
        click.echo(f"New key {loaded.key_file}: back it up, other keys give other pseudonyms.", err=True)
    key = _project_key(loaded, of.name)
    return Request(
        source=source,
        out=out,
        profile=chosen,
        project_key=key,
        namer=Namer(of, key, loaded.config_file.parent),
        journal=journal.place_of(loaded.home, out),
        instance_bytes=configuration.limits.instance_bytes,
        processes=loaded.processes,
    )


def _project_key(loaded: Settings, project: str) -> bytes:
    install.key(loaded)
    return Keyring(loaded.home).project(project)


def _manifest(report: Report, request: Request) -> dict[str, Any]:
    profile = request.profile
    return {
        "software": f"orthanc-deid {__version__}",
        "profile": {
            "name": profile.name,
            "version": profile.version,
            "digest": profile.digest,
            "options": list(profile.options),
        },
        "counts": report.counts(),
        "notes": dict(sorted(report.notes.items())),
        **{why.value: _listed(report.of(why)) for why in Why},
    }


def _listed(left: list[Left]) -> list[dict[str, str]]:
    return [{"path": found.path, "reason": found.reason} for found in left]


def _print(report: Report, mapping_folder: Path | None, *, as_json: bool) -> None:
    counts = report.counts()
    if as_json:
        told: dict[str, Any] = {**counts, "done_before": report.before, "notes": dict(report.notes)}
        if mapping_folder is None:
            told["files"] = {why.value: _listed(report.of(why)) for why in Why}
        click.echo(json.dumps(told, indent=2))
        return
    before = f" ({report.before} of them by an earlier run)" if report.before else ""
    click.echo(
        f"De-identified: {counts['instances']} instances{before} in {counts['series']} series, {counts['studies']}"
        f" studies, {counts['patients']} patients."
    )
    if counts["duplicates"]:
        click.echo(f"Duplicates left out: {counts['duplicates']}.")
    for note, count in sorted(report.notes.items()):
        click.echo(f"Note, {count} times: {note}")
    for why, title in TITLES.items():
        if left := report.of(why):
            _print_left(title, left, mapping_folder)


def _print_left(title: str, left: list[Left], mapping_folder: Path | None) -> None:
    if mapping_folder:
        click.echo(f"{title}: {len(left)}; see {mapping.MANIFEST} in the mapping folder.")
        return
    click.echo(f"{title}: {len(left)}")
    for found in left:
        click.echo(f"  {_printable(found.path)}: {found.reason}")


def _printable(path: str) -> str:
    """Show what a terminal would take for commands, or cannot show, by its code."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in path)


@contextmanager
def _progress(*, as_json: bool) -> Iterator[Tell]:
    if sys.stderr.isatty() and not as_json:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
            tasks: dict[str, Any] = {}

            def draw(what: str, done: int, total: int) -> None:
                if what not in tasks:
                    tasks[what] = bars.add_task(what)
                bars.update(tasks[what], completed=done, total=total)

            yield draw
    else:
        yield _Lines(as_json=as_json)


class _Lines:
    """A line on stderr now and then, and at the end of each part."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._last = time.monotonic()

    def __call__(self, what: str, done: int, total: int) -> None:
        if done < total and time.monotonic() - self._last < LINE_S:
            return
        self._last = time.monotonic()
        line = {"progress": what, "done": done, "of": total}
        click.echo(json.dumps(line) if self._as_json else f"{done} of {total} {what}", err=True)
