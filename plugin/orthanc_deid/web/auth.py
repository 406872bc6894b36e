"""Proving who sends; secrets are read at the moment of use."""

from collections.abc import Callable, Mapping
from typing import Protocol

from ..orthanc_rest import basic
from ..settings.http_auth import Auth, BasicAuth, HeaderAuth, OAuth2
from . import oauth
from .session import Answer, Session

_LOG_IN = 401


class Sender(Protocol):
    """Who sends, as settings say it."""

    @property
    def auth(self) -> Auth | None:
        """How it is proved; None: not at all."""

    @property
    def timeout_s(self) -> float:
        """Seconds that a token end point may take."""


def authorized(sender: Sender, session: Session, send: Callable[[Mapping[str, str]], Answer]) -> Answer:
    """Send with the headers that prove who sends; once more with another token where the log-in is refused.

    Raises
    ------
    Retriable
        The token end point is away.
    ConfigurationError
        It refuses the client, or a secret is missing.
    """
    answer = send(_headers(sender, session))
    if answer.status == _LOG_IN and isinstance(sender.auth, OAuth2):
        answer = send(_headers(sender, session, renew=True))
    return answer


def _headers(sender: Sender, session: Session, *, renew: bool = False) -> dict[str, str]:
    auth = sender.auth
    if isinstance(auth, HeaderAuth):
        return {auth.header: auth.prefix + auth.value()}
    if isinstance(auth, BasicAuth):
        return {"Authorization": basic(auth.username, auth.password())}
    if isinstance(auth, OAuth2):
        return {"Authorization": f"Bearer {oauth.token(auth, session, sender.timeout_s, renew=renew)}"}
    return {}
