"""Whatever a service does, nothing is guessed and nobody is named: the study waits, or a person looks."""

import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from http_servers import (
    Behaviour,
    HttpServer,
    answers,
    cuts_answer,
    cuts_headers,
    drips,
    drips_body,
    is_huge,
    silent,
)
from orthanc_deid.errors import ConfigurationError, DeidError, Retriable
from orthanc_deid.pseudonymization.base import Given, Missing
from orthanc_deid.pseudonymization.http.source import HttpSource
from planting import ID, NAME
from pseudonym_cases import MARKERS, one, source, token_file
from pseudonym_servers import TOKEN, Dasher, DeidApi, Gpas, Mainzelliste
from servers import free_port

LIES = f"<html>no answer for {NAME} {ID}</html>".encode()


def hangs_up(handler: Any, _: Any) -> None:  # noqa: ANN401  # Handler, Received
    """Hang up instead of an answer."""
    handler.hang_up()


def deid_api(far: HttpServer, _: Path) -> HttpSource:
    return source(far.url + DeidApi.path, preset="deid-api", auth={"kind": "header", "value_env": "FAR_TOKEN"})


def dasher(far: HttpServer, folder: Path) -> HttpSource:
    token_file(folder, far.url)
    return source(far.url, folder, preset="dasher", dasher={"study": "test-study", "token_file": "dasher.json"})


def gpas(far: HttpServer, _: Path) -> HttpSource:
    return source(far.url + Gpas.path, preset="gpas", gpas={"domain": "MIRACUM"})


def mainzelliste(far: HttpServer, _: Path) -> HttpSource:
    auth = {"kind": "header", "value_env": "FAR_KEY"}
    return source(far.url + Mainzelliste.path, preset="mainzelliste", auth=auth)


Make = Callable[[HttpServer, Path], HttpSource]
SERVICES: dict[str, tuple[Callable[[], Behaviour], Make]] = {
    "deid-api": (lambda: DeidApi({ID: "P0001"}), deid_api),
    "dasher": (Dasher, dasher),
    "gpas": (Gpas, gpas),
    "mainzelliste": (Mainzelliste, mainzelliste),
}
MAIN = ("deid-api", "dasher")
BEHAVIOURS: dict[str, tuple[Behaviour, type[DeidError], str]] = {
    "silent": (silent, Retriable, "in time"),
    "headers that drip": (drips, Retriable, "in time"),
    "a body that drips": (drips_body, Retriable, "in time"),
    "hangs up": (hangs_up, Retriable, "the connection failed"),
    "cuts the headers": (cuts_headers, Retriable, "the answer was cut off"),
    "cuts the body": (cuts_answer, Retriable, "the answer was cut off"),
    "huge": (is_huge, Retriable, "larger than 1 MB"),
    "no JSON": (answers(200, LIES), Retriable, "the answer is not JSON"),
    "no text": (answers(200, b"\xff\xfe\x00"), Retriable, "the answer is not JSON"),
    "empty": (answers(200, b""), Retriable, "the answer is not JSON"),
    "deep": (answers(200, b"[" * 100_000), Retriable, "the answer is not JSON"),
    "401": (answers(401, LIES), ConfigurationError, "refuse"),
    "403": (answers(403, LIES), ConfigurationError, "it refuses the log-in (403)"),
    "404": (answers(404, LIES), ConfigurationError, "(404)"),
    "408": (answers(408, LIES), Retriable, "away or overloaded (408)"),
    "429": (answers(429, LIES), Retriable, "away or overloaded (429)"),
    "500": (answers(500, LIES), Retriable, "away or overloaded (500)"),
    "502": (answers(502, LIES), Retriable, "away or overloaded (502)"),
    "503": (answers(503, LIES), Retriable, "away or overloaded (503)"),
    "507": (answers(507, LIES), Retriable, "storage is full"),
    "301": (answers(301, LIES, Location=f"https://elsewhere.example.org/{ID}"), ConfigurationError, "redirects (301)"),
    "308": (answers(308, LIES, Location="/"), ConfigurationError, "redirects (308)"),
}


@pytest.fixture(autouse=True)
def _secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAR_TOKEN", TOKEN)
    monkeypatch.setenv("FAR_KEY", "ml-key")


def names_nobody(*texts: object) -> bool:
    """Tell whether no text holds a marker or a secret."""
    shown = "\n".join(str(each) for each in texts).casefold()
    return not any(marker.casefold() in shown for marker in (*MARKERS, TOKEN, "ml-key", "access-1", "refresh-1"))


@pytest.mark.parametrize("behaviour", BEHAVIOURS)
@pytest.mark.parametrize("name", MAIN)
def test_a_fault_is_told_without_a_name_and_once_it_is_over_the_answer_comes(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str, behaviour: str
) -> None:
    caplog.set_level(logging.DEBUG)
    well, make = SERVICES[name]
    fault, kind, words = BEHAVIOURS[behaviour]
    with HttpServer(fault) as far:
        made = make(far, tmp_path)
        began = time.monotonic()
        with pytest.raises(kind) as raised:
            one(made)
        assert time.monotonic() - began < 4
        assert words in str(raised.value)
        assert str(raised.value).startswith("pseudonym service: ")
        assert raised.value.__suppress_context__
        far.always = well()
        found = one(made)
        assert isinstance(found, Given)
        requests = [(r.method, r.path, r.headers) for r in far.received]
    assert names_nobody(raised.value, repr(raised.value), made, repr(vars(made)), repr(found), caplog.text)
    assert not any(marker in str(request) for request in requests for marker in MARKERS)


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_that_is_down_is_waited_for(tmp_path: Path, name: str) -> None:
    well, make = SERVICES[name]
    with HttpServer(well()) as far:
        made = make(far, tmp_path)
    with pytest.raises(Retriable, match="it refuses the connection"):
        one(made)


@pytest.mark.parametrize("name", SERVICES)
def test_what_fails_once_is_tried_again_at_once(tmp_path: Path, name: str) -> None:
    well, make = SERVICES[name]
    with HttpServer(well()) as far:
        for fault in (hangs_up, answers(500), answers(503, None, Retry_After="0"), answers(200, LIES)):
            far.next_ = [fault]
            assert isinstance(one(make(far, tmp_path)), Given)


@pytest.mark.parametrize("name", MAIN)
def test_retry_after_is_handed_on_and_not_waited_for(tmp_path: Path, name: str) -> None:
    _, make = SERVICES[name]
    with HttpServer(answers(429, None, Retry_After="90")) as far:
        began = time.monotonic()
        with pytest.raises(Retriable) as raised:
            one(make(far, tmp_path))
        assert raised.value.after_s == 90
        assert time.monotonic() - began < 1
        assert len(far.received) == 1


def test_all_tries_together_end_in_time(tmp_path: Path) -> None:
    with HttpServer(silent) as far:
        made = source(far.url, tmp_path, body="{PatientID}", pseudonym="/p", tries=10, timeout_s=0.4, total_s=1.0)
        began = time.monotonic()
        with pytest.raises(Retriable):
            one(made)
        assert time.monotonic() - began < 2


def test_a_token_end_point_that_is_away_is_waited_for(tmp_path: Path) -> None:
    with HttpServer(answers(401)) as far:
        token_file(tmp_path, f"http://127.0.0.1:{free_port()}")
        before = (tmp_path / "dasher.json").read_text()
        made = source(far.url, tmp_path, preset="dasher", dasher={"study": "s", "token_file": "dasher.json"})
        with pytest.raises(Retriable, match="it refuses the connection"):
            one(made)
        assert (tmp_path / "dasher.json").read_text() == before


@pytest.mark.parametrize("name", SERVICES)
def test_no_identity_reaches_a_request_line_a_header_a_log_or_a_repr(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    caplog.set_level(logging.DEBUG)
    well, make = SERVICES[name]
    with HttpServer(well()) as far:
        made = make(far, tmp_path)
        found = one(made)
        assert isinstance(found, Given)
        assert any(marker.encode() in r.body for r in far.received for marker in MARKERS)  # it was asked for her
        assert not any(marker in f"{r.path} {r.headers}" for r in far.received for marker in MARKERS)
    assert names_nobody(caplog.text, repr(made), repr(vars(made)), repr(found))


@pytest.mark.parametrize("code", [400, 409, 422])
@pytest.mark.parametrize("name", SERVICES)
def test_a_refusal_names_nobody(tmp_path: Path, name: str, code: int) -> None:
    _, make = SERVICES[name]
    with HttpServer(answers(code, LIES)) as far:
        found = one(make(far, tmp_path))
    assert isinstance(found, Missing)
    assert str(code) in found.reason
    assert names_nobody(found.reason)
