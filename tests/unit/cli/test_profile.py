"""`orthanc-deid profile` as a person types it."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from orthanc_deid.cli.commands import main


@pytest.fixture(autouse=True)
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "profiles").mkdir()
    (tmp_path / "deid.yaml").write_text("")
    monkeypatch.setenv("ORTHANC_DEID_HOME", str(tmp_path))
    monkeypatch.setenv("ORTHANC_DEID_CONFIG", str(tmp_path / "deid.yaml"))
    return tmp_path


def run(*words: str) -> Result:
    return CliRunner().invoke(main, words, prog_name="orthanc-deid")


def written(site: Path, name: str, lines: str) -> str:
    path = site / "profiles" / f"{name}.yaml"
    path.write_text(f'name: {name}\nversion: "1"\ntitle: T\n{lines}')
    return str(path)


def test_help_shows_the_examples_a_line_each() -> None:
    lines = run("profile", "--help").output.splitlines()
    assert "  orthanc-deid profile show research StudyDate 0008,103E" in lines


def test_the_list_is_there_for_machines_and_a_faulty_profile_hides_no_other(site: Path) -> None:
    written(site, "broken", "opttions: []\n")
    shown = run("--json", "profile", "list")
    assert {"basic", "research"} < {each["name"] for each in json.loads(shown.stdout)}
    assert "broken.yaml:4: opttions: unknown key (did you mean options?)" in shown.stderr


@pytest.mark.parametrize("name", ["StudyDate", "studydate", "0008,0020", "(0008,0020)", "0008-0020", "00080020"])
def test_an_attribute_is_found_by_each_way_to_write_it(name: str) -> None:
    shown = run("--json", "profile", "show", "research", name)
    assert [line["keyword"] for line in json.loads(shown.stdout)] == ["StudyDate"]


def test_a_word_that_names_nothing_is_told_beside_what_was_found() -> None:
    shown = run("profile", "show", "research", "StudyDate", "StudyDat")
    assert (shown.exit_code, len(shown.stdout.splitlines())) == (0, 1)
    assert "StudyDat: no attribute" in shown.stderr
    assert run("profile", "show", "research", "StudyDat").exit_code == 1


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        (
            "options: [Clean Graphic]\n",
            "4: options.0: is none of the words that it can be (did you mean Clean Graphics?)",
        ),
        ("refused: instances\n", "4: refused: is none of the words that it can be (did you mean instance?)"),
        ("rules:\n  - {action: kepp, match: StudyID}\n", "5: rules.0.action: is none of the words that it can be (did"),
        ("rules:\n  - {action: keep, match: SOPClassUUID}\n", "did you mean SOPClassUID?"),
    ],
)
def test_check_names_the_line_and_the_nearest_word(site: Path, lines: str, told: str) -> None:
    assert told in str(run("profile", "check", written(site, "p", lines)).exception)


def test_diff_answers_by_its_exit_code_as_diff_does() -> None:
    same, other = run("profile", "diff", "basic", "basic"), run("profile", "diff", "basic", "research")
    assert (same.exit_code, same.stdout) == (0, "")
    assert other.exit_code == 1
    assert "StudyDate" in other.stdout


def test_a_profile_whose_uids_tell_the_shift_is_warned_of(tmp_path: Path) -> None:
    file = tmp_path / "trial.yaml"
    file.write_text(
        'name: trial\nversion: "1"\ntitle: T\noptions:\n  - Retain UIDs\n'
        "  - Retain Longitudinal Temporal Information Modified Dates\n"
    )
    result = CliRunner().invoke(main, ["profile", "check", str(file)])
    assert result.exit_code == 0
    assert "UIDs that stay hold real dates with many scanners" in result.output
