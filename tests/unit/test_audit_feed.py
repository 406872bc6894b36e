"""Records of the audit go on to Orthanc's own, each at least once, from where the last one ended."""

import json
import socketserver
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

import fake_orthanc
from orthanc_deid.audit_feed import CURSOR, Facility, Feed, facility
from orthanc_deid.service_socket import Service
from servers import wait_for

STUDY, NOTHING = 1, 4


def record(number: int, source: str | None = None) -> dict[str, Any]:
    return {"id": number, "what": "verified", "actor": "system", "source": source, "detail": {}, "hash": "00"}


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:  # http.server's name
        after = int(parse_qs(urlsplit(self.path).query)["after"][0])
        records = self.server.records  # type: ignore[attr-defined]  # given below
        found = [one for one in records if one["id"] > after][:2]
        right = self.headers["X-Deid-Secret"] == "secret"
        body = json.dumps({"items": found, "last": len(records)}).encode()
        self.wfile.write(b"HTTP/1.0 %d\r\nContent-Length: %d\r\n\r\n" % (200 if right else 401, len(body)) + body)


class Orthanc:
    """Takes what is emitted; fails at the record of that number, once."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str, int, str, str, Any]] = []
        self.fails_at = 0

    def emit(self, plugin: str, user: str, level: int, resource: str, action: str, data: bytes, /) -> None:
        told = json.loads(data)
        if told["id"] == self.fails_at:
            self.fails_at = 0
            raise RuntimeError("orthanc.OrthancException")
        self.told.append((plugin, user, level, resource, action, told))

    @property
    def numbers(self) -> list[int]:
        return [told["id"] for *_, told in self.told]


class Place:
    def __init__(self, folder: Path) -> None:
        self.folder, self.orthanc = folder, Orthanc()
        self.server = socketserver.ThreadingUnixStreamServer(str(folder / "socket"), Handler)
        self.server.records = [record(n, "an-id" if n == 2 else None) for n in range(1, 6)]  # type: ignore[attr-defined]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def feed(self) -> Feed:
        return Feed(Service(self.folder / "socket", "secret"), Facility(self.orthanc.emit, STUDY, NOTHING), self.folder)

    @property
    def cursor(self) -> str:
        return (self.folder / CURSOR).read_text().strip()


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path)
    yield made
    made.server.shutdown()
    made.server.server_close()


def test_each_record_is_passed_on_once_in_order_and_the_next_start_goes_on_there(place: Place) -> None:
    feed = place.feed()
    feed.start()
    wait_for(lambda: len(place.orthanc.told) == 5)
    wait_for(lambda: place.cursor == "5")
    feed.stop()
    place.server.records.append(record(6))  # type: ignore[attr-defined]
    assert place.feed().pass_on() == 1
    assert place.orthanc.numbers == [1, 2, 3, 4, 5, 6]


def test_orthanc_is_told_user_study_and_what(place: Place) -> None:
    place.feed().pass_on()
    first, second = place.orthanc.told
    assert first[:5] == ("orthanc-deid", "system", NOTHING, "", "deid-verified")
    assert second[2:4] == (STUDY, "an-id")
    assert second[5] == {name: value for name, value in record(2).items() if name != "source"}


def test_what_failed_is_passed_on_again(place: Place) -> None:
    place.orthanc.fails_at = 2
    with pytest.raises(RuntimeError):
        place.feed().pass_on()
    place.feed().pass_on()
    assert place.orthanc.numbers == [1, 2, 3], "what was taken before it is not told again"


def test_a_database_put_back_to_an_older_state_goes_on_at_its_end(place: Place) -> None:
    (place.folder / CURSOR).write_text("90\n")
    assert place.feed().pass_on() == 0
    assert place.cursor == "5"


def test_a_cursor_that_cannot_be_read_passes_nothing_on(place: Place) -> None:
    (place.folder / CURSOR).write_text("x\n")
    with pytest.raises(ValueError, match="int"):
        place.feed().pass_on()
    assert place.orthanc.told == []


def test_a_service_that_is_away_ends_nothing_and_the_end_comes_at_once(tmp_path: Path) -> None:
    feed = Feed(Service(tmp_path / "none", "secret"), Facility(Orthanc().emit, STUDY, NOTHING), tmp_path)
    feed.start()
    feed.stop()
    feed.stop()
    assert not (tmp_path / CURSOR).exists()


def test_an_orthanc_without_an_audit_has_no_feed() -> None:
    assert facility(fake_orthanc) is None
