"""One conversation with a service: a few requests within a time, verified TLS, never a redirection."""

import json
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlencode

from ...errors import ConfigurationError, Retriable
from ...settings.http_auth import Auth
from ...settings.pseudonym_http import HttpPseudonyms, is_guarded
from ...web import auth
from ...web.session import FORM, Answer, Content, Session

JSON = "application/json"


class Client:
    """Sends requests until `end`, in seconds of the monotonic clock; it is the line of its session, and who sends."""

    def __init__(self, settings: HttpPseudonyms, end: float) -> None:
        self._settings, self._end = settings, end
        self._session = Session(self, connect_s=settings.connect_timeout_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._session.close()

    @property
    def timeout_s(self) -> float:
        """Seconds that the next answer may take; raise Retriable where the time is over."""
        left = self._end - time.monotonic()
        if left <= 0:
            raise Retriable(f"it did not answer within {self._settings.total_s:g} s")
        return min(self._settings.timeout_s, left)

    @property
    def ca_file(self) -> Path | None:
        """Authorities that are trusted."""
        return self._settings.ca_file

    @property
    def certificate_file(self) -> Path | None:
        """Our own certificate."""
        return self._settings.certificate_file

    @property
    def key_file(self) -> Path | None:
        """Its key."""
        return self._settings.key_file

    @property
    def auth(self) -> Auth | None:
        """How it is proved who asks."""
        return self._settings.auth

    def ask(self, path: str, document: Any, *, media: str = JSON, more: Mapping[str, str] | None = None) -> Answer:  # noqa: ANN401  # JSON
        """Send a JSON document to what lies below url, with every header and proof of the settings."""
        return self._proved(path, _json(document, media), {"Accept": media, **(more or {})})

    def ask_form(self, path: str, fields: Mapping[str, str], more: Mapping[str, str]) -> Answer:
        """Send a form."""
        return self._proved(path, Content(_form(fields), FORM), more)

    def elsewhere(self, url: str, document: Any) -> Answer:  # noqa: ANN401  # JSON
        """Send a JSON document to another address than url, and nothing that is meant for url."""
        if not is_guarded(url):
            raise ConfigurationError("an address that is no https, and not of this machine, gets no secret")
        return self._session.request("POST", url, {}, _json(document, JSON), self.timeout_s)

    def _proved(self, path: str, content: Content, more: Mapping[str, str]) -> Answer:
        url = str(self._settings.url).rstrip("/") + path
        own = {**more, **self._headers()}
        return auth.authorized(
            self,
            self._session,
            lambda proof: self._session.request(
                self._settings.method, url, {**own, **proof}, content, seconds=self.timeout_s
            ),
        )

    def _headers(self) -> dict[str, str]:
        secrets = {name: each.value() for name, each in self._settings.secret_headers.items()}
        return dict(self._settings.headers) | secrets


def _json(document: Any, media: str) -> Content:  # noqa: ANN401  # JSON
    return Content(json.dumps(document).encode("ascii"), media)


def _form(fields: Mapping[str, str]) -> bytes:
    return urlencode(fields, errors="replace").encode("ascii")
