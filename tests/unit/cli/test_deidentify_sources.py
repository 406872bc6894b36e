"""Folders whose patients are called as the project's source of pseudonyms says: real files, without a server."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import pydicom
import pytest
import yaml
from click.testing import CliRunner, Result
from pydicom.dataset import Dataset

from orthanc_deid.cli.commands import main
from planting import left
from studies import Person, ct_instance

ONE, TWO = Person(1), Person(2)


class Folders:
    """IN, OUT, mapping folder, home and configuration of one test."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root = root
        self.source, self.out, self.mapping = (root / name for name in ("in", "out", "map"))
        self.source.mkdir()
        monkeypatch.setenv("ORTHANC_DEID_HOME", str(root / "home"))
        monkeypatch.setenv("ORTHANC_DEID_PROCESSES", "1")
        for person in (ONE, TWO):
            self.put(person)

    def put(self, person: Person, pseudonym: str = "") -> None:
        data = ct_instance(person)
        if pseudonym:
            ds = pydicom.dcmread(io.BytesIO(data))
            _tag(ds, pseudonym)
            file = io.BytesIO()
            ds.save_as(file, enforce_file_format=True)
            data = file.getvalue()
        (self.source / f"{person.number}.dcm").write_bytes(data)

    def run(self, **pseudonyms: Any) -> Result:  # noqa: ANN401  # as in YAML
        config = self.root / "deid.yaml"
        config.write_text(yaml.safe_dump({"projects": [{"name": "trial", "pseudonyms": pseudonyms}]}))
        words = ["deidentify", str(self.source), str(self.out), "--config", str(config)]
        words += ["--mapping-dir", str(self.mapping)]
        return CliRunner().invoke(main, words)

    def outputs(self) -> list[Dataset]:
        return [pydicom.dcmread(path) for path in sorted(self.out.rglob("*.dcm"))]

    def refused(self) -> dict[str, str]:
        manifest = json.loads((self.mapping / "manifest.json").read_text())
        return {each["path"]: each["reason"] for each in manifest["quarantined"]}

    def patients(self) -> dict[str, str]:
        with (self.mapping / "patid_mapping.csv").open(newline="") as file:
            return {row["id_old"]: row["id_new"] for row in csv.DictReader(file)}


def _tag(ds: Dataset, pseudonym: str) -> None:
    block = ds.private_block(0x000B, "CHUV_DEV_TML", create=True)
    block.add_new(0x01, "LO", pseudonym)
    block.add_new(0x03, "LO", "-31")


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folders:
    return Folders(tmp_path, monkeypatch)


def test_a_file_names_patients_and_shifts_their_dates(folders: Folders) -> None:
    (folders.root / "new_ids.json").write_text(json.dumps({f"sub-{ONE.PatientID}": "P 0001"}) + "\n")
    (folders.root / "shift.json").write_text(json.dumps({ONE.PatientID: "10"}) + "\n")
    done = folders.run(kind="file", path="new_ids.json", day_shift="shift.json")
    assert done.exit_code == 3, done.output
    (made,) = folders.outputs()
    assert (made.PatientID, made.PatientName, made.StudyDate) == ("P 0001", "P 0001", "20200625")
    assert next(folders.out.iterdir()).name == "P%200001"
    assert folders.patients() == {ONE.PatientID: "P 0001"}
    assert folders.refused() == {"2.dcm": "the file of pseudonyms does not list the patient"}
    assert left(next(folders.out.rglob("*.dcm")).read_bytes(), ONE.markers) == set()


def test_a_corrected_file_makes_anew_what_it_changes_and_removes_what_it_takes_back(folders: Folders) -> None:
    names = folders.root / "names.csv"
    names.write_text(f"{ONE.PatientID},P1\n{TWO.PatientID},P2\n")
    assert folders.run(kind="file", path="names.csv").exit_code == 0
    first = {path: path.stat().st_mtime_ns for path in folders.out.rglob("*.dcm")}
    names.write_text(f"{ONE.PatientID},P1\n{TWO.PatientID},P3\n")
    assert folders.run(kind="file", path="names.csv").exit_code == 0
    assert sorted(path.name for path in folders.out.iterdir()) == ["P1", "P3"]
    names.write_text(f"{ONE.PatientID},P1\n")
    assert folders.run(kind="file", path="names.csv").exit_code == 3
    (kept,) = folders.out.rglob("*.dcm")
    assert first[kept] == kept.stat().st_mtime_ns


def test_a_faulty_file_stops_the_run_before_anything_is_written(folders: Folders) -> None:
    (folders.root / "names.csv").write_text(f"{ONE.PatientID},P1\n{TWO.PatientID},P1\n")
    done = folders.run(kind="file", path="names.csv")
    assert done.exit_code != 0
    assert str(done.exception) == (
        "the file of pseudonyms: line 2: the pseudonym of line 1 is given to another patient here"
    )
    assert folders.outputs() == []


def test_tags_of_karnak_name_patients(folders: Folders) -> None:
    folders.put(ONE, "K-0001")
    done = folders.run(kind="tag", preset="karnak")
    assert done.exit_code == 3, done.output
    (made,) = folders.outputs()
    assert (made.PatientID, made.StudyDate) == ("K-0001", "20200515")
    assert list(folders.refused()) == ["2.dcm"]


def test_two_patients_of_one_pseudonym_are_both_refused(folders: Folders) -> None:
    for person in (ONE, TWO):
        folders.put(person, "K-0001")
    assert folders.run(kind="tag", preset="karnak").exit_code == 3
    assert folders.outputs() == []
    assert all("another patient of this folder" in reason for reason in folders.refused().values())


def test_the_format_of_derived_pseudonyms_holds_for_folders_too(folders: Folders) -> None:
    assert folders.run(kind="derived", format="{project}-{code:8}").exit_code == 0
    assert {made.PatientID[:6] for made in folders.outputs()} == {"trial-"}


def test_numbers_that_the_server_counts_are_refused_with_the_mend(folders: Folders) -> None:
    done = folders.run(kind="sequence")
    assert done.exit_code != 0
    assert "pseudonyms of kind sequence are kept by the server" in str(done.exception)
    assert not folders.out.exists()
