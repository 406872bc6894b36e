"""Labels that a project gives: they win on Flywheel where nobody has written a template; file names can hold them."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from fake_flywheel import FakeFlywheel
from flywheel_studies import KEY_VARIABLE, Study, settings
from orthanc_deid.destinations.files.contents import Contents
from orthanc_deid.destinations.flywheel import labels
from orthanc_deid.destinations.flywheel.destination import FlywheelDestination
from orthanc_deid.formats.labels import Labels
from orthanc_deid.settings.files import Folder
from servers import OrthancServer
from shipments import client, make_shipment, passing

GIVEN = Labels("C100", "1234d_B_brain_09h15m")
FACTS = {
    "MainDicomTags": {"StudyInstanceUID": "2.25.1", "StudyDate": "20200301", "StudyTime": "091500"},
    "PatientMainDicomTags": {"PatientID": "P1"},
}


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OrthancServer]:
    with passing(OrthancServer(tmp_path_factory.mktemp("orthanc"))) as server:
        yield server


@pytest.mark.parametrize(
    ("given", "more", "found"),
    [
        (Labels(), {}, ("P1", "2.25.1")),
        (GIVEN, {}, ("C100", "1234d_B_brain_09h15m")),
        (Labels(session="v1"), {}, ("P1", "v1")),
        (GIVEN, {"subject": "{PatientID}", "session": "{StudyDate}"}, ("P1", "20200301")),
        (GIVEN, {"subject": "s-{subject}", "session": "x-{session}"}, ("s-C100", "x-1234d_B_brain_09h15m")),
        (Labels(), {"subject": "{subject}", "session": "{session}"}, ("P1", "20200301T0915")),
    ],
)
def test_given_labels_win_where_nobody_has_written_a_template(
    given: Labels, more: dict[str, object], found: tuple[str, str]
) -> None:
    rules = settings(**more)
    study = labels.read(rules, FACTS, "default", given=given)
    made = tuple(labels.distinct(rules, template, study.values) for template in (study.subject, study.session))
    assert made == found


def test_a_given_session_needs_no_rules_of_the_destination() -> None:
    rules = settings(
        session="{session}", session_labels={"parts": [{"words": ["toe"], "abbreviation": "T", "part": "toe"}]}
    )
    tags = {"0008,1030": {"Name": "StudyDescription", "Type": "String", "Value": "brain"}}
    assert labels.read(rules, FACTS, "default", tags, GIVEN).values["session"] == GIVEN.session


def test_a_study_stands_on_flywheel_under_its_labels(
    orthanc: OrthancServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("flywheel")
    study = Study(orthanc)
    study.add(1)
    with FakeFlywheel() as site:
        monkeypatch.setenv(KEY_VARIABLE, site.key)
        site.add("projects", label="default", group="lab", parents={"group": "lab"})
        shipment = replace(make_shipment(tmp_path, orthanc, study.id), labels=lambda _: GIVEN)
        target = FlywheelDestination(settings(), client(orthanc))
        target.send(shipment)
        assert target.confirm(shipment) == 2
        assert site.labels("subjects") == ["C100"]
        assert site.labels("sessions") == ["1234d_B_brain_09h15m"]


def test_names_of_files_can_hold_the_labels(orthanc: OrthancServer, tmp_path: Path) -> None:
    study = Study(orthanc)
    study.add(1)
    shipment = make_shipment(tmp_path, orthanc, study.id)
    template = "{project}/{subject}/{session}/{SOPInstanceUID}.dcm"
    where = Folder.model_validate({"name": "f", "kind": "folder", "path": "/", "names": template}, strict=False)
    units = {item.unit for item in Contents(replace(shipment, labels=lambda _: GIVEN), where).items()}
    assert units == {"default/C100/1234d_B_brain_09h15m"}
    keys = [item.key for item in Contents(shipment, where).items()]
    assert all(key.startswith("default/sub-001/") for key in keys)
