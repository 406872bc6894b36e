"""Commands that fetch files, against a server that is slow, changes its mind or goes away."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from http_servers import Behaviour, Handler, HttpServer, Received, answers, cuts_answer
from orthanc_deid.cli import results
from orthanc_deid.cli.commands import main

STUDY = "0123abcd" + 4 * "-0123abcd"
CONTENT = bytes(range(256)) * 40
PART = 1000


class Far:
    """A server that has one result."""

    def __init__(self, server: HttpServer) -> None:
        self.server = server
        self.content, self.tag, self.kind = CONTENT, '"a"', "application/zip"
        self.first: list[Behaviour] = []  # of the requests for the result
        server.always = self._answer

    def _answer(self, handler: Handler, received: Received) -> None:
        path, _, query = received.path.partition("?")
        if not path.startswith("/deid/"):
            handler.reply(200 if path.startswith("/studies/") else 404)
        elif self.first:
            self.first.pop(0)(handler, received)
        else:
            asked = dict(pair.split("=") for pair in query.split("&"))
            at = int(asked["offset"])
            part = self.content[at : at + int(asked["count"])]
            handler.reply(200, part, {"ETag": self.tag, "Content-Type": self.kind})

    def paths(self) -> list[str]:
        return [r.path for r in self.server.received if r.path.startswith("/deid/")]


@pytest.fixture
def far(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Far]:
    monkeypatch.setattr(results, "PART_BYTES", PART)
    monkeypatch.setenv("ORTHANC_DEID_PASSWORD", "secret")
    monkeypatch.chdir(tmp_path)
    with HttpServer() as server:
        yield Far(server)


def run(far: Far, *words: str) -> Result:
    return CliRunner().invoke(main, ["--url", far.server.url, *words], prog_name="orthanc-deid")


def test_parts_are_put_together_under_a_name_of_its_own(far: Far, tmp_path: Path) -> None:
    done = run(far, "nifti", STUDY)
    assert done.exit_code == 0, done.output
    assert done.output == f"{STUDY}-nifti.zip: {len(CONTENT)} bytes\n"
    assert (tmp_path / f"{STUDY}-nifti.zip").read_bytes() == CONTENT
    assert len(far.paths()) == len(CONTENT) // PART + 1
    assert [path.name for path in tmp_path.iterdir()] == [f"{STUDY}-nifti.zip"]


@pytest.mark.parametrize("size", [0, PART - 1, PART, 2 * PART])
def test_a_result_of_any_size_ends(far: Far, tmp_path: Path, size: int) -> None:
    far.content = CONTENT[:size]
    assert run(far, "bids", STUDY, "--out", "a.zip").exit_code == 0
    assert (tmp_path / "a.zip").read_bytes() == CONTENT[:size]


def test_it_waits_while_it_is_being_converted(far: Far) -> None:
    far.first = [answers(202, {"status": "converting"}, Retry_After="0.05")] * 3
    done = run(far, "--json", "dicomdir", STUDY)
    assert done.exit_code == 0
    assert json.loads(done.output) == {"file": f"{STUDY}-dicomdir.zip", "bytes": len(CONTENT)}
    assert len(far.paths()) == 3 + len(CONTENT) // PART + 1


def test_the_suffix_is_that_of_what_has_come(far: Far, tmp_path: Path) -> None:
    far.kind = "image/jpeg"
    assert run(far, "jpeg", STUDY).exit_code == 0
    assert [path.suffix for path in tmp_path.iterdir()] == [".jpg"]


def _changed(far: Far) -> Behaviour:
    def change(handler: Handler, _: Received) -> None:
        far.tag = '"b"'
        handler.reply(200, CONTENT[:PART], {"ETag": '"a"', "Content-Type": "application/zip"})

    return change


def test_a_result_that_changes_meanwhile_is_not_mixed(far: Far, tmp_path: Path) -> None:
    far.first = [_changed(far)]
    done = run(far, "nifti", STUDY)
    assert done.exit_code == 1
    assert "the result changed while it was fetched: try again" in done.output
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("behaviour", "told"),
    [
        (answers(422, {"detail": "fewer than 3 slices (1 series)"}), "fewer than 3 slices (1 series) (422)"),
        (answers(403, {"detail": "not ours"}), "not ours (403)"),
        (answers(401), "log-in refused"),
        (cuts_answer, "does not answer"),
    ],
)
def test_what_goes_wrong_is_said_and_what_was_there_before_stays(
    far: Far, tmp_path: Path, behaviour: Behaviour, told: str
) -> None:
    (tmp_path / "a.zip").write_bytes(b"of last week")
    far.first = [
        lambda h, _: h.reply(200, CONTENT[:PART], {"ETag": '"a"', "Content-Type": "application/zip"}),
        behaviour,
    ]
    done = run(far, "nifti", STUDY, "--out", "a.zip")
    assert done.exit_code == 1
    assert told in done.output
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("a.zip", b"of last week")]


def test_a_folder_that_is_not_there_is_said(far: Far) -> None:
    done = run(far, "nifti", STUDY, "--out", "nowhere/a.zip")
    assert done.exit_code == 1
    assert "the file cannot be written (No such file or directory)" in done.output


def test_a_study_and_a_series_are_told_apart(far: Far) -> None:
    assert run(far, "nifti", STUDY).exit_code == 0
    assert far.paths()[0].startswith(f"/deid/studies/{STUDY}/nifti?")
    assert run(far, "png", STUDY).exit_code == 0
    assert far.paths()[-1].startswith(f"/deid/series/{STUDY}/png?")


def test_two_that_fetch_the_same_do_not_write_into_each_other_s_file(far: Far, tmp_path: Path) -> None:
    def other(handler: Handler, _: Received) -> None:
        assert run(far, "nifti", STUDY).exit_code == 0
        handler.reply(200, CONTENT[:PART], {"ETag": '"a"', "Content-Type": "application/zip"})

    far.first = [other]
    assert run(far, "nifti", STUDY).exit_code == 0
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [CONTENT]
