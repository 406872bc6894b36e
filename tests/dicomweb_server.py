"""A DICOMweb server in this process that misbehaves as it is told, and gives OAuth 2 tokens."""

import base64
import io
import json
import re
import ssl
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

import pydicom

from certificates import Pair


@dataclass
class WebManners:
    """How the server behaves; can be changed while it runs."""

    code: int = 0  # of every answer
    store_code: int = 0  # of every answer to STOW-RS
    retry_after: str = ""
    page: int = 1000  # most instances in one answer
    paging: bool = True  # heeds offset
    nothing: int = 200  # code where nothing is found
    refuses: dict[str, int] = field(default_factory=dict)  # SOPInstanceUID: failure reason
    keeps: bool = True
    says_nothing: bool = False  # answers STOW-RS without a body
    sleep_s: float = 0
    cut_after: int | None = None  # bytes of a body that it reads before it hangs up
    qido: bool = True
    padding: int = 0  # bytes before each answer to QIDO-RS
    token_code: int = 0  # of every answer to a question for a token
    login: str = ""  # the only accepted Authorization


@dataclass
class DicomwebServerStub:
    """Holds what came; `url` is its root, `/token` below the host gives tokens to `client` with `secret`."""

    manners: WebManners = field(default_factory=WebManners)
    pair: Pair | None = None  # for https
    client: tuple[str, str] = ("us", "secret")
    expires_s: int = 3600
    held: dict[str, str] = field(default_factory=dict)  # SOPInstanceUID: StudyInstanceUID
    came: list[str] = field(default_factory=list)  # SOPInstanceUIDs in the order of their arrival
    seen: list[bytes] = field(default_factory=list)  # each request's line, headers and body
    requests: list[str] = field(default_factory=list)  # "GET /studies"
    tokens: list[str] = field(default_factory=list)
    _server: Any = None

    def __enter__(self) -> Self:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"stub": self}))
        self._server.daemon_threads = True
        if self.pair:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self.pair.certificate, self.pair.key)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def origin(self) -> str:
        """Scheme, host and port."""
        return f"http{'s' if self.pair else ''}://127.0.0.1:{self._server.server_port}"

    @property
    def url(self) -> str:
        """Its DICOMweb root."""
        return f"{self.origin}/dicom-web/"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    stub: DicomwebServerStub

    def log_message(self, *arguments: object) -> None:
        """Write nothing to the terminal."""

    def do_GET(self) -> None:
        self.stub.requests.append(f"GET {self.path}")
        self.stub.seen.append(f"{self.requestline}\n{self.headers}".encode())
        if not self._admitted():
            return
        if not self.stub.manners.qido:
            self._answer(501)
            return
        parts = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        match = re.fullmatch(r"/dicom-web/studies/([0-9.]+)/instances", parts.path)
        found = [uid for uid, study in self.stub.held.items() if match and study == match[1]]
        if "SOPInstanceUID" in query:
            found = [uid for uid in found if uid in query["SOPInstanceUID"].split(",")]
        first = int(query.get("offset", "0")) if self.stub.manners.paging else 0
        found = found[first : first + min(self.stub.manners.page, int(query.get("limit", "100000")))]
        if not found:
            self._answer(self.stub.manners.nothing, b" " * self.stub.manners.padding + b"[]")
            return
        self._answer(200, json.dumps([{"00080018": {"vr": "UI", "Value": [uid]}} for uid in found]).encode())

    def do_POST(self) -> None:
        self.stub.requests.append(f"POST {self.path}")
        length = int(self.headers.get("Content-Length") or 0)
        if self.stub.manners.cut_after is not None:
            self.rfile.read(self.stub.manners.cut_after)
            self.close_connection = True
            self.connection.shutdown(2)
            return
        body = self.rfile.read(length) if length else self._chunks()
        self.stub.seen.append(f"{self.requestline}\n{self.headers}".encode() + body)
        if self.path == "/token":
            self._token(body)
        elif self._admitted():
            self._store(body)

    def _chunks(self) -> bytes:
        found = b""
        while size := int(self.rfile.readline(), 16):
            found += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return found

    def _admitted(self) -> bool:
        time.sleep(self.stub.manners.sleep_s)
        login = self.headers.get("Authorization", "")
        good = self.stub.manners.login or (f"Bearer {self.stub.tokens[-1]}" if self.stub.tokens else "")
        if good and login != good:
            self._answer(401)
            return False
        if self.stub.manners.code:
            self._answer(self.stub.manners.code)
            return False
        return True

    def _store(self, body: bytes) -> None:
        if self.stub.manners.store_code:
            self._answer(self.stub.manners.store_code)
            return
        boundary = re.search(r'boundary="?([^";]+)', self.headers["Content-Type"])
        assert boundary
        good, bad = [], []
        for part in body.split(b"--" + boundary[1].encode())[1:-1]:
            file = part.partition(b"\r\n\r\n")[2]
            ds = pydicom.dcmread(io.BytesIO(file))
            uid = str(ds.SOPInstanceUID)
            self.stub.came.append(uid)
            if uid in self.stub.manners.refuses:
                bad.append(_item(uid, self.stub.manners.refuses[uid]))
                continue
            good.append(_item(uid))
            if self.stub.manners.keeps:
                self.stub.held[uid] = str(ds.StudyInstanceUID)
        answer = {"00081198": {"vr": "SQ", "Value": bad}} if bad else {}
        answer |= {"00081199": {"vr": "SQ", "Value": good}} if good else {}
        code = 200 if not bad else 202 if good else 409
        self._answer(code, b"" if self.stub.manners.says_nothing else json.dumps(answer).encode())

    def _token(self, body: bytes) -> None:
        if self.stub.manners.token_code:
            self._answer(self.stub.manners.token_code)
            return
        wanted = "Basic " + base64.b64encode(":".join(self.stub.client).encode()).decode()
        if self.headers.get("Authorization") != wanted or b"client_credentials" not in body:
            self._answer(401, b'{"error": "invalid_client"}')
            return
        self.stub.tokens.append(f"token-{len(self.stub.tokens)}")
        answer = {"access_token": self.stub.tokens[-1], "token_type": "Bearer", "expires_in": self.stub.expires_s}
        self._answer(200, json.dumps(answer).encode())

    def _answer(self, code: int, body: bytes = b"") -> None:
        self.send_response(code)
        if self.stub.manners.retry_after:
            self.send_header("Retry-After", self.stub.manners.retry_after)
        if code == 302:  # found
            self.send_header("Location", "http://127.0.0.1:9/")
        self.send_header("Content-Type", "application/dicom+json")
        if code != 204:  # no content
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if code != 204:  # no content
            self.wfile.write(body)


def _item(uid: str, reason: int | None = None) -> dict[str, Any]:
    item: dict[str, Any] = {"00081155": {"vr": "UI", "Value": [uid]}}
    return item | ({"00081197": {"vr": "US", "Value": [reason]}} if reason is not None else {})
