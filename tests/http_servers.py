"""An HTTP or HTTPS server that behaves as a test tells it: refuses, dawdles, hangs up, forgets, wants a log-in."""

import base64
import contextlib
import datetime as dt
import ipaddress
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

DAY = dt.timedelta(days=1)


@dataclass(frozen=True)
class Received:
    """A request that came in whole."""

    method: str
    path: str  # with the query
    headers: Mapping[str, str]  # names in lower case
    body: bytes

    def json(self) -> Any:  # noqa: ANN401  # JSON
        return json.loads(self.body)


class Handler(BaseHTTPRequestHandler):
    """Reads one request and lets the server's next behaviour answer it."""

    protocol_version = "HTTP/1.1"
    timeout = 20
    server: "_Server"

    def handle_any(self) -> None:
        owner = self.server.owner
        behaviour = owner.behaviour()
        if getattr(behaviour, "before_body", False):
            behaviour(self, Received(self.command, self.path, {}, b""))
            return
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        received = Received(self.command, self.path, headers, body)
        owner.received.append(received)
        behaviour(self, received)

    do_GET = do_HEAD = do_POST = do_PUT = handle_any  # noqa: N815  # names of http.server

    def reply(self, status: int, body: bytes = b"", headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def hang_up(self) -> None:
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # name of http.server
        """Write nothing."""


Behaviour = Callable[[Handler, Received], None]


def answers(status: int, body: object = None, **headers: str) -> Behaviour:
    """Answer with a code; `body` is sent as JSON, bytes as they are; `Retry_After="3"` is a header."""
    content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    return lambda handler, _: handler.reply(status, content, {k.replace("_", "-"): v for k, v in headers.items()})


def silent(handler: Handler, _: Received) -> None:
    """Never answer."""
    handler.server.owner.ended.wait(20)
    handler.hang_up()


def drips(handler: Handler, _: Received) -> None:
    """Answer a byte at a time, for ever."""
    with contextlib.suppress(OSError):
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        while not handler.server.owner.ended.wait(0.05):
            handler.wfile.write(b"x")
    handler.hang_up()


def drips_body(handler: Handler, _: Received) -> None:
    """Answer with a body that comes a byte at a time, for ever."""
    with contextlib.suppress(OSError):
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 900000\r\n\r\n")
        while not handler.server.owner.ended.wait(0.05):
            handler.wfile.write(b"x")
    handler.hang_up()


def cuts_request(handler: Handler, _: Received) -> None:
    """Hang up in the middle of the request's body."""
    handler.rfile.read(100)
    handler.hang_up()


cuts_request.before_body = True  # type: ignore[attr-defined]  # asked for by Handler


def stalls_request(handler: Handler, _: Received) -> None:
    """Take a little of the body and then no more."""
    handler.rfile.read(100)
    handler.server.owner.ended.wait(20)
    handler.hang_up()


stalls_request.before_body = True  # type: ignore[attr-defined]  # asked for by Handler


def takes_and_hangs_up(handler: Handler, received: Received) -> None:
    """Keep what came, and hang up instead of an answer."""
    handler.server.owner.keep(received)
    handler.hang_up()


def cuts_answer(handler: Handler, _: Received) -> None:
    """Hang up in the middle of the answer's body."""
    handler.wfile.write(b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"id": ')
    handler.hang_up()


def cuts_headers(handler: Handler, _: Received) -> None:
    """Hang up in the middle of the answer's headers."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nServer: far\r\nCont")
    handler.hang_up()


def is_huge(handler: Handler, _: Received) -> None:
    """Answer with 30 MB, or what is taken of it."""
    with contextlib.suppress(OSError):
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 31457280\r\n\r\n")
        for _number in range(480):
            handler.wfile.write(b" " * 65536)
    handler.hang_up()


def keeps(handler: Handler, received: Received) -> None:
    """Keep what came under its Idempotency-Key: 201, and 200 for the same again; both with an id."""
    is_new = handler.server.owner.keep(received)
    key = received.headers.get("idempotency-key", "")
    body = json.dumps({"id": f"far-{key[:12]}", "status": "ok"}).encode()
    handler.reply(201 if is_new else 200, body)


class HttpServer:
    """Listens on a free port while it is entered; `next_` are the behaviours of the next requests, then `always`."""

    def __init__(self, always: Behaviour = keeps, tls: ssl.SSLContext | None = None) -> None:
        self.always = always
        self.next_: list[Behaviour] = []
        self.received: list[Received] = []
        self.kept: dict[str, Received] = {}  # by Idempotency-Key
        self.doubles = 0
        self.ended = threading.Event()
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), Handler)
        self._server.owner, self._server.tls = self, tls
        self.port = self._server.server_address[1]
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    def behaviour(self) -> Behaviour:
        with self._lock:
            return self.next_.pop(0) if self.next_ else self.always

    def keep(self, received: Received) -> bool:
        key = received.headers["idempotency-key"]
        with self._lock:
            if key in self.kept:
                assert self.kept[key].body == received.body or b"boundary" in received.headers["content-type"].encode()
                self.doubles += 1
                return False
            self.kept[key] = received
            return True

    def sent(self) -> list[Received]:
        """Answer the requests that carried something."""
        return [r for r in self.received if r.method in ("POST", "PUT")]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.ended.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    owner: HttpServer
    tls: ssl.SSLContext | None

    def get_request(self) -> tuple[Any, Any]:
        connection, address = super().get_request()
        if self.tls:  # the handshake is made in the request's own thread, at its first read
            connection = self.tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        return connection, address

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401  # of socketserver
        """Write nothing: a client that hangs up is what is tested."""


@dataclass
class TokenServer:
    """The behaviour of an OAuth2 server: /token gives tokens to the client, everything else wants one that is valid."""

    client: str = "deid"
    secret: str = "client s&cret"
    lifetime_s: int = 3600
    always: Behaviour = keeps
    given: list[str] = field(default_factory=list)
    valid: set[str] = field(default_factory=set)
    asked: list[Received] = field(default_factory=list)

    def __call__(self, handler: Handler, received: Received) -> None:
        if received.path == "/token":
            self._give(handler, received)
        elif received.headers.get("authorization", "").removeprefix("Bearer ") in self.valid:
            self.always(handler, received)
        else:
            handler.reply(401, b"the token of Zyxwvut has ended")

    def _give(self, handler: Handler, received: Received) -> None:
        self.asked.append(received)
        form = {name: values[0] for name, values in parse_qs(received.body.decode()).items()}
        basic = received.headers.get("authorization", "").removeprefix("Basic ")
        told = base64.b64decode(basic).decode() if basic else ""
        in_header = told == f"{self.client}:{self.secret.replace('&', '%26').replace(' ', '+')}"
        in_body = (form.get("client_id"), form.get("client_secret")) == (self.client, self.secret)
        if form.get("grant_type") != "client_credentials" or not (in_header or in_body):
            handler.reply(401, json.dumps({"error": "invalid_client"}).encode())
            return
        token = f"token-{len(self.given) + 1}"
        self.given.append(token)
        self.valid.add(token)
        body = {"access_token": token, "token_type": "Bearer", "expires_in": self.lifetime_s}
        handler.reply(200, json.dumps(body).encode())


class Authority:
    """A certificate authority in a folder."""

    def __init__(self, folder: Path, name: str = "authority") -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.file = folder / f"{name}.pem"
        usage = x509.KeyUsage(
            digital_signature=True, content_commitment=False, key_encipherment=False, data_encipherment=False,
            key_agreement=False, key_cert_sign=True, crl_sign=True, encipher_only=False, decipher_only=False,
        )  # fmt: skip
        builder = self._builder(self._name, self._key, ends=30 * DAY)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        certificate = builder.add_extension(usage, critical=True).sign(self._key, hashes.SHA256())
        self.file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def _builder(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, ends: dt.timedelta
    ) -> x509.CertificateBuilder:
        now = dt.datetime.now(dt.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - 20 * DAY)
            .not_valid_after(now + ends)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )

    def certificate(self, name: str, *, address: str | None = "127.0.0.1", expired: bool = False) -> tuple[Path, Path]:
        """Make a certificate and its key; for a host, or for a client where `address` is None."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = self._builder(subject, key, ends=-2 * DAY if expired else 10 * DAY)
        if address:
            other = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))])
            builder = builder.add_extension(other, critical=False)
        signed = builder.sign(self._key, hashes.SHA256())
        certificate_file, key_file = self._folder / f"{name}.pem", self._folder / f"{name}-key.pem"
        certificate_file.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
        key_file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return certificate_file, key_file

    def context(self, *, clients: bool = False, **certificate: Any) -> ssl.SSLContext:  # noqa: ANN401  # of certificate
        """Return a server's TLS with a certificate of this authority; `clients`: those want one of it, too."""
        certificate_file, key_file = self.certificate(f"server-{time.monotonic_ns()}", **certificate)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate_file, key_file)
        if clients:
            context.load_verify_locations(self.file)
            context.verify_mode = ssl.CERT_REQUIRED
        return context
