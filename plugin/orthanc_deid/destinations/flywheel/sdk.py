"""Flywheel's SDK: loaded late, bounded, silent, closed again, and its errors told in our words."""

import logging
import re
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ...errors import ConfigurationError, DeidError, NotFound, Rejected, Retriable
from ...settings import Flywheel

# Host, then where given port and __force_insecure, then the key itself.
_KEY = re.compile(r"[A-Za-z0-9._-]+(:[0-9]{1,5})?(:__force_insecure)?:[^\s:]{1,200}")
_LOGGERS = ("flywheel", "Flywheel", "httpx2", "httpcore2", "http.client")
_BACKOFF_S, _LONGEST_S = 0.25, 10.0  # the second retry comes after 0.5 s, the third after 1 s
_BUSY = (408, 425, 429, 500, 502, 503, 504, 507)


class Taken(DeidError):
    """What was to be made is there already (409)."""


_MEANINGS: dict[int, tuple[type[DeidError], str]] = {
    401: (ConfigurationError, "Flywheel refuses the key, put a valid one into api_key_file or api_key_env"),
    403: (Rejected, "the user of Flywheel's key needs read-write there"),
    404: (NotFound, "Flywheel does not know that"),
    409: (Taken, "it is there already"),
}


@contextmanager
def client(settings: Flywheel) -> Iterator[Any]:
    """Give a client of the SDK that has not spoken yet; every socket of it is closed at the end.

    Raises
    ------
    ConfigurationError
        The SDK is not installed, or the key is missing or none.
    """
    key = settings.api_key()
    if not _KEY.fullmatch(key):
        raise ConfigurationError("the key of Flywheel has the form host:KEY or host:port:KEY")
    flywheel = _load()
    made = flywheel.Client(
        key, disable_auth_check=True, request_timeout=settings.timeout_s, connect_timeout=settings.connect_s
    )
    _silence()
    http = made.api_client.rest_client.client
    _bound(http, settings)
    try:
        yield made
    finally:
        made.shutdown()
        http.close()


def _load() -> Any:  # noqa: ANN401  # has no types
    try:
        import flywheel
    except ImportError:
        raise ConfigurationError("Flywheel's SDK is not installed: ./run setup flywheel") from None
    return flywheel


def _bound(http: Any, settings: Flywheel) -> None:  # noqa: ANN401  # of the SDK
    # Pieces of a file go to signed URLs without a time-out of their own: 5 s of the HTTP library would count.
    http.timeout = (settings.connect_s, settings.timeout_s, settings.timeout_s, settings.timeout_s)
    # The SDK's variables for this are read once, at its import, and by default a dead site holds us for two minutes.
    for transport in (http._transport, *http._mounts.values()):  # noqa: SLF001  # there is no other way to them
        if transport is not None:
            transport.total = settings.attempts - 1
            transport.backoff_factor, transport.backoff_max = _BACKOFF_S, _LONGEST_S


def _silence() -> None:
    """Take the handlers away that the SDK gives itself: its messages hold labels, bodies and URLs."""
    for name in _LOGGERS:
        logger = logging.getLogger(name)
        for handler in tuple(logger.handlers):
            logger.removeHandler(handler)
        logger.addHandler(logging.NullHandler())
        logger.propagate = False
        logger.setLevel(logging.CRITICAL + 1)


@contextmanager
def told(what: str) -> Iterator[None]:
    """Raise an error of the SDK as one of ours; `what` names the request in our words."""
    import httpx2
    from flywheel.rest import ApiException

    try:
        yield
    except (ApiException, httpx2.HTTPError) as last:
        # An upload that fails closes its ticket all the same: what the site says to that is not the reason.
        error: BaseException = last
        while isinstance(error.__context__, (ApiException, httpx2.HTTPError, DeidError)):
            error = error.__context__
        raise _of(error, what) from None
    except httpx2.InvalidURL:
        raise ConfigurationError("the key of Flywheel names no address") from None
    except (RuntimeError, KeyError) as error:
        # A KeyError: an S3 URL of one piece has no upload id, which the SDK asks for when all has been sent.
        if isinstance(error, RuntimeError) and "deserialization" not in str(error):
            raise
        raise Retriable(f"Flywheel answers what its SDK does not understand: {what}") from None


def _of(error: BaseException, what: str) -> DeidError:
    import httpx2
    from flywheel.rest import ApiException

    if isinstance(error, DeidError):
        return error
    if isinstance(error, ApiException):
        return _of_status(error.status or 0, what, _seconds(error.headers))
    if isinstance(error, httpx2.TimeoutException):
        return Retriable(f"Flywheel does not answer in time: {what} ({type(error).__name__})")
    return _of_transport(error)


def _of_status(status: int, what: str, after_s: float) -> DeidError:
    if status in _BUSY:
        return Retriable(f"Flywheel is away, full or busy ({status}): {what}", after_s)
    make, words = _MEANINGS.get(status, (Rejected, "Flywheel refuses"))
    return make(f"{words} ({status}): {what}")


def _of_transport(error: BaseException) -> DeidError:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return Retriable(f"Flywheel's certificate is not valid (code {cause.verify_code} of OpenSSL)")
        cause = cause.__cause__ or cause.__context__
    return Retriable(f"Flywheel cannot be reached ({type(error).__name__})")


def _seconds(headers: Any) -> float:  # noqa: ANN401  # of the HTTP library, or None
    try:
        return max(0.0, float(headers["Retry-After"]))
    except (TypeError, KeyError, ValueError):
        return 0.0
