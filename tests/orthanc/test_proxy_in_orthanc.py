import base64
import socket
import sys
import threading
import time
from pathlib import Path

import pytest
import requests

from conftest import NewOrthanc
from instances import instance
from servers import MAIN, OrthancServer, wait_for


def test_a_request_reaches_the_service_as_the_user_who_asks(with_plugin: OrthancServer) -> None:
    answer = with_plugin.get("/deid/a%20b?x=%3Dy&z=1+2", headers={"X-Deid-User": "bob", "X-Remote-User": "bob"}).json()
    assert answer == {"path": "/deid/a%20b?x=%3Dy&z=1+2", "query": "x=%3Dy&z=1+2", "user": "admin", "right": True}


@pytest.mark.parametrize("order", [("admin", "bob"), ("bob", "admin")])
def test_of_two_names_none_passes_that_orthanc_has_not_checked(
    with_plugin: OrthancServer, order: tuple[str, ...]
) -> None:
    words = {name: base64.b64encode(f"{name}:{with_plugin.password}".encode()).decode() for name in order}
    lines = ["GET /deid/x HTTP/1.1", "Host: x", "Connection: close"]
    lines += [f"Authorization: Basic {words[name]}" for name in order]
    with socket.create_connection(("127.0.0.1", with_plugin.http_port), timeout=10) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert b"bob" not in answer
    assert answer.startswith((b"HTTP/1.1 401", b"HTTP/1.1 200", b"HTTP/1.0 401"))


def test_a_request_without_a_password_does_not_reach_it(with_plugin: OrthancServer) -> None:
    assert requests.get(with_plugin.url + "/deid/x", timeout=5).status_code == 401


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
@pytest.mark.parametrize("status", [202, 400, 401, 403, 404, 409, 413, 415, 422, 500, 503])
def test_a_status_is_passed_back_with_its_body(with_plugin: OrthancServer, method: str, status: int) -> None:
    answer = with_plugin.request(method, f"/deid/{status}")
    assert answer.status_code == status
    assert answer.headers["Content-Type"] == with_plugin.type_of_error("application/json")
    assert answer.json()["right"] is True


@pytest.mark.parametrize(("status", "sent"), [(405, 405), (429, 503), (418, 502), (308, 307)])
def test_a_status_that_orthanc_cannot_send_does_not_break_the_connection(
    with_plugin: OrthancServer, status: int, sent: int
) -> None:
    assert with_plugin.get(f"/deid/{status}", allow_redirects=False).status_code == sent


def test_requests_beyond_half_of_the_threads_do_not_block_orthanc(with_plugin: OrthancServer) -> None:
    statuses: list[int] = []

    def slow() -> None:
        auth = ("admin", with_plugin.password)
        statuses.append(requests.get(with_plugin.url + "/deid/slow?s=3", auth=auth, timeout=20).status_code)

    threads = [threading.Thread(target=slow) for _ in range(51)]
    for thread in threads:
        thread.start()
    wait_for(lambda: len(statuses) >= 26, 3, "those beyond 25 are answered at once")
    began = time.monotonic()
    assert with_plugin.get("/system", timeout=2).ok
    assert with_plugin.upload(instance()).ok
    assert time.monotonic() - began < 1
    for thread in threads:
        thread.join(20)
    assert (statuses.count(200), statuses.count(503)) == (25, 26)


def test_a_stable_study_becomes_a_hint(with_plugin: OrthancServer) -> None:
    with_plugin.upload(instance())
    wait_for((with_plugin.home / "hints").exists, 10, "a hint comes")


def test_the_service_may_be_away(new_orthanc: NewOrthanc, tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\n[ "$2" = orthanc_deid.service ] && exec sleep 60\nexec "$REAL" "$@"\n')
    python.chmod(0o755)
    environment = {"ORTHANC_DEID_PYTHON": str(python), "REAL": sys.executable}
    with new_orthanc(script=MAIN, environment=environment) as server:
        answer = server.get("/deid/health")
        assert answer.status_code == 503
        assert answer.headers["Retry-After"] == "1"
        assert answer.json()["detail"] == "the service is starting; try again"
        assert server.upload(instance()).ok


def test_wrong_settings_stop_the_start_with_file_and_line(new_orthanc: NewOrthanc) -> None:
    server = new_orthanc(script=MAIN, deid="intake:\n  refuze: []\n")
    server.launch()
    assert server.process
    assert server.process.wait(20) != 0
    assert "deid.yaml:2: intake.refuze: unknown key" in server.log()


def test_orthanc_explorer_gets_the_buttons(with_plugin: OrthancServer) -> None:
    script = (MAIN.parent / "orthanc_deid" / "pages" / "explorer.js").read_text()
    assert script.strip() in with_plugin.get("/plugins/explorer.js").text
