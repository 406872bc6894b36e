"""Commands on keys: do they fit, and another one for the crosswalk."""

import json
import sys
import time
from typing import Any

import click

from .arguments import Group
from .server import Asked

LOOK_S = 1.0


@click.group(cls=Group)
def keys() -> None:
    """Check keys, and give the crosswalk another one.

    \b
    orthanc-deid keys check     are all there, do they fit, can others read them?
    orthanc-deid keys rotate    encrypt the crosswalk with a new key, while everything works
    """  # noqa: D301  # \b is click's own mark


@keys.command()
@click.pass_obj
def check(asked: Asked) -> None:
    """Tell of each project and each key of the crosswalk whether it is there and opens what it should.

    Where the master key comes from, the modes of all files, and how far a rotation is; exit 1 if something is wrong.
    """
    told = asked.server().call("GET", "/deid/keys")
    if asked.as_json:
        click.echo(json.dumps(told, indent=2))
    else:
        _print(told)
    sys.exit(0 if told["ok"] else 1)


@keys.command()
@click.option("--no-wait", is_flag=True, help="Do not wait until all is encrypted with the new key.")
@click.pass_obj
def rotate(asked: Asked, *, no_wait: bool) -> None:
    """Encrypt the crosswalk with a new key, and destroy the old one when nothing needs it any more.

    Everything goes on meanwhile, and pseudonyms stay. The service does it: this command may be stopped, and a service
    that is killed goes on at its next start. Exit 1 if it could not be brought to its end.
    """
    server = asked.server()
    told = server.call("POST", "/deid/keys/rotate")
    while told["rotation"]["runs"] and not no_wait:
        if not asked.as_json:
            click.echo(f"\r{_progress(told['rotation'])} ", nl=False, err=True)
        time.sleep(LOOK_S)
        told = server.call("GET", "/deid/keys?counted=false")
    rotation = told["rotation"]
    if asked.as_json:
        click.echo(json.dumps(rotation, indent=2))
    else:
        click.echo(f"\r{_progress(rotation)}")
    sys.exit(1 if rotation["fault"] else 0)


def _print(told: dict[str, Any]) -> None:
    click.echo(f"master key: {told['master']}")
    for project in told["projects"]:
        _line(project["state"], f"project {project['name']}")
    for generation in told["generations"]:
        _line(generation["state"], f"crosswalk-{generation['number']}: {generation['rows']} rows")
    for name, mode in told["modes"].items():
        click.echo(f"{mode}     {name}")
    if told["rotation"]:
        click.echo(_progress(told["rotation"]))
    for each in told["wrong"]:
        click.secho(f"BAD      {each}", fg="red")


def _line(state: str, name: str) -> None:
    click.secho(f"{state:<7}  {name}", fg="red" if state == "wrong" else None)


def _progress(rotation: dict[str, Any]) -> str:
    """Say how far a rotation is, in one line."""
    line = f"crosswalk-{rotation['generation']}: {rotation['done']} rows encrypted, {rotation['left']} left"
    if rotation["fault"]:
        return f"{line}; stopped: {rotation['fault']}"
    if rotation["runs"]:
        return line
    return line + "".join(f", crosswalk-{each} destroyed" for each in rotation["retired"])
