import base64
import json
import socketserver
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from fake_orthanc import RestOutput, RestOutputOf5
from orthanc_deid import proxy
from orthanc_deid.proxy import Proxy
from orthanc_deid.service_socket import Service

STUDY = "/deid/studies/0123"


class Handler(BaseHTTPRequestHandler):
    """Answers what the test has asked for and keeps what came."""

    protocol_version = "HTTP/1.1"
    server: "Stub"

    def answer(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        sent = (self.command, self.path, dict(self.headers.items()), self.rfile.read(length))
        self.server.requests.append(sent)
        self.server.waiting.wait(10)
        status, headers, body = self.server.answer
        self.send_response_only(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_PUT = do_DELETE = answer  # noqa: N815  # http.server's names

    def log_message(self, *_: object) -> None:
        """Be quiet."""


class Stub(socketserver.ThreadingUnixStreamServer):
    """A service on a Unix socket."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, path: Path) -> None:
        super().__init__(str(path), Handler)
        self.requests: list[tuple[str, str, dict[str, str], bytes]] = []
        self.answer: tuple[int, dict[str, str], bytes] = (200, {"Content-Type": "application/json"}, b"{}")
        self.waiting = threading.Event()
        self.waiting.set()
        self.service = Service(path, "the-secret")

    def handle_error(self, *_: object) -> None:
        """Be quiet where the proxy has hung up."""


@pytest.fixture
def stub(tmp_path: Path) -> Iterator[Stub]:
    with Stub(tmp_path / "s") as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield server
        server.waiting.set()
        server.shutdown()


def ask(to: Proxy, uri: str = STUDY, output: RestOutput | None = None, **request: object) -> RestOutput:
    answer = output or RestOutput()
    to(answer, uri, **{"method": "GET", "get": {}, "headers": {}, "body": b"", **request})
    return answer


def made(service: Service, at_once: int = 25, *, decoded: bool = False) -> Proxy:
    return Proxy(service, at_once=at_once, get_is_decoded=decoded)


def detail(answer: RestOutput) -> str:
    assert answer.headers["Content-Type"] == "application/problem+json"
    found: dict[str, Any] = json.loads(answer.body)
    assert found["status"] == answer.status
    return str(found["detail"])


def test_an_answer_is_passed_back(stub: Stub) -> None:
    stub.answer = (200, {"Content-Type": "text/html; charset=utf-8", "ETag": '"a"', "Server": "x"}, b"<p>\xc3\xa4")
    answer = ask(made(stub.service))
    assert (answer.status, answer.body) == (200, b"<p>\xc3\xa4")
    assert answer.headers == {"Content-Type": "text/html; charset=utf-8", "Etag": '"a"'}


@pytest.mark.parametrize(("plugin", "mime"), [(RestOutput, "application/problem+json"), (RestOutputOf5, "text/plain")])
def test_a_refusal_is_passed_back_with_its_body_on_each_plugin(stub: Stub, plugin: type[RestOutput], mime: str) -> None:
    body = '{"detail": "größer"}'.encode()
    stub.answer = (409, {"Content-Type": "application/problem+json"}, body)
    to = made(stub.service)
    for _ in range(2):  # the second time the way is known
        output = ask(to, output=plugin())
        assert output.status == 409
        assert output.body in {body, body.decode()}
        assert output.headers["Content-Type"] == mime


@pytest.mark.parametrize(("status", "sent"), [(429, 503), (308, 307), (202, 202), (304, 304), (418, 502)])
def test_a_status_that_orthanc_has_no_word_for_becomes_the_nearest(stub: Stub, status: int, sent: int) -> None:
    stub.answer = (status, {}, b"")
    assert ask(made(stub.service)).status == sent


def test_a_wrong_method_is_told_the_right_ones(stub: Stub) -> None:
    stub.answer = (405, {"Allow": "GET"}, b"{}")
    answer = ask(made(stub.service), method="DELETE")
    assert (answer.status, answer.headers["Allow"]) == (405, "GET")


def test_a_body_is_passed_on(stub: Stub) -> None:
    ask(made(stub.service), method="POST", body=b"\0\xff", headers={"content-type": "a/b", "accept": "c/d"})
    [(method, path, headers, body)] = stub.requests
    assert (method, path, body) == ("POST", STUDY, b"\0\xff")
    assert (headers["content-type"], headers["accept"]) == ("a/b", "c/d")


def test_the_user_is_who_orthanc_has_let_in_whatever_headers_say(stub: Stub) -> None:
    basic = "Basic " + base64.b64encode(b"alice:se:cret").decode()
    lies = {"x-remote-user": "bob", "x-deid-user": "bob", "x-deid-secret": "guess", "cookie": "a=b"}
    ask(made(stub.service), headers={"authorization": basic, **lies})
    headers = {name.lower(): value for name, value in stub.requests[0][2].items()}
    assert headers.pop("host")
    assert headers == {"accept-encoding": "identity", "x-deid-secret": "the-secret", "x-deid-user": "alice"}


@pytest.mark.parametrize(
    ("authorization", "user"),
    [
        ("", ""),
        ("Bearer 1234", ""),
        ("Basic !", ""),
        ("Basic " + base64.b64encode(b"\xff:x").decode(), ""),
        ("basic " + base64.b64encode("zoë:x".encode()).decode(), "zoë"),
        ("Basic " + base64.b64encode(b"a\r\nX-Y: z:x").decode(), "aX-Y"),
    ],
)
def test_the_user_is_read_from_basic_authorization_only(authorization: str, user: str) -> None:
    assert proxy.user_of(authorization) == user


def test_nobody_has_a_name_where_orthanc_asks_for_none() -> None:
    basic = {"authorization": "Basic " + base64.b64encode(b"alice:guess").decode()}
    assert proxy.headers_of(basic, "s")["X-Deid-User"] == b"alice"
    assert proxy.headers_of(basic, "s", asks_names=False)["X-Deid-User"] == b""


@pytest.mark.parametrize(
    ("configuration", "asks"),
    [
        ({}, False),
        ({"RemoteAccessAllowed": True}, True),
        ({"RemoteAccessAllowed": True, "AuthenticationEnabled": False}, False),
        ({"AuthenticationEnabled": True}, True),
    ],
)
def test_orthanc_asks_for_names_as_its_configuration_says(configuration: dict[str, bool], asks: bool) -> None:  # noqa: FBT001  # a case
    assert proxy.asks_names(configuration) is asks


def test_a_reason_is_passed_on_in_any_alphabet() -> None:
    assert proxy.headers_of({"deid-reason": "Rückfrage 山"}, "s")["deid-reason"] == "Rückfrage 山".encode()


@pytest.mark.parametrize(
    ("uri", "get", "decoded", "target"),
    [
        ("/deid/a", {}, False, "/deid/a"),
        ("/deid/a b/ä?#", {}, False, "/deid/a%20b/%C3%A4%3F%23"),
        ("/deid/a", {"x": "%26y", "p%2fq": "1+2"}, False, "/deid/a?x=%26y&p%2fq=1+2"),
        ("/deid/a", {"x": "&y", "p/q": "1 2"}, True, "/deid/a?x=%26y&p%2Fq=1+2"),
        ("/deid/a", {"x": "a b\r\nä"}, False, "/deid/a?x=a%20b%0D%0A%C3%A4"),
        ("/deid/a", {"": ""}, False, "/deid/a"),
    ],
)
def test_the_target_is_rebuilt(uri: str, get: dict[str, str], decoded: bool, target: str) -> None:  # noqa: FBT001  # a case
    assert proxy.target_of(uri, get, decoded=decoded) == target


def test_the_service_may_be_away(tmp_path: Path) -> None:
    answer = ask(made(Service(tmp_path / "nothing", "x")))
    assert answer.status == 503
    assert answer.headers["Retry-After"] == "1"
    assert detail(answer) == "the service is starting; try again"


def test_a_socket_that_nobody_serves_any_more_is_a_service_that_is_away(tmp_path: Path) -> None:
    Stub(tmp_path / "s").server_close()
    assert ask(made(Service(tmp_path / "s", "x"))).status == 503


def test_no_more_requests_are_passed_on_than_allowed(stub: Stub) -> None:
    stub.waiting.clear()
    to = made(stub.service, at_once=3)
    answers: list[RestOutput] = []
    threads = [threading.Thread(target=lambda: answers.append(ask(to))) for _ in range(8)]
    for thread in threads:
        thread.start()
    end = time.monotonic() + 5
    while len(answers) < 5 and time.monotonic() < end:
        time.sleep(0.01)
    assert [(a.status, a.headers["Retry-After"]) for a in answers] == [(503, "1")] * 5
    stub.waiting.set()
    for thread in threads:
        thread.join(5)
    assert sorted(a.status for a in answers) == [200] * 3 + [503] * 5
    assert ask(to).status == 200


def test_an_answer_that_does_not_come_is_a_time_out(stub: Stub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proxy, "ANSWER_S", 0.2)
    stub.waiting.clear()
    answer = ask(made(stub.service))
    assert answer.status == 504
    assert "did not answer within" in detail(answer)


def test_an_answer_that_trickles_is_a_time_out_as_a_whole(stub: Stub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proxy, "ANSWER_S", 0.3)
    stub.answer = (200, {"Content-Length": "1000"}, b"x")
    assert ask(made(stub.service)).status == 504


@pytest.mark.parametrize("headers", [{}, {"Connection": "close"}])
def test_too_large_an_answer_is_refused(stub: Stub, monkeypatch: pytest.MonkeyPatch, headers: dict[str, str]) -> None:
    monkeypatch.setattr(proxy, "ANSWER_BYTES", 10)
    stub.answer = (200, headers, b"x" * 11)
    answer = ask(made(stub.service))
    assert answer.status == 502
    assert "larger than" in detail(answer)


def test_an_unexpected_error_is_a_502_without_its_text(stub: Stub) -> None:
    answer = ask(made(stub.service), method="GET\r\n")
    assert answer.status == 502
    assert detail(answer) == "the service did not answer properly"


def test_half_of_orthancs_threads_are_ours() -> None:
    assert proxy.at_once({}) == 25
    assert proxy.at_once({"HttpThreadsCount": 9}) == 4
    assert proxy.at_once({"HttpThreadsCount": 1}) == 1
