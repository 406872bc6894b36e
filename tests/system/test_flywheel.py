"""Studies through the whole product to a Flywheel site, and what of them is told to it."""

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pydicom
import pytest

from fake_flywheel import FakeFlywheel
from sites import Site
from studies import Person, ct_study

DEID = """
projects:
  - {name: default, destinations: [fw]}
destinations:
  - name: fw
    kind: flywheel
    group: lab
    api_key_file: '%s'
    timeout_s: 5
    attempts: 2
intake:
  reconcile_s: 1
limits:
  backoff_s: 1
"""


@pytest.fixture
def flywheel() -> Iterator[FakeFlywheel]:
    """Answer a Flywheel site with the project `default`."""
    with FakeFlywheel() as made:
        made.add("projects", label="default", group="lab", parents={"group": "lab"})
        yield made


@pytest.fixture
def site(tmp_path: Path, flywheel: FakeFlywheel) -> Iterator[Site]:
    """Answer the product with Flywheel as its only destination."""
    (tmp_path / "key").write_text(flywheel.key)
    made = Site(tmp_path, deid=(DEID % (tmp_path / "key")).replace("{", "{{").replace("}", "}}"))
    yield made.start()
    made.kill()


def test_a_study_arrives_pseudonymous_and_what_is_late_follows(site: Site, flywheel: FakeFlywheel) -> None:
    person = Person()
    flywheel.faults.lost_answers = 1  # the first thing that is made
    source = site.send(ct_study(person, 3))
    study = site.await_status(source, "done")
    assert study["destinations"] == {"fw": "confirmed"}
    (name,) = flywheel.files()
    with zipfile.ZipFile(io.BytesIO(flywheel.content(name))) as packed:
        datasets = [pydicom.dcmread(io.BytesIO(packed.read(each))) for each in packed.namelist()]
    assert len(datasets) == 3
    assert flywheel.labels("subjects") == [datasets[0].PatientID]
    assert flywheel.labels("sessions") == [datasets[0].StudyInstanceUID]

    site.send(ct_study(person, 5))  # two of them are late
    site.await_status(source, "done", version=2)
    assert [file["version"] for file in flywheel.files().values()] == [2]
    assert [len(flywheel.labels(level)) for level in ("subjects", "sessions", "acquisitions")] == [1, 1, 1]
    with zipfile.ZipFile(io.BytesIO(flywheel.content(name))) as packed:
        assert len(packed.namelist()) == 5
        told = flywheel.everything() + "".join(packed.namelist()) + site.clinical.log()
    key = flywheel.key.rpartition(":")[2]
    assert key not in site.clinical.log()
    assert not [marker for marker in person.markers if marker in told]
