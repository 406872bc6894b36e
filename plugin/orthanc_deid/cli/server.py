"""Talk to a running server: one session, one time-out, problems turned into messages for people."""

import os
from pathlib import Path
from typing import Any

import click
import requests

from ..settings import CHECKOUT

TIMEOUT_S = (5, 90)


class Server:
    """The product behind an Orthanc's address."""

    def __init__(self, url: str, username: str, password: str) -> None:
        self.url = url.rstrip("/")
        self._session = requests.Session()
        self._session.auth = (username, password)

    def call(self, method: str, path: str, **query: str | int | None) -> Any:  # noqa: ANN401  # JSON
        """Call a route and return its JSON; end with a message where it answers with a problem."""
        wanted = {name: value for name, value in query.items() if value is not None}
        try:
            answer = self._session.request(method, self.url + path, params=wanted, timeout=TIMEOUT_S)
        except requests.RequestException as error:
            raise click.ClickException(f"{self.url} does not answer ({type(error).__name__}): is it running?") from None
        if answer.status_code == requests.codes.unauthorized:
            raise click.ClickException("log-in refused: see --user and --password-file")
        if not answer.ok:
            raise click.ClickException(_problem(answer))
        return answer.json()


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
            f"password file cannot be read ({type(error).__name__}): set ORTHANC_DEID_HOME or --password-file"
        ) from None


def _problem(answer: requests.Response) -> str:
    try:
        problem = answer.json()
    except ValueError:
        return f"the server answers {answer.status_code}: is Orthanc De-ID loaded in it?"
    if not isinstance(problem, dict) or "detail" not in problem:
        return f"the server answers {answer.status_code}: is Orthanc De-ID loaded in it?"
    field = f"{problem['field']}: " if problem.get("field") else ""
    return f"{field}{problem['detail']} ({answer.status_code})"
