"""`orthanc-deid add-metadata` as a person types it."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from fake_flywheel import FakeFlywheel
from flywheel_studies import KEY_VARIABLE
from orthanc_deid.cli.commands import main

pytest.importorskip("flywheel")
DEID = f"""
destinations:
  - {{kind: flywheel, name: fw, group: lab, api_key_env: {KEY_VARIABLE}}}
  - {{kind: folder, name: files, path: /srv}}
"""
WHERE = ("--project", "default", "--subject", "sub-001", "--session", "visit")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeFlywheel]:
    (tmp_path / "deid.yaml").write_text(DEID)
    (tmp_path / "t1.json").write_text(json.dumps({"SeriesNumber": 3, "SeriesDescription": "T1", "EchoTime": 0.01}))
    monkeypatch.setenv("ORTHANC_DEID_HOME", str(tmp_path))
    monkeypatch.setenv("ORTHANC_DEID_CONFIG", str(tmp_path / "deid.yaml"))
    with FakeFlywheel() as fake:
        monkeypatch.setenv(KEY_VARIABLE, fake.key)
        above = {"group": "lab", "project": fake.add("projects", label="default", group="lab", parents={})}
        subject = fake.add("subjects", label="sub-001", project=above["project"], parents=above)
        place = {"parents": above | {"subject": subject}, "subject": {"_id": subject, "label": "sub-001"}}
        session = fake.add("sessions", label="visit", **place)
        acquisition = fake.add("acquisitions", label="3 - T1", parents=place["parents"] | {"session": session})
        fake.put_file(acquisition, "t1.nii.gz", b"voxels")
        yield fake


def run(*words: str) -> Result:
    return CliRunner().invoke(main, words, prog_name="orthanc-deid")


def test_a_sidecar_becomes_the_info_of_its_file_and_a_second_time_nothing_changes(
    site: FakeFlywheel, tmp_path: Path
) -> None:
    words = ("add-metadata", str(tmp_path / "t1.json"), "--destination", "fw", *WHERE)
    first, second = run(*words), run(*words)
    assert (first.exit_code, first.output) == (0, "written        t1.json  (3 - T1)\n1 written\n")
    assert (second.exit_code, second.output) == (0, "same           t1.json  (3 - T1)\n1 same\n")
    assert site.files()["3 - T1/t1.nii.gz"]["info"]["EchoTime"] == 0.01


def test_a_sidecar_without_a_file_is_told_and_the_exit_code_says_so(site: FakeFlywheel, tmp_path: Path) -> None:
    assert site.port
    (tmp_path / "9.json").write_text(json.dumps({"SeriesNumber": 9, "SeriesDescription": "other"}))
    told = run("--json", "add-metadata", str(tmp_path / "9.json"), "--destination", "fw", *WHERE)
    assert (told.exit_code, json.loads(told.output)[0]["outcome"]) == (3, "no acquisition")


def test_another_kind_of_destination_has_no_such_metadata(site: FakeFlywheel, tmp_path: Path) -> None:
    assert site.port
    told = run("add-metadata", str(tmp_path / "t1.json"), "--destination", "files", *WHERE)
    assert told.exit_code == 2
    assert "files is of the kind folder: only flywheel has such metadata" in told.output
