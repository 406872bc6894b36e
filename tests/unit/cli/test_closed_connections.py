"""Orthanc closes a quiet connection after a second: whoever asks in that moment gets no answer."""

import socket
import threading
from collections.abc import Iterator

import click
import pytest

from orthanc_deid.cli.server import Server

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Type: application/json\r\n\r\n{}"


class Hasty:
    """Answers each connection once, but closes the first ones without a word."""

    def __init__(self, closed: int, answer: bytes = ANSWER) -> None:
        self.closed, self.asked, self.answer = closed, list[bytes](), answer
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                self.asked.append(connection.recv(65536).split(b" ", 1)[0])
                if len(self.asked) > self.closed:
                    connection.sendall(self.answer)

    def stop(self) -> None:
        self._listener.close()


@pytest.fixture
def hasty() -> Iterator[Hasty]:
    made = Hasty(closed=1)
    yield made
    made.stop()


def test_a_question_is_asked_once_more_where_the_connection_was_closed(hasty: Hasty) -> None:
    assert Server(hasty.url, "admin", "secret").call("GET", "/deid/health") == {}
    assert hasty.asked == [b"GET", b"GET"]


def test_a_server_that_is_busy_is_told_as_it_says() -> None:
    body = b'{"detail": "the service starts"}'
    head = f"HTTP/1.1 503 Busy\r\nRetry-After: 2\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    far = Hasty(closed=0, answer=head + body)
    with pytest.raises(click.ClickException, match="the service starts"):
        Server(far.url, "admin", "secret").call("GET", "/deid/studies")
    assert far.asked == [b"GET"]
    far.stop()


def test_what_changes_something_is_asked_once(hasty: Hasty) -> None:
    with pytest.raises(click.ClickException, match="does not answer"):
        Server(hasty.url, "admin", "secret").call("POST", "/deid/studies/x/process")
    assert hasty.asked == [b"POST"]


def test_what_changes_something_is_asked_over_a_new_connection() -> None:
    far = Hasty(closed=0)
    server = Server(far.url, "admin", "secret")
    server.call("GET", "/deid/health")  # kept alive, then closed by the other side
    assert server.call("POST", "/deid/studies/x/process") == {}
    assert far.asked == [b"GET", b"POST"]
    far.stop()
