"""One HTTP request at a time: bounded in time and in the size of its answer, never a redirection, no foreign text."""

import contextlib
import http.client
import io
import socket
import ssl
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import requests
import urllib3

from ..errors import ConfigurationError, DeidError, Retriable
from .connection import Adapter, Cut

ANSWER_BYTES = 2**20
FORM = "application/x-www-form-urlencoded"
_PIECE_BYTES = 2**16
_CONNECT_S = 10.0

# X509_V_ERR_* of OpenSSL, in our words.
_CERTIFICATE = {
    9: "its certificate is not valid yet",
    10: "its certificate has expired",
    18: "its certificate is signed by itself: name it as ca_file if it is the right one",
    19: "its certificate comes from an authority that is not trusted: see ca_file",
    20: "its certificate comes from an authority that is not trusted: see ca_file",
    21: "its certificate comes from an authority that is not trusted: see ca_file",
    62: "its certificate is for another host name",
    64: "its certificate is for another address",
}
# Alerts of RFC 8446 section 6 as OpenSSL names them.
_ALERTS = {
    "CERTIFICATE_REQUIRED": "it asks for a certificate of ours: see certificate_file",
    "HANDSHAKE_FAILURE": "it refuses the TLS handshake; it may want a certificate of ours",
    "BAD_CERTIFICATE": "it refuses our certificate",
    "CERTIFICATE_EXPIRED": "it says that our certificate has expired",
    "CERTIFICATE_UNKNOWN": "it refuses our certificate",
    "UNKNOWN_CA": "it does not trust the authority of our certificate",
    "WRONG_VERSION_NUMBER": "it does not speak TLS at this port",
    "RECORD_LAYER_FAILURE": "it does not speak TLS at this port",
    "KEY_VALUES_MISMATCH": "key_file does not belong to certificate_file",
}


_AWAY = {
    requests.ConnectTimeout: "it does not answer in time",
    requests.ReadTimeout: "it does not answer in time",
    urllib3.exceptions.ReadTimeoutError: "it does not answer in time",
    TimeoutError: "it does not take what is sent in time",
    ConnectionRefusedError: "it refuses the connection",
    ssl.SSLEOFError: "it ended the TLS connection; it may want a certificate of ours, or not accept ours",
    socket.gaierror: "its name is not known to this machine",
}


class Body(Protocol):
    """What is sent; opened anew for every try."""

    @property
    def content_type(self) -> str:
        """Media type."""

    @property
    def size(self) -> int:
        """Bytes."""

    def open(self) -> contextlib.AbstractContextManager[Any]:
        """Give an object with read(size)."""


@dataclass(frozen=True)
class Answer:
    """A status code, headers, and at most ANSWER_BYTES of the body; `whole` says whether that was all."""

    status: int
    headers: Mapping[str, str]
    content: bytes
    whole: bool

    def __repr__(self) -> str:
        """Show no text of the far side, wherever it is printed."""
        return f"Answer({self.status})"


class Content:
    """A body that is held in memory; shown nowhere."""

    def __init__(self, content: bytes, content_type: str) -> None:
        self._content = content
        self.content_type = content_type
        self.size = len(content)

    def open(self) -> io.BytesIO:
        """Give it to read."""
        return io.BytesIO(self._content)


class Line(Protocol):
    """How a place is reached, as the settings of a destination say it."""

    @property
    def timeout_s(self) -> float:
        """Seconds without progress."""

    @property
    def ca_file(self) -> Path | None:
        """Authorities that are trusted; None: the public ones."""

    @property
    def certificate_file(self) -> Path | None:
        """Our own certificate."""

    @property
    def key_file(self) -> Path | None:
        """Its key; None: in the same file."""


class Session:
    """Kept-alive connections to one place."""

    def __init__(self, line: Line, proxy: str | None = None, connect_s: float = _CONNECT_S) -> None:
        self._line, self._connect_s = line, connect_s
        self._cut = Cut()
        self._session = requests.Session()
        self._session.trust_env = False  # neither .netrc nor the environment's proxies
        self._session.headers.clear()
        if proxy:
            self._session.proxies = dict.fromkeys(("http", "https"), proxy)
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, Adapter(self._cut))

    def close(self) -> None:
        """Close all connections."""
        self._session.close()

    def request(
        self, method: str, url: str, headers: Mapping[str, str], body: Body | None = None, seconds: float = 3600
    ) -> Answer:
        """Send one request and read its answer.

        The body may take so many `seconds` to go out, the answer `timeout_s` from then on.

        Raises
        ------
        Retriable
            No connection, none in time, or one that ended early.
        ConfigurationError
            TLS: a certificate or key, theirs or ours, is not accepted.
        """
        timeout_s = self._line.timeout_s
        self._session.verify, self._session.cert = trust(self._line)
        ours = {"User-Agent": "orthanc-deid", "Accept": "application/json, */*;q=0.1", "Accept-Encoding": "identity"}
        answered = False
        try:
            with self._cut.within(seconds if body else timeout_s), _opened(body, self._cut, timeout_s) as data:
                response = self._session.request(
                    method, url, headers={**ours, **_typed(body), **headers}, data=data, stream=True,
                    allow_redirects=False, timeout=(min(self._connect_s, timeout_s), timeout_s),
                )  # fmt: skip
                answered = True
                with contextlib.closing(response):
                    content, whole = _read(response.raw)
                    if self._cut.fired or not _has_end(method, response):
                        raise http.client.IncompleteRead(b"")
        except (requests.RequestException, urllib3.exceptions.HTTPError, http.client.HTTPException, OSError) as error:
            if self._cut.fired:
                raise Retriable(f"no whole answer in time ({timeout_s:g} s after the request)") from None
            raise _reason(error, answered=answered) from None
        return Answer(response.status_code, response.headers, content, whole)


def _typed(body: Body | None) -> dict[str, str]:
    return {"Content-Type": body.content_type} if body else {}


def trust(line: Line) -> tuple[str | bool, tuple[str, str] | None]:
    """Return whom to trust and our own certificate, as requests takes them.

    Raises
    ------
    ConfigurationError
        A file is not there.
    """
    named = {"ca_file": line.ca_file, "certificate_file": line.certificate_file, "key_file": line.key_file}
    for field, file in named.items():
        if file and not file.is_file():
            raise ConfigurationError(f"{field}: there is no such file")
    verify: str | bool = str(line.ca_file) if line.ca_file else True
    if not line.certificate_file:
        return verify, None
    return verify, (str(line.certificate_file), str(line.key_file or line.certificate_file))


def _has_end(method: str, response: requests.Response) -> bool:
    """Answer whether an answer says where it ends: http.client takes one that is cut in its headers for whole."""
    told = response.headers
    closes = "close" in told.get("Connection", "").lower() or response.raw.version == 10  # noqa: PLR2004  # HTTP/1.0
    bodiless = method == "HEAD" or response.status_code in (204, 304)
    return bodiless or closes or "Content-Length" in told or "Transfer-Encoding" in told


def _read(raw: Any) -> tuple[bytes, bool]:  # noqa: ANN401  # urllib3's response, by requests' untyped field
    content = bytearray()
    while len(content) <= ANSWER_BYTES:
        piece = raw.read1(_PIECE_BYTES, decode_content=False)
        if not piece:
            return bytes(content), True
        content += piece
    return bytes(content[:ANSWER_BYTES]), False


@contextlib.contextmanager
def _opened(body: Body | None, cut: Cut, timeout_s: float) -> Iterator["_Going | None"]:
    if body is None:
        yield None
        return
    with body.open() as source:
        yield _Going(source, body.size, lambda: cut.begin(timeout_s))


class _Going:
    """A body on its way: of known length, and it says when it is all out."""

    def __init__(self, source: Any, size: int, done: Any) -> None:  # noqa: ANN401  # anything with read, and a callable
        self._source, self._done = source, done
        self.len = size

    def read(self, size: int = -1) -> bytes:
        piece = bytes(self._source.read(size))
        if not piece:
            self._done()
        return piece


def _reason(error: BaseException, *, answered: bool) -> DeidError:
    """Say in our own words why there is no answer."""
    for each in _chain(error):
        if isinstance(each, ssl.SSLCertVerificationError):
            return ConfigurationError(_CERTIFICATE.get(each.verify_code, "its certificate is not accepted"))
        if isinstance(each, ssl.SSLError):
            for name, words in _ALERTS.items():
                if name in (each.reason or ""):
                    return ConfigurationError(words)
    if answered:
        return Retriable("the answer was cut off")
    kinds = {type(each) for each in _chain(error)}
    known = next((words for kind, words in _AWAY.items() if kind in kinds), None)
    return Retriable(known or f"the connection failed ({type(error).__name__})")


def _chain(error: BaseException) -> list[BaseException]:
    """Answer an error and everything that it was made of."""
    found: list[BaseException] = []
    open_: list[object] = [error]
    while open_:
        each = open_.pop()
        if isinstance(each, BaseException) and each not in found:
            found.append(each)
            open_ += [each.__cause__, each.__context__, getattr(each, "reason", None), *each.args]
    return found


def until(end: float) -> float:
    """Answer the seconds that are left, or raise Retriable where none are."""
    left = end - time.monotonic()
    if left <= 0:
        raise Retriable("not all was sent in the time that a step may take; the rest follows")
    return left
