"""The commands, each calling one route."""

import json
import os
import sys
from pathlib import Path

import click

from .. import __version__, states
from ..errors import DeidError
from . import results, retrospective
from .arguments import Group, States, StudyId
from .asking import act
from .audit import audit
from .batches import batches
from .conflicts import conflicts
from .crosswalk import crosswalk
from .deidentify import deidentify
from .destinations import destinations, export
from .doctor import diagnose
from .dumps import move_dumps
from .keys import keys
from .manifest import manifest
from .metadata import add_metadata
from .printing import print_studies, print_study
from .profile import profile
from .pull import pull
from .reprocess import reprocess
from .retention import retention
from .review import approve, reject
from .server import Asked
from .staging import staging
from .validate import validate
from .watch import watch

WAIT = "Wait until each has ended; exit 1 unless all are done."


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="orthanc-deid")
@click.option(
    "--url",
    help="Orthanc that runs the plugin.  [default: http://127.0.0.1:8042, or the port ORTHANC_DEID_HTTP_PORT]",
)
@click.option("--user", default="admin", show_default=True, help="User of that Orthanc.")
@click.option(
    "--password-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File with the password.  [default: admin-password in ORTHANC_DEID_HOME; the variable ORTHANC_DEID_PASSWORD"
    " is used instead where it is set]",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON for machines.")
@click.pass_context
def main(context: click.Context, url: str | None, user: str, password_file: Path | None, *, as_json: bool) -> None:
    """See and steer the de-identification that runs inside an Orthanc.

    \b
    orthanc-deid studies                        what is known, newest first
    orthanc-deid studies --status quarantined   what a person must look at
    orthanc-deid show STUDY                     one study with its history
    orthanc-deid retry STUDY                    start a quarantined or failed one again
    orthanc-deid nifti RESULT                   fetch it converted; also bids, dicomdir, png
    orthanc-deid pull LIST.csv --from ARCHIVE   fetch what a list names from a PACS
    orthanc-deid watch                          folders, archives: what waits, what was taken
    orthanc-deid check                          what is in Orthanc and not processed yet
    orthanc-deid destinations list              what waits where
    orthanc-deid --json show STUDY              the same for machines
    orthanc-deid doctor                         is everything set up as it should be?

    STUDY is Orthanc's id of the identified or of the de-identified study. The options below stand before the command;
    `orthanc-deid COMMAND --help` tells more of each.

    \b
    Exit codes: 0 all is well, 1 it was refused, has failed or is not found, 2 usage or configuration.
    """  # noqa: D301  # \b is click's own mark
    port = os.environ.get("ORTHANC_DEID_HTTP_PORT") or "8042"
    context.obj = Asked(url or f"http://127.0.0.1:{port}", user, password_file, as_json=as_json)


@main.command("studies")
@click.option("--status", type=States(), help=f"Only these, separated by commas: {', '.join(states.STATES)}.")
@click.option("--project", help="Only this project.")
@click.option("--profile", help="Only what this profile has made: its name, or its digest.")
@click.option("--limit", type=click.IntRange(1, 100000), default=100, show_default=True, help="At most so many.")
@click.option("--raw", is_flag=True, help="Print the Orthanc ids of the sources only, a line each, for other commands.")
@click.pass_obj
def list_studies(  # noqa: PLR0913  # its options
    asked: Asked, status: str | None, project: str | None, profile: str | None, limit: int, *, raw: bool
) -> None:
    """List studies, newest first.

    \b
    orthanc-deid studies --status waiting,failed
    orthanc-deid studies --status quarantined --raw | xargs -r orthanc-deid retry

    The column `instances` counts those that are de-identified, of those that have arrived.
    """  # noqa: D301  # \b is click's own mark
    items = asked.server().pages(status, project, limit + 1, profile)
    items, more = items[:limit], len(items) > limit
    if asked.as_json:
        click.echo(json.dumps(items, indent=2))
    elif raw:
        for item in items:
            click.echo(item["address"])
    elif items:
        print_studies(items)
    else:
        narrowed = status or project or profile
        click.echo("No study is in that state or project." if narrowed else "No study has arrived yet.")
    if more:
        click.echo(f"More are known than these {limit}: see --limit.", err=True)


@main.command()
@click.argument("study", type=StudyId())
@click.pass_obj
def show(asked: Asked, study: str) -> None:
    """Show one study with all that happened to it.

    Its counts of instances, each destination, and every change of state with its reason and who asked for it.
    """
    found = asked.server().call("GET", f"/deid/studies/{study}")
    if asked.as_json:
        click.echo(json.dumps(found, indent=2))
    else:
        print_study(found)


@main.command()
@click.argument("study", nargs=-1, required=True, type=StudyId())
@click.option("--project", default="", help="Do so in this project, for which they become further studies.")
@click.option("--wait", is_flag=True, help=WAIT)
@click.pass_obj
def process(asked: Asked, study: tuple[str, ...], project: str, *, wait: bool) -> None:
    """De-identify studies now, stable or not.

    One that is done already changes only where instances have arrived since. A further study has pseudonyms of its own,
    and an id of its own by which commands call it: `show` tells it.
    """
    sys.exit(0 if act(asked, study, "process", wait=wait, project=project).well else 1)


@main.command()
@click.argument("study", nargs=-1, required=True, type=StudyId())
@click.option("--wait", is_flag=True, help=WAIT)
@click.pass_obj
def retry(asked: Asked, study: tuple[str, ...], *, wait: bool) -> None:
    """Start quarantined, failed or cancelled studies again.

    One that waits for its next attempt, because its destination was away, is tried now.
    """
    _act(asked, study, "retry", wait=wait)


@main.command()
@click.argument("study", nargs=-1, required=True, type=StudyId())
@click.pass_obj
def cancel(asked: Asked, study: tuple[str, ...]) -> None:
    """Stop studies.

    What was delivered already stays where it is; `retry` starts a cancelled one again.
    """
    _act(asked, study, "cancel", wait=False)


@main.command()
@click.pass_obj
def doctor(asked: Asked) -> None:
    """Check that everything is set up as it should be.

    Plugin, log-in, database, clock, disk, secrets, host name and destinations, a line each, with what to do about it.
    Run it on the machine of the product with the same ORTHANC_DEID_ variables. Exit 1 if something is wrong.
    """
    results = diagnose(asked.url, asked.user, asked.password_file)
    if asked.as_json:
        click.echo(json.dumps([{"check": r.check, "ok": r.ok, "detail": r.detail} for r in results], indent=2))
    else:
        width = max(len(r.check) for r in results)
        for result in results:
            line = f"{'ok ' if result.ok else 'BAD'}  {result.check:<{width}}  {result.detail}"
            click.secho(line, fg=None if result.ok else "red")
    sys.exit(0 if all(r.ok for r in results) else 1)


@main.command("door-rules", hidden=True)
def door_rules() -> None:
    """Print what the plugin's door needs of the configuration."""
    from ..door_rules import main as print_rules

    sys.exit(print_rules())


for command in (
    crosswalk, *results.COMMANDS, *retrospective.COMMANDS, add_metadata, approve, audit, batches, conflicts, deidentify,
    destinations, export, keys, manifest, move_dumps, profile, pull, reject, reprocess, retention, staging,
    validate, watch,
):  # fmt: skip
    main.add_command(command)


def _act(asked: Asked, studies: tuple[str, ...], verb: str, *, wait: bool) -> None:
    sys.exit(0 if act(asked, studies, verb, wait=wait).well else 1)


def run() -> None:
    """Run the command line; an error of ours is one line, not a traceback."""
    try:
        main(prog_name="orthanc-deid")
    except DeidError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(2)
