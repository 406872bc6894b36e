"""A server that is away for a moment, while a command waits for something."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import click
import pytest

from orthanc_deid.cli import patient
from orthanc_deid.cli.patient import PatientServer
from servers import free_port


class Away(ThreadingHTTPServer):
    """Answers with these codes in turn, the last for ever."""

    codes: list[int]
    asked = 0


class _Handler(BaseHTTPRequestHandler):
    server: Away

    def do_GET(self) -> None:
        self.server.asked += 1
        code = self.server.codes.pop(0) if len(self.server.codes) > 1 else self.server.codes[0]
        self.send_response(code)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    do_POST = do_GET  # noqa: N815  # as the base class has it

    def log_message(self, *_: object) -> None:
        """Be quiet."""


@pytest.fixture
def away(monkeypatch: pytest.MonkeyPatch) -> Iterator[Away]:
    monkeypatch.setattr(patient, "AGAIN_S", 0.01)
    with Away(("127.0.0.1", 0), _Handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield server
        server.shutdown()


def test_what_only_asks_is_asked_again_once_there_was_an_answer(away: Away) -> None:
    server = PatientServer(f"http://127.0.0.1:{away.server_port}", "admin", "x")
    away.codes = [200, 503, 502, 200]
    assert [server.call("GET", "/a"), server.call("GET", "/a")] == [{}, {}]
    assert away.asked == 4


def test_what_changes_something_is_asked_for_once_only(away: Away) -> None:
    server = PatientServer(f"http://127.0.0.1:{away.server_port}", "admin", "x")
    away.codes = [200, 503]
    server.call("GET", "/a")
    with pytest.raises(click.ClickException, match="503"):
        server.call("POST", "/a")
    assert away.asked == 2


def test_a_server_that_never_answered_is_not_waited_for() -> None:
    server = PatientServer(f"http://127.0.0.1:{free_port()}", "admin", "x")
    with pytest.raises(click.ClickException, match="does not answer"):
        server.call("GET", "/a")


def test_a_conflict_is_told_and_anything_else_ends_the_command(away: Away) -> None:
    server = PatientServer(f"http://127.0.0.1:{away.server_port}", "admin", "x")
    away.codes = [202, 409, 404]
    assert server.refused("/a") == ""
    assert "409" in server.refused("/a")
    with pytest.raises(click.ClickException, match="404"):
        server.refused("/a")
