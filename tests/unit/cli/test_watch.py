"""The command on sources: what is shown, what is asked of the server, which exit code."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from click.testing import CliRunner, Result

from http_servers import Handler, HttpServer, Received
from orthanc_deid.cli.commands import main

INBOX = {
    "name": "inbox", "kind": "folder", "project": None, "paused": False, "opens_in_s": 0.0, "state": "away",
    "reason": "the folder is not mounted", "waiting": 3, "taken": 40, "refused": 2, "looked_at": None,
}  # fmt: skip
PACS = INBOX | {"name": "pacs", "kind": "pacs", "state": None, "reason": None, "waiting": 0, "taken": 0, "refused": 0}
ANSWERS: dict[str, Any] = {
    "GET /deid/sources": {"items": [INBOX, PACS]},
    "GET /deid/sources/inbox": INBOX,
    "POST /deid/sources/inbox/pause": INBOX | {"paused": True, "reason": None},
    "POST /deid/sources/inbox/resume": INBOX | {"state": "working", "reason": None},
    "POST /deid/sources/inbox/check": {"ok": False, "detail": "the folder is not mounted"},
}


@pytest.fixture
def url(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("ORTHANC_DEID_PASSWORD", "secret")

    def answer(handler: Handler, received: Received) -> None:
        found = ANSWERS.get(f"{received.method} {received.path}")
        handler.reply(200 if found else 404, json.dumps(found or {"detail": "no such source"}).encode())

    with HttpServer() as server:
        server.always = answer
        yield server.url


def run(url: str, *words: str) -> Result:
    return CliRunner().invoke(main, ["--url", url, *words], prog_name="orthanc-deid")


def test_each_source_is_a_line_with_what_waits_and_why(url: str) -> None:
    assert [line.split(None, 2)[2] for line in run(url, "watch").output.splitlines()] == [
        "away: 3 waiting, 40 taken, 2 refused (the folder is not mounted)",
        "asked by batches: 0 waiting, 0 taken, 0 refused",
    ]
    assert json.loads(run(url, "--json", "watch").output) == [INBOX, PACS]
    assert json.loads(run(url, "--json", "watch", "inbox").output) == INBOX


def test_a_source_is_paused_and_let_go_on(url: str) -> None:
    assert "paused: 3 waiting" in run(url, "watch", "inbox", "--pause").output
    assert "working: 3 waiting" in run(url, "watch", "inbox", "--resume").output


def test_a_check_that_fails_says_why_and_exits_with_1(url: str) -> None:
    result = run(url, "watch", "inbox", "--check")
    assert (result.exit_code, result.output) == (1, "BAD  inbox  the folder is not mounted\n")


def test_a_source_that_is_not_there_and_a_missing_name_are_told(url: str) -> None:
    assert run(url, "watch", "nobody").exit_code == 1
    assert run(url, "watch", "--pause").exit_code == 2
