"""Commands on what was in Orthanc before: what is shown, what is asked of the server, which exit code."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from click.testing import CliRunner, Result

from http_servers import Handler, HttpServer, Received
from orthanc_deid.cli import retrospective
from orthanc_deid.cli.commands import main

STUDIES = [f"{n:08x}" + 4 * f"-{n:08x}" for n in range(1, 8)]
COUNTS = dict.fromkeys(("marked", "already", "at_work", "results", "absent"), 0)
NOT_TAKEN = STUDIES[-1]


class Far:
    """A server that holds STUDIES, three a page, and takes all of them but NOT_TAKEN."""

    def __init__(self, server: HttpServer) -> None:
        self.server = server
        self.at_work = 0
        server.always = self._answer

    def _answer(self, handler: Handler, received: Received) -> None:
        url = urlsplit(received.path)
        if url.path == "/deid/unprocessed":
            body, status = self._page(parse_qs(url.query)), 200
        elif url.path == "/deid/processed":
            body, status = COUNTS | {"marked": len(json.loads(received.body)["studies"]), "at_work": self.at_work}, 200
        else:
            study = url.path.split("/")[3]
            status = 409 if study == NOT_TAKEN else 202
            body = {"detail": "it is at work already"} if status == 409 else self.study(study)
        handler.reply(status, json.dumps(body).encode())

    def study(self, study: str) -> dict[str, Any]:
        return {"address": study, "source": study, "status": "queued", "reason": None}

    def _page(self, query: dict[str, list[str]]) -> dict[str, Any]:
        begin = int(query.get("cursor", ["0"])[0])
        end = begin + min(3, int(query["limit"][0]))
        more: dict[str, Any] = {"status": None, "project": "", "last_update": "2026-11-21T08:00:00+00:00"}
        items = [more | {"source": study} for study in STUDIES[max(0, begin - 1) : end]]  # one is told twice
        return {"items": items, "next": str(end) if end < len(STUDIES) else None}

    def posted(self) -> list[Any]:
        return [json.loads(r.body) for r in self.server.sent() if r.path == "/deid/processed"]


@pytest.fixture
def far(monkeypatch: pytest.MonkeyPatch) -> Iterator[Far]:
    monkeypatch.setenv("ORTHANC_DEID_PASSWORD", "secret")
    with HttpServer() as server:
        yield Far(server)


def run(far: Far, *words: str, lines: str | None = None) -> Result:
    return CliRunner().invoke(main, ["--url", far.server.url, *words], input=lines, prog_name="orthanc-deid")


def test_raw_is_an_id_a_line_page_after_page_and_none_twice(far: Far) -> None:
    assert run(far, "check", "--raw").stdout.splitlines() == STUDIES
    assert run(far, "check", "-r", "-l", "2").stdout.splitlines() == STUDIES[:2]


def test_for_people_a_line_says_what_is_known(far: Far) -> None:
    shown = run(far, "check", "--since", "2026-11-01", "--project", "ct")
    assert shown.stdout.splitlines()[0] == f"{STUDIES[0]}  new       2026-11-21 08:00:00Z  "
    assert shown.stderr == "7 studies are not processed yet.\n"
    asked = parse_qs(urlsplit(far.server.received[0].path).query)
    assert (asked["since"], asked["project"]) == (["2026-11-01T00:00:00"], ["ct"])


def test_what_is_listed_can_be_marked(far: Far) -> None:
    assert "and marked" in run(far, "check", "--mark-processed", "--limit", "4").stderr
    assert [study for body in far.posted() for study in body["studies"]] == STUDIES[:4]


def test_run_takes_ids_from_its_input_and_tells_what_was_refused(far: Far) -> None:
    shown = run(far, "run", "-", lines="\n".join(STUDIES) + "\n\n")
    assert shown.stdout.splitlines() == [f"{study}: queued" for study in STUDIES[:-1]]
    assert shown.stderr.splitlines() == [f"{NOT_TAKEN}: it is at work already (409)", "6 taken, 1 refused"]
    assert shown.exit_code == 1
    assert run(far, "run", *STUDIES[:2]).exit_code == 0


@pytest.mark.parametrize("command", ["run", "mark-processed"])
def test_what_is_no_orthanc_id_is_refused_and_not_repeated(far: Far, command: str) -> None:
    for shown in (run(far, command, STUDIES[0], "MRN-770001"), run(far, command, "-", lines="MRN-770001\n")):
        assert shown.exit_code == 2
        assert "not an Orthanc id" in shown.output
        assert "MRN" not in shown.output
        assert far.posted() == []


def test_ids_are_marked_some_at_a_time_and_counted(far: Far, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrospective, "PAGE", 3)
    shown = run(far, "--json", "mark-processed", STUDIES[0], "-", lines="\n".join(STUDIES[1:]))
    assert json.loads(shown.stdout) == COUNTS | {"marked": 7}
    assert [len(body["studies"]) for body in far.posted()] == [3, 3, 1]
    far.at_work = 1
    assert run(far, "mark-processed", STUDIES[0]).exit_code == 1


SQL = "CREATE TABLE processed_uuids (uuid CHAR(45));\nCOPY processed_uuids FROM stdin;\n" + "".join(
    f"{study} \n" for study in STUDIES
)


@pytest.mark.parametrize(
    ("text", "passed_over"),
    [
        (json.dumps(STUDIES), 0),
        (json.dumps(STUDIES, indent=2), 0),
        ("\n".join(STUDIES), 0),
        ("uuid\n" + "".join(f'"{study} ",2023-01-01\n' for study in STUDIES), 1),
        (SQL, 2),
    ],
)
def test_the_file_of_the_older_etl_is_read(far: Far, tmp_path: Path, text: str, passed_over: int) -> None:
    path = tmp_path / "uuids"
    path.write_text(text)
    shown = run(far, "import-uuids", str(path))
    assert shown.exit_code == 0
    assert [study for body in far.posted() for study in body["studies"]] == STUDIES
    assert (f"{passed_over} lines hold no Orthanc id" in shown.stderr) == bool(passed_over)
    assert "7  left alone from now on" in shown.stdout


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (json.dumps([STUDIES[0], "MRN-770001"]), "entry 2 of the array is not an Orthanc id"),
        (json.dumps([STUDIES[0], 7]), "entry 2 of the array is not an Orthanc id"),
        ("[1,", "begins like a JSON array and is none"),
        ("MRN-770001\n", "the file holds no Orthanc id"),
        ("", "the file holds no Orthanc id"),
    ],
)
def test_a_file_of_something_else_marks_nothing(far: Far, tmp_path: Path, text: str, why: str) -> None:
    path = tmp_path / "uuids"
    path.write_text(text)
    shown = run(far, "import-uuids", str(path))
    assert (shown.exit_code, far.posted()) == (1, [])
    assert why in shown.output
    assert "MRN" not in shown.output
