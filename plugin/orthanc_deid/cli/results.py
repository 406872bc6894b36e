"""Commands that fetch conversions of results: nifti, bids, dicomdir, png, jpeg, contact-sheet."""

import json
import secrets
import time
from pathlib import Path

import click
import requests

from .arguments import Command, OrthancId
from .server import Asked, Server

PART_BYTES = 32 * 2**20
SUFFIXES = {"application/zip": "zip", "image/png": "png", "image/jpeg": "jpg"}
OUT = click.option(
    "--out", "-o", type=click.Path(path_type=Path), help="File to write.  [default: named after the id, here]"
)


def _command(name: str, levels: tuple[str, ...], text: str) -> click.Command:
    """Make one command; they differ in what they fetch only."""

    @click.command(name, cls=Command, help=text)
    @click.argument("resource", type=OrthancId())
    @OUT
    @click.pass_obj
    def fetch(asked: Asked, resource: str, out: Path | None) -> None:
        server = asked.server()
        paths = [f"/deid/{level}/{resource}/{name}" for level in levels]
        path, count = _fetch(server, _known(server, paths), out, f"{resource}-{name}")
        click.echo(json.dumps({"file": str(path), "bytes": count}) if asked.as_json else f"{path}: {count} bytes")

    return fetch


COMMANDS = (
    _command(
        "nifti",
        ("studies", "series"),
        """Fetch the NIfTI of a result, study or series, as a ZIP.

        It holds *.nii.gz with *.json, *.bval and *.bvec. RESOURCE is the Orthanc id of a de-identified study or series
        (`orthanc-deid show STUDY` names it as output). What is no volume, a localizer say, is left out.
        """,
    ),
    _command(
        "bids", ("studies",), "Fetch the BIDS tree of a result as a ZIP.\n\nThe rules are those of conversion.bids."
    ),
    _command(
        "dicomdir",
        ("studies",),
        "Fetch a result as a ZIP with DICOMDIR.\n\nUnpacked onto a disc or stick it is what viewers look for.",
    ),
    _command(
        "png",
        ("instances", "series"),
        "Fetch a PNG of an instance of a result.\n\nOf a series: a ZIP with one of each instance.",
    ),
    _command("jpeg", ("instances",), "Fetch a JPEG of an instance of a result."),
    _command("contact-sheet", ("series",), "Fetch a picture of a whole series of a result."),
)


def _fetch(server: Server, path: str, out: Path | None, name: str) -> tuple[Path, int]:
    """Fetch a file part by part, waiting while it is made; answer where it is and its bytes."""
    temporary = Path(out.parent if out else ".") / f".{name}.{secrets.token_hex(4)}.part"
    done = 0
    tag = None
    try:
        with temporary.open("wb") as file:
            while True:
                answer = _await(server, path, done)
                if tag not in (None, answer.headers.get("ETag")):
                    raise click.ClickException("the result changed while it was fetched: try again")
                tag = answer.headers.get("ETag")
                done += file.write(answer.content)
                if len(answer.content) < PART_BYTES:
                    break
        out = out or Path(f"{name}.{SUFFIXES.get(answer.headers['Content-Type'], 'bin')}")
        temporary.replace(out)
    except OSError as error:
        raise click.ClickException(f"the file cannot be written ({error.strerror})") from None
    finally:
        temporary.unlink(missing_ok=True)
    return out, done


def _known(server: Server, paths: list[str]) -> str:
    for path in paths[:-1]:
        if server.exists("/" + "/".join(path.split("/")[2:4])):
            return path
    return paths[-1]


def _await(server: Server, path: str, offset: int) -> requests.Response:
    """Ask until it is not `converting` any more; conversions of large studies take minutes."""
    while True:
        answer = server.get(path, offset=offset, count=PART_BYTES)
        if answer.status_code != requests.codes.accepted:
            return answer
        time.sleep(float(answer.headers.get("Retry-After", 2)))
