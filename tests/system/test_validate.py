"""A project with labels: foreseen, then in the names of a folder; who is missing is shown, and then quarantined."""

import csv
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from servers import CHECKOUT
from sites import Site
from studies import ROOT, Person, ct_study

DEID = """
access: {{reidentify: [admin]}}
projects:
  - name: trial
    pseudonyms:
      kind: file
      path: LIST
      form: columns
      columns: {{pseudonym: id, patient_id: mrn, subject: subject}}
    session:
      required: true
      session_labels:
        parts: [{{words: [thorax], abbreviation: T, part: thorax}}]
    destinations: [shelf]
destinations:
  - {{name: shelf, kind: folder, path: SHELF, names: "{{project}}/{{subject}}/{{session}}/{{SOPInstanceUID}}.dcm"}}
intake:
  automatic: false
  reconcile_s: 1
limits:
  backoff_s: 1
"""
KNOWN, MISSING = Person(1), Person(2)
LABEL = "20879d_T_thorax_10h11m"


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    made = tmp_path / "shelf"
    made.mkdir()
    return made


@pytest.fixture
def site(tmp_path: Path, shelf: Path) -> Iterator[Site]:
    listed = tmp_path / "list.csv"
    listed.write_text(f"id,mrn,subject\nT-0001,{KNOWN.PatientID},C100\n", encoding="utf-8")
    deid = DEID.replace("LIST", str(listed)).replace("SHELF", str(shelf))
    made = Site(tmp_path / "site", deid=deid).start()
    yield made
    made.kill()


def command(site: Site, *words: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("ORTHANC_DEID_")}
    return subprocess.run(
        [sys.executable, "-m", "orthanc_deid", "--url", site.clinical.url, *words],
        env=clean | {"PYTHONPATH": str(CHECKOUT / "plugin"), "ORTHANC_DEID_HOME": str(site.clinical.home)},
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )


def test_what_is_foreseen_arrives_under_its_labels_and_who_is_missing_is_quarantined(
    site: Site, shelf: Path, tmp_path: Path
) -> None:
    known, missing = (site.send(ct_study(person, 2)) for person in (KNOWN, MISSING))
    before = command(site, "validate", "--new")
    assert before.returncode == 3, before.stderr
    lines = {line.split()[0]: line for line in before.stdout.splitlines()}
    assert lines[known].split()[1:] == ["trial", "C100", LABEL]
    assert "no subject: " in lines[missing]
    tables = command(site, "validate", "--new", "--csv", str(tmp_path / "tables"), "--reason", "review")
    assert tables.returncode == 3, tables.stderr
    (mapping,) = (tmp_path / "tables").glob("sub_mapping_*.csv")
    with mapping.open(newline="", encoding="utf-8") as file:
        assert [(row["mrn"], row["session_label"]) for row in csv.DictReader(file)] == [(KNOWN.PatientID, LABEL)]
    command(site, "run", known, missing)
    site.await_status(known, "done")
    site.await_status(missing, "quarantined")
    files = sorted(path.relative_to(shelf) for path in shelf.rglob("*.dcm"))
    assert {path.parent for path in files} == {Path(f"trial/C100/{LABEL}")}
    assert len(files) == 2
    after = command(site, "validate", known)
    assert (after.returncode, after.stdout.split()[1:]) == (0, ["trial", "C100", LABEL])
    shown = before.stdout + before.stderr + tables.stdout + tables.stderr + after.stdout + site.clinical.log()
    shown += " ".join(map(str, files))
    markers = [marker for person in (KNOWN, MISSING) for marker in person.markers if marker != ROOT]
    assert [marker for marker in markers if marker in shown] == []
