"""Proving who sends; secrets are read at the moment of use."""

from ...orthanc_rest import basic
from ...settings.http import Http
from ...settings.http_auth import BasicAuth, HeaderAuth, OAuth2
from . import oauth
from .session import Session


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
        return {auth.header: auth.prefix + auth.value()}
    if isinstance(auth, BasicAuth):
        return {"Authorization": basic(auth.username, auth.password())}
    if isinstance(auth, OAuth2):
        return {"Authorization": f"Bearer {oauth.token(auth, session, settings.timeout_s, renew=renew)}"}
    return {}


def can_renew(settings: Http) -> bool:
    """Answer whether a refused log-in may only mean that a token has ended."""
    return isinstance(settings.auth, OAuth2)
