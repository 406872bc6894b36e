"""Talk to a running server: one session, one time-out, problems turned into messages for people."""

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import requests
from requests.auth import HTTPBasicAuth

from ..settings import CHECKOUT

TIMEOUT_S = (5, 90)


class Server:
    """The product behind an Orthanc's address."""

    def __init__(self, url: str, username: str, password: str) -> None:
        self.url = url.rstrip("/")
        self._session = requests.Session()
        # As bytes: of a text the library would send Latin-1, and Orthanc compares UTF-8.
        self._session.auth = HTTPBasicAuth(username.encode(), password.encode())

    def call(self, method: str, path: str, **query: str | int | None) -> Any:  # noqa: ANN401  # JSON
        """Call a route and return its JSON; end with a message where it answers with a problem."""
        return self._send(method, path, query).json()

    def text(self, path: str) -> str:
        """Return what a route of Orthanc's own answers with."""
        return self._send("GET", path, {}).text

    def _send(self, method: str, path: str, query: Mapping[str, str | int | None]) -> requests.Response:
        wanted = {name: value for name, value in query.items() if value is not None}
        try:
            answer = self._session.request(method, self.url + path, params=wanted, timeout=TIMEOUT_S)
        except requests.exceptions.InvalidURL:
            raise click.ClickException("--url: not a web address: http://127.0.0.1:8042 is one") from None
        except requests.exceptions.MissingSchema:
            raise click.ClickException("--url: begins with http:// or https://") from None
        except requests.RequestException as error:
            raise click.ClickException(
                f"{self.url} does not answer ({type(error).__name__}): is it running, is --url right?"
            ) from None
        if answer.status_code == requests.codes.unauthorized:
            raise click.ClickException("log-in refused: see --user and --password-file")
        if not answer.ok:
            raise click.ClickException(_problem(answer))
        return answer


def local_password_file() -> Path:
    """Return where the local Orthanc's password stands."""
    home = os.environ.get("ORTHANC_DEID_HOME") or str(CHECKOUT / ".orthanc-deid")
    return Path(home) / "admin-password"


def read_password(path: Path | None) -> str:
    """Read the password, from ORTHANC_DEID_PASSWORD where that is set."""
    given = os.environ.get("ORTHANC_DEID_PASSWORD")
    if given:
        return given
    file = path or local_password_file()
    try:
        return file.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise click.ClickException(
            f"password file cannot be read ({type(error).__name__}): name it by --password-file, or set"
            " ORTHANC_DEID_HOME to the product's folder"
        ) from None


def _problem(answer: requests.Response) -> str:
    """Return the detail of a problem of ours; anything else is not from us."""
    with contextlib.suppress(ValueError):
        problem = answer.json()
        if isinstance(problem, dict) and "detail" in problem:
            field = f"{problem['field']}: " if problem.get("field") else ""
            code = f"({answer.status_code})"
            detail = str(problem["detail"]).removesuffix(code).rstrip()
            return f"{field}{detail} {code}"
    return f"the server answers {answer.status_code}: is Orthanc De-ID loaded in it?"
