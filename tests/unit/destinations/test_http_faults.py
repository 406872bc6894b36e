"""Everything that can go wrong on the way: nothing lost, nothing double, a reason in our own words."""

import datetime as dt
import email.utils
import logging
import resource
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from http_cases import JSON, MARKERS, RAW, HeldStudy, destination, settings
from http_servers import (
    Authority,
    Behaviour,
    HttpServer,
    answers,
    cuts_answer,
    cuts_headers,
    cuts_request,
    drips,
    drips_body,
    is_huge,
    keeps,
    silent,
    stalls_request,
    takes_and_hangs_up,
)
from orthanc_deid.destinations.http.template import FileBody, FormBody, Thing, json_body
from orthanc_deid.errors import ConfigurationError, DeidError, Rejected, Retriable
from orthanc_deid.web.session import Session
from servers import OrthancServer, free_port
from shipments import make_shipment, passing
from studies import ROOT


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HeldStudy]:
    with passing(OrthancServer(tmp_path_factory.mktemp("orthanc"))) as server:
        yield HeldStudy(server, tmp_path_factory.mktemp("pictures"))


@pytest.fixture
def far() -> Iterator[HttpServer]:
    with HttpServer() as server:
        yield server


def send(study: HeldStudy, folder: Path, url: str, request: dict[str, Any] | None = None, **more: Any) -> int:  # noqa: ANN401  # of Http
    """Send and read back; answer how many are there."""
    there = destination(url, request or RAW, **more)
    shipment = make_shipment(folder, study.server, study.id)
    there.send(shipment)
    return there.confirm(shipment)


LIES = b"no room for Zyxwvut007^Qponmlk007"


@pytest.mark.parametrize(
    ("behaviour", "kind", "words"),
    [
        (answers(400, LIES), Rejected, "it refuses what is sent with code 400"),
        (answers(404, LIES), Rejected, "it refuses what is sent with code 404"),
        (answers(409, LIES), Rejected, "it refuses what is sent with code 409"),
        (answers(413, LIES), Rejected, "it refuses what is sent with code 413"),
        (answers(422, LIES), Rejected, "it refuses what is sent with code 422"),
        (answers(205, LIES), Rejected, "it refuses what is sent with code 205"),
        (answers(501, LIES), Rejected, "it refuses what is sent with code 501"),
        (answers(401, LIES), ConfigurationError, "it refuses the log-in (401)"),
        (answers(403, LIES), ConfigurationError, "it refuses the log-in (403)"),
        (answers(429, LIES), Retriable, "it is away or overloaded (429)"),
        (answers(500, LIES), Retriable, "it is away or overloaded (500)"),
        (answers(503, LIES), Retriable, "it is away or overloaded (503)"),
        (answers(507, LIES), Retriable, "its storage is full (507)"),
        (takes_and_hangs_up, Retriable, "the connection failed (ConnectionError)"),
        (cuts_request, Retriable, "the connection failed (ConnectionError)"),
        (cuts_answer, Retriable, "the answer was cut off"),
        (cuts_headers, Retriable, "the answer was cut off"),
        (
            answers(301, LIES, Location="https://elsewhere.example.org/Zyxwvut"),
            ConfigurationError,
            "it redirects (301)",
        ),
        (answers(308, LIES, Location="/"), ConfigurationError, "it redirects (308)"),
    ],
)
def test_a_fault_is_told_by_its_code_and_mended_by_the_next_try(
    study: HeldStudy, far: HttpServer, tmp_path: Path, behaviour: Behaviour, kind: type[DeidError], words: str
) -> None:
    far.next_ = [keeps, behaviour]
    with pytest.raises(kind) as fault:
        send(study, tmp_path, far.url)
    assert str(fault.value).startswith(words)
    assert not any(marker in str(fault.value) for marker in MARKERS)
    assert fault.value.__cause__ is None
    assert fault.value.__suppress_context__ or fault.value.__context__ is None
    assert send(study, tmp_path, far.url) == 3
    assert len(far.kept) == 3
    assert far.doubles == (1 if behaviour is takes_and_hangs_up else 0)


@pytest.mark.parametrize(("text", "least", "most"), [("120", 120, 120), ("date", 50, 61), ("soon", 0, 0), ("-5", 0, 0)])
def test_retry_after_is_obeyed(
    study: HeldStudy, far: HttpServer, tmp_path: Path, text: str, least: float, most: float
) -> None:
    if text == "date":
        text = email.utils.format_datetime(dt.datetime.now(dt.UTC) + dt.timedelta(seconds=60), usegmt=True)
    far.next_ = [answers(503, None, Retry_After=text)]
    with pytest.raises(Retriable) as fault:
        send(study, tmp_path, far.url)
    assert least <= fault.value.after_s <= most


@pytest.mark.parametrize("behaviour", [silent, drips, drips_body])
def test_a_server_that_never_ends_its_answer_is_left(
    study: HeldStudy, far: HttpServer, tmp_path: Path, behaviour: Behaviour
) -> None:
    far.next_ = [behaviour]
    began = time.monotonic()
    with pytest.raises(Retriable, match="in time"):
        send(study, tmp_path, far.url, timeout_s=0.6)
    assert time.monotonic() - began < 4
    assert send(study, tmp_path, far.url) == 3


def test_a_server_that_stops_reading_is_left(far: HttpServer, tmp_path: Path) -> None:
    body = tmp_path / "body"
    with body.open("wb") as file:
        file.truncate(200_000_000)
    far.always = stalls_request
    session = Session(settings(far.url, timeout_s=60.0))
    with pytest.raises(Retriable, match="in time"):
        session.request("POST", far.url, {}, FileBody(body, "application/zip"), seconds=0.8)
    session.close()


def test_a_server_that_is_down_is_told(study: HeldStudy, tmp_path: Path) -> None:
    with pytest.raises(Retriable, match=r"^it refuses the connection$"):
        send(study, tmp_path, f"http://127.0.0.1:{free_port()}")
    with pytest.raises(Retriable, match=r"^its name is not known to this machine$"):
        send(study, tmp_path, "http://nowhere.invalid")


@pytest.mark.parametrize(
    ("behaviour", "words"),
    [
        (is_huge, "larger than 1 MB"),
        (answers(200, b"<html>Zyxwvut</html>"), "not JSON"),
        (answers(200, b"[" * 200_000), "not JSON"),
        (answers(200, b""), "not JSON"),
        (answers(200, {"other": 1}), "no id where send.remote points to"),
        (answers(200, {"id": "x" * 201}), "no id where send.remote points to"),
        (answers(200, {"id": "a\nb"}), "no id where send.remote points to"),
    ],
)
def test_an_answer_that_no_rule_can_read_needs_a_person(
    study: HeldStudy, far: HttpServer, tmp_path: Path, behaviour: Behaviour, words: str
) -> None:
    far.next_ = [behaviour]
    with pytest.raises(Rejected, match=words):
        send(study, tmp_path, far.url, {**RAW, "remote": "/id"})
    assert send(study, tmp_path, far.url, {**RAW, "remote": "/id"}) == 3


def test_a_huge_answer_that_nobody_reads_is_no_fault(study: HeldStudy, far: HttpServer, tmp_path: Path) -> None:
    far.next_ = [is_huge]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert send(study, tmp_path, far.url) == 3
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000  # KB


def test_an_id_of_the_far_side_cannot_lead_to_another_address(
    study: HeldStudy, far: HttpServer, tmp_path: Path
) -> None:
    confirm = {"path": "/jobs/{remote}"}
    far.next_ = [answers(200, {"id": "../admin?delete=1"})] * 3
    far.always = answers(200)
    send(study, tmp_path / "a", far.url, {**RAW, "remote": "/id"}, confirm=confirm)
    assert {r.path for r in far.received if r.method == "GET"} == {"/jobs/..%2Fadmin%3Fdelete%3D1"}
    far.next_ = [answers(200, {"id": ".."})] * 3
    with pytest.raises(Rejected, match="lead to another address"):
        send(study, tmp_path / "b", far.url, {**RAW, "remote": "/id"}, confirm=confirm)


def test_a_certificate_that_cannot_be_trusted_is_told_and_nothing_is_sent(study: HeldStudy, tmp_path: Path) -> None:
    ours, other = Authority(tmp_path), Authority(tmp_path, "other")
    for context, ca_file, words in (
        (ours.context(expired=True), ours.file, "its certificate has expired"),
        (ours.context(address="127.0.0.2"), ours.file, "its certificate is for another"),
        (ours.context(), other.file, "its certificate comes from an authority that is not trusted"),
        (ours.context(), None, "its certificate comes from an authority that is not trusted"),
    ):
        with HttpServer(tls=context) as far:
            with pytest.raises(ConfigurationError, match=words):
                send(study, tmp_path, far.url, ca_file=ca_file)
            assert far.received == []
    with HttpServer(tls=ours.context()) as far:
        assert send(study, tmp_path, far.url, ca_file=ours.file) == 3
        with pytest.raises(ConfigurationError, match="ca_file: there is no such file"):
            send(study, tmp_path / "b", far.url, ca_file=tmp_path / "none")


def test_a_proxy_is_used_where_one_is_named_and_never_that_of_the_environment(
    study: HeldStudy, far: HttpServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
    assert send(study, tmp_path / "a", far.url) == 3
    assert send(study, tmp_path / "b", "http://far.invalid/api", proxy=far.url) == 3
    assert far.received[-1].path == "http://far.invalid/api/instances"


def test_a_server_that_does_not_speak_tls_is_told(study: HeldStudy, far: HttpServer, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="does not speak TLS"):
        send(study, tmp_path, far.url.replace("http:", "https:"))


def test_a_server_that_wants_our_certificate_gets_it(study: HeldStudy, tmp_path: Path) -> None:
    ours, other = Authority(tmp_path), Authority(tmp_path, "other")
    mine, key = ours.certificate("client", address=None)
    foreign, foreign_key = other.certificate("foreign", address=None)
    with HttpServer(tls=ours.context(clients=True)) as far:
        # The alert is not always read before the connection ends.
        with pytest.raises(DeidError, match=r"certificate of ours|connection failed"):
            send(study, tmp_path, far.url, ca_file=ours.file)
        with pytest.raises(DeidError, match=r"authority of our certificate|not accept ours|connection failed"):
            send(study, tmp_path, far.url, ca_file=ours.file, certificate_file=foreign, key_file=foreign_key)
        with pytest.raises(ConfigurationError, match="key_file does not belong to certificate_file"):
            send(study, tmp_path, far.url, ca_file=ours.file, certificate_file=mine, key_file=foreign_key)
        assert send(study, tmp_path, far.url, ca_file=ours.file, certificate_file=mine, key_file=key) == 3


def test_neither_address_header_body_log_nor_receipt_holds_what_the_template_does_not_name(
    study: HeldStudy, far: HttpServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    key = tmp_path / "key"
    key.write_text("the-secret-key\n")
    there = destination(
        far.url,
        {**JSON, "headers": {"X-Study": "{StudyInstanceUID}"}, "query": {"series": "{SeriesInstanceUID}"}},
        auth={"kind": "header", "header": "X-Api-Key", "value_file": key},
    )
    shipment = make_shipment(tmp_path, study.server, study.id, results=study.results())
    there.send(shipment)
    there.confirm(shipment)
    assert len(far.received) == 3
    private = (*MARKERS, study.id, *study.instances, str(tmp_path), str(study.folder))
    for request in far.received:
        assert request.headers["x-api-key"] == "the-secret-key"
        assert request.headers["x-study"] == f"{ROOT}.7.1"
        text = f"{request.method} {request.path} {dict(request.headers)} {request.body!r}"
        assert [marker for marker in private if marker in text] == []
    logged = caplog.text + (tmp_path / "journal.json").read_text()
    assert [marker for marker in (*private, "the-secret-key", ROOT) if marker in logged] == []
    assert "the-secret-key" not in repr(settings(far.url)) + repr(there)


def test_a_value_cannot_break_out_of_its_place(study: HeldStudy, far: HttpServer, tmp_path: Path) -> None:
    there = destination(
        far.url,
        {
            **RAW,
            "path": "/s/{StudyDescription}/{PatientName}",
            "query": {"q": "{StudyDescription}&x"},
            "headers": {"X-Name": "{PatientName}"},
        },
    )
    there.send(make_shipment(tmp_path, study.server, study.id))
    for request in far.received:
        assert request.path == (
            "/s/Thorax%20of%20Zyxwvut007%20Qponmlk007/Zyxwvut007%5EQponmlk007"
            "?q=Thorax%20of%20Zyxwvut007%20Qponmlk007%26x"
        )
        assert request.headers["x-name"] == "Zyxwvut007^Qponmlk007"


def test_an_empty_value_makes_no_address(study: HeldStudy, far: HttpServer, tmp_path: Path) -> None:
    with pytest.raises(Rejected, match=r"\{ProtocolName\} is empty"):
        send(study, tmp_path, far.url, {**RAW, "path": "/s/{ProtocolName}"})
    assert far.received == []


@pytest.mark.parametrize("tls", [False, True])
def test_a_refusal_in_the_middle_of_a_large_body_is_heard(tmp_path: Path, *, tls: bool) -> None:
    large = tmp_path / "large"
    with large.open("wb") as file:
        file.truncate(50_000_000)

    def refuses(handler: Any, _: object) -> None:  # noqa: ANN401  # the server's handler
        handler.reply(413, LIES, {"Connection": "close"})
        handler.close_connection = True
        handler.connection.shutdown(socket.SHUT_WR)
        handler.server.owner.ended.wait(0.3)

    refuses.before_body = True  # type: ignore[attr-defined]  # asked for by Handler
    authority = Authority(tmp_path)
    with HttpServer(refuses, tls=authority.context() if tls else None) as far:
        session = Session(settings(far.url, ca_file=authority.file))
        assert session.request("POST", far.url, {}, FileBody(large, "application/zip")).status == 413
        session.close()


def test_large_bodies_go_out_in_pieces(far: HttpServer, tmp_path: Path) -> None:
    large = tmp_path / "large"
    with large.open("wb") as file:
        file.truncate(120_000_000)
    counted = {}

    def counts(handler: Any, _: object) -> None:  # noqa: ANN401  # the server's handler
        left = int(handler.headers["Content-Length"])
        counted[handler.headers["Content-Type"][:10]] = left
        while left:
            left -= len(handler.rfile.read(min(left, 65536)))
        handler.reply(200)

    counts.before_body = True  # type: ignore[attr-defined]  # asked for by Handler
    far.always = counts
    session = Session(settings(far.url))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    picture = Thing(large, {})
    for body in (
        FileBody(large, "application/dicom"),
        FormBody([("a", "b")], "file", [("1.dcm", large), ("2.dcm", large)], "application/dicom"),
        json_body({"{pictures}": {"image": "{picture_base64}"}}, {}, [picture], tmp_path / "json"),
    ):
        assert session.request("POST", far.url, {}, body).status == 200
        assert counted[body.content_type[:10]] == body.size
    session.close()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 40_000  # KB
