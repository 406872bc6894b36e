"""What errors of the libraries of object stores mean; their own text holds keys and addresses and is never shown."""

import errno
import logging
import ssl
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from ..errors import ConfigurationError, DeidError, Rejected, Retriable

# Each of them writes keys and addresses, some at ERROR with a traceback.
_LOGGERS = (
    "adlfs", "aiobotocore", "aiohttp", "asyncio", "azure", "boto3", "botocore", "fsspec", "fsspec.sftp", "gcsfs",
    "google", "paramiko", "s3fs", "urllib3",
)  # fmt: skip
_FULL = (errno.ENOSPC, errno.EDQUOT)
_UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND, _TIMEOUT, _TOO_MANY, _SERVER, _FULL_STORE = 401, 403, 404, 408, 429, 500, 507
_LOG_IN = ("ClientAuthenticationError", "AuthenticationException", "NoCredentialsError", "PartialCredentialsError",
           "RefreshError", "DefaultCredentialsError", "BadAuthenticationType", "PasswordRequiredException")  # fmt: skip
_CODES = {"InvalidAccessKeyId", "SignatureDoesNotMatch", "AccessDenied", "ExpiredToken", "InvalidToken"}


def silence() -> None:
    """Keep the libraries from logging what they speak of, and from a warning that means nothing here."""
    for name in _LOGGERS:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    # Parts are sent as bytes, one at a time, by a loop that does nothing else.
    warnings.filterwarnings("ignore", "Sending a large body directly with raw bytes", ResourceWarning)


@contextmanager
def translated() -> Iterator[None]:
    """Raise errors of ours in place of the libraries'.

    Raises
    ------
    Retriable
        It is away, slow, full, or gave an answer that makes no sense.
    ConfigurationError
        A log-in, permission, bucket or container is wrong: a person mends it.
    """
    try:
        yield
    except (DeidError, MemoryError, AssertionError, AttributeError, TypeError, NameError):
        raise
    except Exception as error:  # noqa: BLE001  # libraries of four makers, without one base class
        raise _meaning(error) from None


def _meaning(error: Exception) -> DeidError:
    # The first cause first: where the libraries clean up after a failure, that fails as well and hides it.
    chain = list(_chain(error))[::-1]
    for each in chain:
        if isinstance(each, ssl.SSLError):
            return Retriable("its certificate is not accepted, or it speaks no TLS")
    for each in chain:
        found = _one(each)
        if found:
            return found
    return Retriable(f"the store cannot be reached, or gave no usable answer ({type(error).__name__})")


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        inner = getattr(current, "os_error", None) or getattr(current, "inner_exception", None)
        current = inner or current.__cause__ or current.__context__


def _one(error: BaseException) -> DeidError | None:
    name = type(error).__name__
    forbidden = name == "OSError" and str(error).startswith("Forbidden")  # gcsfs' words for 403
    if forbidden or name in _LOG_IN or isinstance(error, PermissionError) or _aws_code(error) in _CODES:
        return ConfigurationError("the store refuses the log-in, or does not permit it")
    status = getattr(error, "status_code", None) or getattr(error, "code", None)
    if isinstance(status, int):
        return _by_status(status)
    if isinstance(error, FileNotFoundError):
        return ConfigurationError("the bucket, container or folder is not there")
    if isinstance(error, OSError) and error.errno in _FULL:
        return Retriable("the store is full")
    if isinstance(error, TimeoutError) or "Timeout" in name:
        return Retriable("the store did not answer in time")
    return None


def _by_status(status: int) -> DeidError | None:
    if status in {_UNAUTHORIZED, _FORBIDDEN}:
        return ConfigurationError("the store refuses the log-in, or does not permit it")
    if status == _NOT_FOUND:
        return ConfigurationError("the bucket, container or folder is not there")
    if status == _FULL_STORE:
        return Retriable("the store is full")
    if status in {_TIMEOUT, _TOO_MANY} or status >= _SERVER:
        return Retriable(f"the store is away or overloaded ({status})")
    if status >= 400:  # noqa: PLR2004  # HTTP's own border
        return Rejected(f"the store refuses the request ({status})")
    return None


def _aws_code(error: BaseException) -> str:
    response = getattr(error, "response", None)
    return str(response.get("Error", {}).get("Code", "")) if isinstance(response, dict) else ""
