"""The one route /deid/*: passes a request on to the service and its answer back, within bounds."""

import base64
import binascii
import http
import http.client
import json
import logging
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import quote, urlencode

from . import log
from .service_socket import Service, UnixConnection

ROUTE = "/deid/(.*)"
CONNECT_S, ANSWER_S = 2.0, 60.0
ANSWER_BYTES = 100 * 2**20  # Orthanc keeps an answer in memory several times over
SENT_ON = ("accept", "content-type", "host", "if-none-match")  # so nobody can claim to be a user by a header
REASON = "deid-reason"  # why a person asks who a pseudonym is: free text
SENT_BACK = (
    "allow", "cache-control", "content-disposition", "content-security-policy", "content-type", "etag", "link",
    "location", "referrer-policy", "retry-after", "x-content-type-options", "x-deid-size", "x-frame-options",
)  # fmt: skip
# Orthanc has no word for these: it closes the connection without an answer (measured on 1.10.1).
NEAREST = {301: 302, 308: 307, 429: 503}
SENDABLE = frozenset(
    {201, 202, 204, 206, 302, 304, 307, 400, 401, 403, 404, 406, 409, 410, 412, 413, 415, 422, 500, 501, 502, 503, 504}
)
# In a part of a URL that Orthanc hands over as it came.
URL_CHARACTERS = "!$'()*+,-./:;=?@_~%"


class RestOutput(Protocol):
    """Orthanc's answer to one request."""

    def AnswerBuffer(self, body: bytes, mime: str, /) -> None: ...  # noqa: N802, D102  # Orthanc's name
    def SendHttpStatus(self, status: int, body: Any, /, *size: int) -> None: ...  # noqa: ANN401, N802, D102
    def SendMethodNotAllowed(self, allowed: str, /) -> None: ...  # noqa: N802, D102
    def SetHttpHeader(self, name: str, value: str, /) -> None: ...  # noqa: N802, D102


@dataclass(frozen=True)
class Answer:
    """Status, body and headers (lower case) as they go to the browser."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


def problem(status: int, detail: str, **headers: str) -> Answer:
    """Answer an error as RFC 9457 has it."""
    body = {"type": "about:blank", "title": http.HTTPStatus(status).phrase, "status": status, "detail": detail}
    more = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status, json.dumps(body).encode(), {"content-type": "application/problem+json", **more})


BUSY = "as many requests as Orthanc has threads for are being answered; try again"
AWAY = "the service is starting; try again"
BROKEN = "the service did not answer properly"
SLOW = f"the service did not answer within {ANSWER_S:.0f} s"
BIG = f"the answer is larger than {ANSWER_BYTES // 2**20} MB: ask for less of it at a time"


class Proxy:
    """Orthanc's REST callback.

    Parameters
    ----------
    service
        Where to pass requests on to.
    at_once
        Requests that are passed on at the same time; each holds one of Orthanc's threads, and the service needs others.
    get_is_decoded
        Orthanc has decoded the values of the query (1.13 and newer).
    asks_names
        Orthanc lets in whom it knows by name and password; else anybody may write any name into a request.
    """

    def __init__(self, service: Service, *, at_once: int, get_is_decoded: bool, asks_names: bool = True) -> None:
        self._service = service
        self._asks_names = asks_names
        self._free = threading.BoundedSemaphore(at_once)
        self._get_is_decoded = get_is_decoded
        self._send_status: Callable[[RestOutput, int, bytes, str], None] | None = None

    def __call__(self, output: RestOutput, uri: str, **request: Any) -> None:  # noqa: ANN401  # Orthanc's arguments
        """Answer one request."""
        try:
            answer = self._within_bounds(uri, request)
        except Exception as error:  # noqa: BLE001  # else Orthanc answers 500 and writes the text into its log
            log.event("request not passed on", level=logging.ERROR, step="proxy", error=type(error).__name__)
            answer = problem(502, BROKEN)
        self._send(output, answer)

    def _within_bounds(self, uri: str, request: Mapping[str, Any]) -> Answer:
        if not self._free.acquire(blocking=False):
            return problem(503, BUSY, retry_after="1")
        try:
            return self._pass_on(uri, request)
        except TimeoutError:
            return problem(504, SLOW)
        except (FileNotFoundError, ConnectionRefusedError, BlockingIOError):
            return problem(503, AWAY, retry_after="1")
        except (OSError, http.client.HTTPException):
            return problem(502, BROKEN)
        finally:
            self._free.release()

    def _pass_on(self, uri: str, request: Mapping[str, Any]) -> Answer:
        with closing(UnixConnection(self._service.socket, CONNECT_S)) as connection:
            end = time.monotonic() + ANSWER_S
            connection.connect()
            connection.sock.settimeout(ANSWER_S)
            target = target_of(uri, request.get("get") or {}, decoded=self._get_is_decoded)
            headers = headers_of(request.get("headers") or {}, self._service.secret, asks_names=self._asks_names)
            connection.request(request["method"], target, request.get("body") or None, headers)
            response = connection.getresponse()
            body = _read(connection, response, end)
        if body is None:
            return problem(502, BIG)
        sent = {name.lower(): value for name, value in response.getheaders() if name.lower() in SENT_BACK}
        return Answer(response.status, body, sent)

    def _send(self, output: RestOutput, answer: Answer) -> None:
        mime = answer.headers.get("content-type", "")
        for name, value in answer.headers.items():
            if name != "content-type":
                output.SetHttpHeader(name.title(), value)
        if answer.status == http.HTTPStatus.OK:
            output.AnswerBuffer(answer.body, mime or "application/octet-stream")
        elif answer.status == http.HTTPStatus.METHOD_NOT_ALLOWED:
            output.SendMethodNotAllowed(answer.headers.get("allow", "GET"))
        else:
            status = NEAREST.get(answer.status, answer.status)
            self._status(output, status if status in SENDABLE else 502, answer.body, mime)

    def _status(self, output: RestOutput, status: int, body: bytes, mime: str) -> None:
        """Send it by the one of two signatures that this plugin has, found at the first time."""
        if self._send_status:
            self._send_status(output, status, body, mime)
            return
        try:
            _status_of_bytes(output, status, body, mime)
            self._send_status = _status_of_bytes
        except TypeError:
            _status_of_text(output, status, body, mime)
            self._send_status = _status_of_text


def _status_of_bytes(output: RestOutput, status: int, body: bytes, _mime: str) -> None:
    """Python plugin 5.0 and newer; Orthanc adds Content-Type text/plain, and a second one would be wrong HTTP."""
    output.SendHttpStatus(status, body)


def _status_of_text(output: RestOutput, status: int, body: bytes, mime: str) -> None:
    """Python plugin 4.0; the length is in bytes, and Orthanc adds no Content-Type."""
    if mime:
        output.SetHttpHeader("Content-Type", mime)
    text = body.decode("utf-8", "replace")
    output.SendHttpStatus(status, text, len(text.encode()))


def _read(connection: UnixConnection, response: http.client.HTTPResponse, end: float) -> bytes | None:
    """Read the body before the time `end`; None where it is too large."""
    if (response.length or 0) > ANSWER_BYTES:
        return None
    parts, size = [], 0
    while part := response.read1(2**20):
        parts.append(part)
        size += len(part)
        if size > ANSWER_BYTES:
            return None
        left = end - time.monotonic()
        if left <= 0:
            raise TimeoutError
        if connection.sock:  # http.client lets go of it after the last byte
            connection.sock.settimeout(left)
    return b"".join(parts)


def target_of(uri: str, get: Mapping[str, str], *, decoded: bool) -> str:
    """Rebuild the request target: Orthanc decodes the path always, the query from 1.13 on.

    1.13.0 decodes before it splits, so that an encoded & in a value ends it there; that cannot be mended here.
    """
    path = quote(uri, safe="/:@!$&'()*+,;=~-._")
    if decoded:
        query = urlencode(get)
    else:
        raw = {quote(k, safe=URL_CHARACTERS): quote(v, safe=URL_CHARACTERS) for k, v in get.items()}
        query = "&".join(f"{k}={v}" for k, v in raw.items() if k)
    return f"{path}?{query}" if query else path


def headers_of(received: Mapping[str, str], secret: str, *, asks_names: bool = True) -> dict[str, str | bytes]:
    """Answer the few headers that are passed on, and ours: the secret, and who Orthanc has let in (UTF-8)."""
    sent: dict[str, str | bytes] = {name: received[name] for name in SENT_ON if name in received}
    if REASON in received:
        sent[REASON] = received[REASON].encode()
    user = user_of(received.get("authorization", "")) if asks_names else ""
    return sent | {"X-Deid-Secret": secret, "X-Deid-User": user.encode()}


def user_of(authorization: str) -> str:
    """Answer the user name of a Basic authorization that Orthanc has checked; empty where there is none."""
    scheme, _, credentials = authorization.partition(" ")
    if scheme.lower() != "basic":
        return ""
    try:
        text = base64.b64decode(credentials).decode()
    except (binascii.Error, UnicodeDecodeError):
        return ""
    return "".join(c for c in text.partition(":")[0] if c.isprintable())


def asks_names(orthanc_configuration: Mapping[str, Any]) -> bool:
    """Tell whether Orthanc checks who asks; what is not said follows RemoteAccessAllowed, as Orthanc has it."""
    remote = bool(orthanc_configuration.get("RemoteAccessAllowed", False))
    return bool(orthanc_configuration.get("AuthenticationEnabled", remote))


def at_once(orthanc_configuration: Mapping[str, Any]) -> int:
    """Half of Orthanc's HTTP threads: the other half is for the rest of the world and for the service's own calls."""
    return max(1, int(orthanc_configuration.get("HttpThreadsCount", 50)) // 2)
