import json
import time
from pathlib import Path

import pydicom
import pytest

from orthanc_deid.door_rules import main


def environment(folder: Path, text: str) -> dict[str, str]:
    config = folder / "deid.yaml"
    config.write_text(text)
    return {"ORTHANC_DEID_HOME": str(folder), "ORTHANC_DEID_CONFIG": str(config)}


def test_the_rules_are_what_the_settings_say(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = "limits: {instance_bytes: 5000}\nintake: {refuse: [{name: a, image_type: SCREEN SAVE}]}\n"
    assert main(environment(tmp_path, text)) == 0
    rules = json.loads(capsys.readouterr().out)
    assert rules["quarantine"] == str(tmp_path / "quarantine")
    assert rules["instance_bytes"] == 5000
    assert rules["refuse"] == [{"name": "a", "sop_class": None, "image_type": "SCREEN SAVE"}]
    assert rules["automatic"] is True
    assert rules["arrival"] is None


def test_pydicom_is_found_where_this_python_has_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(environment(tmp_path, "{}")) == 0
    found = Path(json.loads(capsys.readouterr().out)["site_packages"])
    assert found == Path(pydicom.__file__).parents[1]


def test_a_wrong_setting_is_named_by_file_and_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(environment(tmp_path, "intake:\n  refuze: []\n")) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "deid.yaml:2: intake.refuze: unknown key" in shown.err


def test_a_fault_of_a_profile_stops_the_start_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "profiles").mkdir()
    (tmp_path / "profiles" / "ours.yaml").write_text('name: ours\nversion: "1"\ntitel: T\n')
    assert main(environment(tmp_path, "projects: [{name: a, profile: ours}]\n")) == 2
    assert "ours.yaml:3: titel: unknown key (did you mean title?)" in capsys.readouterr().err
    assert main(environment(tmp_path, "projects: [{name: a, profile: theirs}]\n")) == 2
    assert "no profile is called theirs" in capsys.readouterr().err


def test_for_deidentification_on_arrival_the_projects_are_told_but_not_the_key(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "key").write_text("c0ffee" * 8)
    projects = "[{name: mr, match: {modality: [MR]}, profile: basic}, {name: rest}]"
    assert main(environment(tmp_path, f"intake: {{on_arrival: true}}\nprojects: {projects}\n")) == 0
    shown = capsys.readouterr()
    assert "c0ffee" not in shown.out + shown.err
    arrival = json.loads(shown.out)["arrival"]
    assert arrival["home"] == str(tmp_path)
    assert [(p["name"], p["modality"], p["profile"]["name"]) for p in arrival["projects"]] == [
        ("mr", ["MR"], "basic"),
        ("rest", [], "research"),
    ]


def test_a_start_notes_since_when_nothing_identified_is_stored(tmp_path: Path) -> None:
    mark = tmp_path / "arrival-since"
    on, off = environment(tmp_path, "intake: {on_arrival: true}\n"), tmp_path / "deid.yaml"
    assert main(on) == 0
    assert not mark.exists(), "only a start of Orthanc notes it"
    assert main(on, starting=True) == 0
    noted = float(mark.read_text())
    assert 0 <= time.time() - noted < 60
    mark.write_text(str(noted - 1000))
    assert main(on, starting=True) == 0
    assert float(mark.read_text()) == noted - 1000, "a start in the same mode leaves no gap"
    off.write_text("{}")
    assert main(on, starting=True) == 0
    assert not mark.exists()
