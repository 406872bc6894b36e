"""Proving who sends; secrets are read at the moment of use, tokens live in memory."""

import base64
import time
from collections.abc import Mapping
from io import BytesIO
from typing import Any
from urllib.parse import quote_plus

from oauthlib.oauth2 import BackendApplicationClient, OAuth2Error

from ...errors import ConfigurationError, Retriable
from ...settings.http import Http
from ...settings.http_auth import BasicAuth, HeaderAuth, OAuth2
from .answer import refusal
from .session import Answer, Session

_EARLY_S = 30.0  # a token that ends sooner is not used any more

# A destination is made anew for each study: a token of the one is good for the next.
_tokens: dict[tuple[str, str, str], Mapping[str, Any]] = {}


def headers(settings: Http, session: Session, *, renew: bool = False) -> dict[str, str]:
    """Return the headers that prove who sends; `renew` fetches another token first.

    Raises
    ------
    Retriable
        The token end point is away.
    ConfigurationError
        It refuses the client, or a secret is missing.
    """
    auth = settings.auth
    if isinstance(auth, HeaderAuth):
        return {auth.header: _latin(auth.prefix + auth.value())}
    if isinstance(auth, BasicAuth):
        return {"Authorization": _basic(auth.username, auth.password())}
    if isinstance(auth, OAuth2):
        return {"Authorization": f"Bearer {_token(settings, auth, session, renew=renew)}"}
    return {}


def forget() -> None:
    """Forget every token."""
    _tokens.clear()


def can_renew(settings: Http) -> bool:
    """Answer whether a refused log-in may only mean that a token has ended."""
    return isinstance(settings.auth, OAuth2)


def _token(settings: Http, auth: OAuth2, session: Session, *, renew: bool) -> str:
    key = (settings.name, str(auth.token_url), auth.client_id)
    token = _tokens.get(key)
    if renew or not token or token.get("expires_at", time.time() + 2 * _EARLY_S) < time.time() + _EARLY_S:
        token = _tokens[key] = _fetched(
            auth, session, settings.timeout_s
        )  # two at once fetch twice: none waits for another's end point
    return str(token["access_token"])


def _fetched(auth: OAuth2, session: Session, seconds: float) -> Mapping[str, Any]:
    client = BackendApplicationClient(auth.client_id)
    extra = dict(auth.parameters)
    secret = auth.client_secret()
    more: dict[str, str] = {}
    in_body = auth.client_secret_in == "body"  # noqa: S105  # a place, no password
    if in_body:
        extra["client_secret"] = secret
    else:  # RFC 6749 section 2.3.1: form-encoded before they become Basic credentials
        more["Authorization"] = _basic(quote_plus(auth.client_id), quote_plus(secret))
    text = client.prepare_request_body(scope=list(auth.scope) or None, include_client_id=in_body, **extra)
    try:
        answer = session.request("POST", str(auth.token_url), more, _Form(text.encode()), seconds)
    except Retriable as error:
        raise Retriable(f"token end point: {error}", after_s=error.after_s) from None
    except ConfigurationError as error:
        raise ConfigurationError(f"token end point: {error}") from None
    return _parsed(client, answer)


def _parsed(client: BackendApplicationClient, answer: Answer) -> Mapping[str, Any]:
    if answer.status != 200:  # noqa: PLR2004  # RFC 6749 section 5.1
        why = refusal(answer)
        if isinstance(why, Retriable):
            raise Retriable(f"token end point: {why}", after_s=why.after_s)
        raise ConfigurationError(f"the token end point refuses the client with code {answer.status}")
    try:
        token = dict(client.parse_request_body_response(answer.content.decode()))
    except (OAuth2Error, ValueError, TypeError, AttributeError, Warning):
        raise ConfigurationError("the token end point's answer is no token") from None
    if str(token.get("token_type", "Bearer")).lower() != "bearer":
        raise ConfigurationError("the token end point gives another kind of token than Bearer")
    _latin(str(token.get("access_token")))
    return token


def _basic(username: str, password: str) -> str:
    """Return Basic credentials in UTF-8 (RFC 7617 section 2.1)."""
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode("ascii")


def _latin(value: str) -> str:
    if not (value.isascii() and value.isprintable()):
        raise ConfigurationError("a secret for a header holds other characters than printable ASCII")
    return value


class _Form:
    content_type = "application/x-www-form-urlencoded"

    def __init__(self, content: bytes) -> None:
        self._content = content
        self.size = len(content)

    def open(self) -> BytesIO:
        """Give the form to read."""
        return BytesIO(self._content)
