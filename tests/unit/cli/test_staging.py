"""`staging list`, `show`, `clean`, and what `run` refuses before it asks anybody; `reject` without a reason."""

import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from orthanc_deid.cli.commands import main
from orthanc_deid.staging import run_folder
from orthanc_deid.staging.options import Options

STUDY = "-".join(["0" * 8] * 5)
MARKER = "1.2.3.4444"


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Answer a folder of three runs: finished, open, and a day later one that has not begun."""
    asked = Options(list=str(tmp_path / "list.csv"), source="pacs", most=10, modalities=())
    for seconds, steps in ((1_700_000_000, run_folder.STEPS), (1_700_000_100, ("select",)), (1_700_090_000, ())):
        path = tmp_path / "runs" / f"run_at_{seconds}"
        path.mkdir(parents=True)
        folder = run_folder.RunFolder(path)
        folder.note_options(asked)
        for step in steps:
            folder.checkpoint(step, asked).write_text(MARKER)
        if steps:
            (path / "overview.txt").write_text(f"overview of {seconds}\n")
            (path / "no_encounter").mkdir()
            (path / "no_encounter" / MARKER).touch()
    return tmp_path / "runs"


def staging(runs: Path, verb: str, *words: str, before: tuple[str, ...] = ()) -> Result:
    # A password and an address at which nobody listens: none of these may ask a server.
    environment = {"ORTHANC_DEID_PASSWORD": "x", "ORTHANC_DEID_HTTP_PORT": "9"}
    return CliRunner().invoke(main, [*before, "staging", verb, "--runs", str(runs), *words], env=environment)


def test_runs_are_listed_newest_first_with_their_next_step(runs: Path) -> None:
    lines = staging(runs, "list").stdout.splitlines()
    assert [line.split()[0] for line in lines] == [f"run_at_{s}" for s in (1_700_090_000, 1_700_000_100, 1_700_000_000)]
    assert "open, next select, push of" in lines[0]
    assert "open, next pull" in lines[1]
    assert "finished" in lines[2]
    found = json.loads(staging(runs, "list", before=("--json",)).stdout)
    assert [each["next"] for each in found] == ["select", "pull", None]
    assert staging(runs / "none", "list").stdout.startswith("No run in ")


def test_a_run_is_shown_by_name_by_number_or_as_the_newest(runs: Path) -> None:
    for name in ("run_at_1700000000", "1700000000"):
        assert staging(runs, "show", name).stdout == "overview of 1700000000\n"
    assert staging(runs, "show").stdout == "run_at_1700090000: open, next step: select\n"
    assert staging(runs, "show", "7").exit_code == 1


@pytest.mark.parametrize("day", ["11/15/2023", "2023-11-15"])
def test_clean_leaves_overviews_newer_runs_and_those_that_are_not_finished(
    runs: Path, day: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(os.environ, "TZ", "UTC")
    done = staging(runs, "clean", day)
    assert "run_at_1700000100: not finished, left" in done.stderr
    assert [each.name for each in (runs / "run_at_1700000000").iterdir()] == ["overview.txt"]
    assert len(list((runs / "run_at_1700000100").iterdir())) > 1
    staging(runs, "clean", day, "--open")
    assert [each.name for each in (runs / "run_at_1700000100").iterdir()] == ["overview.txt"]
    assert (runs / "run_at_1700090000" / "run.json").exists()
    assert "run_at_1700000000" in staging(runs, "list").stdout
    assert staging(runs, "show", "1700000000").stdout == "overview of 1700000000\n"
    assert staging(runs, "clean", "15.11.2023").exit_code == 2


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        ([], 2, "name the list and the archive"),
        (["--from", "pacs"], 2, "name the list and the archive"),
        (["--last", "--practice"], 2, "give no others"),
        (["--last", "-m", "10"], 2, "give no others"),
        (["LIST", "--from", "pacs", "--push"], 2, "--push goes with --last"),
        (["LIST", "--from", "pacs", "-a", "m/r"], 2, "modalities are capitals and digits"),
        (["LIST", "--from", "pacs"], 1, "line 2, PatientBirthDate"),
    ],
)
def test_what_cannot_be_run_makes_no_folder(words: list[str], code: int, told: str, runs: Path, tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("PatientID,PatientBirthDate\nZyxwvut,17-04-63\n")
    before = sorted(runs.iterdir())
    done = staging(runs, "run", *(str(tmp_path / "list.csv") if word == "LIST" else word for word in words))
    assert (done.exit_code, told in done.stderr) == (code, True), done.stderr
    assert sorted(runs.iterdir()) == before
    assert "Zyxwvut" not in done.output
    assert "63" not in done.output


def test_a_study_is_not_rejected_without_a_reason() -> None:
    for words in (["reject", STUDY], ["reject", STUDY, "--reason", " "]):
        done = CliRunner().invoke(main, words, env={"ORTHANC_DEID_PASSWORD": "x"})
        assert done.exit_code == 2
        assert "--reason" in done.stderr
