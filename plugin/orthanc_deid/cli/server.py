"""Talk to a running server: one session, one time-out, problems turned into messages for people."""

import contextlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import requests
from requests.adapters import HTTPAdapter
from requests.auth import HTTPBasicAuth
from urllib3.util import Retry

from ..settings import CHECKOUT

Body = Mapping[str, Any] | Sequence[Any] | None  # JSON

TIMEOUT_S = (5, 90)
PAGE = 1000


class Server:
    """The product behind an Orthanc's address."""

    def __init__(self, url: str, username: str, password: str) -> None:
        self.url = url.rstrip("/")
        self._session = requests.Session()
        # As bytes: of a text the library would send Latin-1, and Orthanc compares UTF-8.
        self._session.auth = HTTPBasicAuth(username.encode(), password.encode())
        # Orthanc closes a connection that was quiet for a second: whoever asks in that moment is told nothing.
        once_more = Retry(
            total=1, connect=0, status=0, redirect=0, other=0, read=1, allowed_methods=["GET"],
            respect_retry_after_header=False,
        )  # fmt: skip
        for scheme in ("http://", "https://"):  # whole: of two prefixes the longer one is used
            self._session.mount(scheme, HTTPAdapter(max_retries=once_more))

    def call(self, method: str, path: str, body: Body = None, **query: str | int | None) -> Any:  # noqa: ANN401  # JSON
        """Call a route and return its JSON; end with a message where it answers with a problem."""
        return self._send(method, path, query, body).json()

    def get(self, path: str, **query: str | int | None) -> requests.Response:
        """Return the whole answer of a route; end with a message where it answers with a problem."""
        return self._send("GET", path, query)

    def explain(self, reason: str) -> None:
        """Send a reason with all that is asked from here on."""
        self._session.headers["Deid-Reason"] = reason.encode()  # as bytes: of a text the library would send Latin-1

    def find(self, path: str) -> Any:  # noqa: ANN401  # JSON
        """Return the JSON of a route; None where it answers 404; end with a message where there is another problem."""
        answer = self._ask("GET", path, {})
        return None if answer.status_code == requests.codes.not_found else self._accepted(answer).json()

    def refused(self, path: str, body: Body = None) -> str:
        """POST and return why the state of things does not allow it; empty where it does."""
        answer = self._ask("POST", path, {}, body)
        if answer.status_code == requests.codes.conflict:
            return _problem(answer)
        self._accepted(answer)
        return ""

    def text(self, path: str) -> str:
        """Return what a route of Orthanc's own answers with."""
        return self._send("GET", path, {}).text

    def exists(self, path: str) -> bool:
        """Tell whether Orthanc knows a resource."""
        return self._ask("GET", path, {}).ok

    def pages(
        self, status: str | None, project: str | None, limit: int | None = None, profile: str | None = None
    ) -> list[dict[str, Any]]:
        """Return studies, newest first: all, or at most so many."""
        items: list[dict[str, Any]] = []
        cursor = None
        while limit is None or len(items) < limit:
            count = PAGE if limit is None else min(PAGE, limit - len(items))
            page = self.call(
                "GET", "/deid/studies", status=status, project=project, profile=profile, limit=count, cursor=cursor
            )
            items += page["items"]
            cursor = page["next"]
            if cursor is None:
                break
        return items

    def _send(
        self, method: str, path: str, query: Mapping[str, str | int | None], body: Body = None
    ) -> requests.Response:
        return self._accepted(self._ask(method, path, query, body))

    @staticmethod
    def _accepted(answer: requests.Response) -> requests.Response:
        if answer.status_code == requests.codes.unauthorized:
            raise click.ClickException("log-in refused: see --user and --password-file")
        if not answer.ok:
            raise click.ClickException(_problem(answer))
        return answer

    def _ask(
        self, method: str, path: str, query: Mapping[str, str | int | None], body: Body = None
    ) -> requests.Response:
        wanted = {name: value for name, value in query.items() if value is not None}
        if method != "GET":
            self._session.close()  # it is asked once, so not over a connection that Orthanc is about to close
        try:
            return self._session.request(method, self.url + path, params=wanted, json=body, timeout=TIMEOUT_S)
        except requests.exceptions.InvalidURL:
            raise click.ClickException("--url: not a web address: http://127.0.0.1:8042 is one") from None
        except requests.exceptions.MissingSchema:
            raise click.ClickException("--url: begins with http:// or https://") from None
        except requests.RequestException as error:
            raise click.ClickException(
                f"{self.url} does not answer ({type(error).__name__}): is it running, is --url right?"
            ) from None


class Asked:
    """The options that stand before the command."""

    def __init__(self, url: str, user: str, password_file: Path | None, *, as_json: bool) -> None:
        self.url, self.user, self.password_file, self.as_json = url, user, password_file, as_json

    def server(self) -> Server:
        """Return the server that they name."""
        return Server(self.url, self.user, read_password(self.password_file))


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
