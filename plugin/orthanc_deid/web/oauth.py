"""Tokens by OAuth 2 client credentials (RFC 6749 section 4.4): kept in memory, renewed before they end."""

import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote_plus

from oauthlib.oauth2 import BackendApplicationClient, OAuth2Error

from ..errors import ConfigurationError, Retriable
from ..orthanc_rest import basic
from ..settings.http_auth import ClientCredentials, printable
from .answer import refusal
from .session import FORM, Answer, Content, Session

_EARLY_S = 60.0  # a token that ends sooner is not used any more: our Orthanc may still have to send with it

# A destination is made anew for each study: a token of the one is good for the next.
_tokens: dict[tuple[object, ...], Mapping[str, Any]] = {}


def token(credentials: ClientCredentials, session: Session, seconds: float, *, renew: bool = False) -> str:
    """Return a token; `renew` fetches another one, since the last was refused.

    Raises
    ------
    Retriable
        The token end point is away.
    ConfigurationError
        It refuses the client, or a secret is missing.
    """
    parameters = tuple(sorted(credentials.parameters.items()))
    key = (str(credentials.token_url), credentials.client_id, credentials.scope, parameters)
    known = _tokens.get(key)
    if renew or not known or known.get("expires_at", time.time() + 2 * _EARLY_S) < time.time() + _EARLY_S:
        # Two at once fetch twice: none waits for another's end point.
        known = _tokens[key] = _fetched(credentials, session, seconds)
    return str(known["access_token"])


def forget() -> None:
    """Forget every token."""
    _tokens.clear()


def _fetched(credentials: ClientCredentials, session: Session, seconds: float) -> Mapping[str, Any]:
    client = BackendApplicationClient(credentials.client_id)
    extra = dict(credentials.parameters)
    secret = credentials.client_secret()
    more: dict[str, str] = {}
    in_body = credentials.client_secret_in == "body"  # noqa: S105  # a place, no password
    if in_body:
        extra["client_secret"] = secret
    else:  # RFC 6749 section 2.3.1: form-encoded before they become Basic credentials
        more["Authorization"] = basic(quote_plus(credentials.client_id), quote_plus(secret))
    text = client.prepare_request_body(scope=list(credentials.scope) or None, include_client_id=in_body, **extra)
    try:
        answer = session.request("POST", str(credentials.token_url), more, Content(text.encode(), FORM), seconds)
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
    printable(str(token.get("access_token")))
    return token
