"""Commands on destinations: what is shown, what is asked of the server, which exit code."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from click.testing import CliRunner, Result

from http_servers import Handler, HttpServer, Received
from orthanc_deid.cli.commands import main

STUDIES = [f"{n:08x}" + 4 * f"-{n:08x}" for n in range(1, 4)]
RESEARCH = {
    "name": "research", "kind": "orthanc-peer", "required": True, "paused": False, "opens_in_s": 0.0,
    "deliveries": {"pending": 2, "confirmed": 7},
}  # fmt: skip
BACKUP = RESEARCH | {"name": "backup", "required": False, "opens_in_s": 3600.0, "deliveries": {}}


class Far:
    """A server with answers by method and path."""

    def __init__(self, server: HttpServer) -> None:
        self.server = server
        self.answers: dict[str, tuple[int, Any]] = {"GET /deid/destinations": (200, {"items": [RESEARCH, BACKUP]})}
        server.always = self._answer

    def _answer(self, handler: Handler, received: Received) -> None:
        status, body = self.answers.get(f"{received.method} {received.path.partition('?')[0]}", (404, {"detail": "no"}))
        handler.reply(status, json.dumps(body).encode())

    def posted(self) -> list[tuple[str, Any]]:
        return [(r.path, json.loads(r.body or b"null")) for r in self.server.sent()]


@pytest.fixture
def far(monkeypatch: pytest.MonkeyPatch) -> Iterator[Far]:
    monkeypatch.setenv("ORTHANC_DEID_PASSWORD", "secret")
    with HttpServer() as server:
        yield Far(server)


def run(far: Far, *words: str) -> Result:
    return CliRunner().invoke(main, ["--url", far.server.url, *words], prog_name="orthanc-deid")


def test_the_list_shows_what_waits_and_why(far: Far) -> None:
    far.answers["GET /deid/destinations"] = (200, {"items": [RESEARCH | {"paused": True}, BACKUP]})
    assert [line.split(None, 2)[2] for line in run(far, "destinations", "list").output.splitlines()] == [
        "paused: 7 confirmed, 2 pending",
        "opens in 3600 s, not required: nothing yet",
    ]
    assert json.loads(run(far, "--json", "destinations", "list").output)[1] == BACKUP
    far.answers["GET /deid/destinations"] = (200, {"items": []})
    assert run(far, "destinations", "list").output == "No destination is configured.\n"


def test_a_check_asks_all_and_fails_when_one_does_not_answer(far: Far) -> None:
    far.answers["POST /deid/destinations/research/check"] = (200, {"ok": True, "detail": "Orthanc 1.12"})
    far.answers["POST /deid/destinations/backup/check"] = (200, {"ok": False, "detail": "the folder is not there"})
    done = run(far, "destinations", "check")
    assert done.exit_code == 1
    assert done.output.splitlines() == ["ok   research  Orthanc 1.12", "BAD  backup  the folder is not there"]
    assert run(far, "destinations", "check", "research").exit_code == 0
    assert json.loads(run(far, "--json", "destinations", "check", "backup").output)["backup"]["ok"] is False


@pytest.mark.parametrize("verb", ["pause", "resume"])
def test_a_pause_is_asked_for_and_its_state_shown(far: Far, verb: str) -> None:
    far.answers[f"POST /deid/destinations/research/{verb}"] = (200, RESEARCH | {"paused": verb == "pause"})
    done = run(far, "destinations", verb, "research")
    assert done.exit_code == 0
    assert ("paused" if verb == "pause" else "open") in done.output
    assert far.posted() == [(f"/deid/destinations/research/{verb}", None)]


def test_what_is_sent_again_is_counted(far: Far) -> None:
    far.answers["POST /deid/destinations/research/resend"] = (202, {"started": 3, "refused": 1})
    assert run(far, "destinations", "resend", "research").output == (
        "3 studies are sent again, 1 are at work or gone\n"
    )
    assert run(far, "destinations", "resend", "nobody").exit_code == 1


def test_some_studies_are_exported_and_one_that_is_refused_is_told(far: Far) -> None:
    for study in STUDIES[:2]:
        far.answers[f"POST /deid/studies/{study}/export"] = (202, {"address": study, "status": "queued"})
    far.answers[f"POST /deid/studies/{STUDIES[2]}/export"] = (409, {"detail": "the study is at work already"})
    done = run(far, "export", "--destination", "backup", "--anew", *STUDIES)
    assert done.exit_code == 1
    assert done.stdout.splitlines() == [f"{study}: queued" for study in STUDIES[:2]]
    assert done.stderr == f"{STUDIES[2]}: the study is at work already (409)\n"
    assert [body for _, body in far.posted()] == [{"destination": "backup", "anew": True}] * 3


def test_all_that_is_done_is_exported(far: Far) -> None:
    items = [{"address": study, "source": study} for study in STUDIES]
    far.answers["GET /deid/studies"] = (200, {"items": items, "next": None})
    for study in STUDIES:
        far.answers[f"POST /deid/studies/{study}/export"] = (202, {"address": study, "status": "queued"})
    done = run(far, "export", "--destination", "backup", "--all", "--project", "trial")
    assert done.exit_code == 0, done.output
    asked = next(r.path for r in far.server.received if r.method == "GET")
    assert "status=done" in asked
    assert "project=trial" in asked
    assert len(far.posted()) == 3


@pytest.mark.parametrize("words", [(), ("--all", STUDIES[0])])
def test_either_some_or_all_are_named(far: Far, words: tuple[str, ...]) -> None:
    done = run(far, "export", "--destination", "backup", *words)
    assert (done.exit_code, far.posted()) == (2, [])
    assert "name studies, or give --all" in done.output
