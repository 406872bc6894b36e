"""The Flywheel destination by the real SDK: what arrives, exactly once, and is proved."""

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from fake_flywheel import FakeFlywheel
from flywheel_studies import KEY_VARIABLE, Study, settings
from orthanc_deid.destinations.flywheel import FlywheelDestination
from orthanc_deid.errors import Retriable
from servers import OrthancServer
from shipments import client, make_shipment

pytest.importorskip("flywheel")


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OrthancServer]:
    with OrthancServer(tmp_path_factory.mktemp("orthanc")) as server:
        yield server


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeFlywheel]:
    with FakeFlywheel() as fake:
        monkeypatch.setenv(KEY_VARIABLE, fake.key)
        fake.add("projects", label="default", group="lab", parents={"group": "lab"})
        yield fake


@pytest.fixture
def study(orthanc: OrthancServer) -> Study:
    made = Study(orthanc)
    made.add(1)
    made.add(2, description="ax T2 FLAIR")
    return made


def destination(study: Study, **more: object) -> FlywheelDestination:
    return FlywheelDestination(settings(**more), client(study.orthanc))


def test_a_study_arrives_as_one_zip_for_each_series_and_is_confirmed(
    site: FakeFlywheel, study: Study, tmp_path: Path
) -> None:
    shipment = make_shipment(tmp_path, study.orthanc, study.id)
    target = destination(study)
    target.send(shipment)
    assert target.confirm(shipment) == 4
    assert site.labels("subjects") == ["sub-001"]
    assert site.labels("sessions") == [study.StudyInstanceUID]
    assert set(site.files()) == {
        "01-T1_MPRAGE_sag/01-T1_MPRAGE_sag.dicom.zip",
        "02-ax_T2_FLAIR/02-ax_T2_FLAIR.dicom.zip",
    }
    with zipfile.ZipFile(io.BytesIO(site.content("01-T1_MPRAGE_sag/01-T1_MPRAGE_sag.dicom.zip"))) as packed:
        assert packed.namelist() == [f"{study.StudyInstanceUID}.1.{n}.dcm" for n in (1, 2)]
        assert packed.read(packed.namelist()[0]) == study.orthanc.get(f"/instances/{study.instances[0]}/file").content


def test_a_second_send_makes_and_sends_nothing(site: FakeFlywheel, study: Study, tmp_path: Path) -> None:
    shipment = make_shipment(tmp_path, study.orthanc, study.id)
    destination(study).send(shipment)
    before = [call for call in site.calls if call.method != "GET"]
    destination(study).send(shipment)
    assert [call for call in site.calls if call.method != "GET"] == before


def test_what_has_not_arrived_is_not_confirmed(site: FakeFlywheel, study: Study, tmp_path: Path) -> None:
    shipment = make_shipment(tmp_path, study.orthanc, study.id)
    with pytest.raises(Retriable, match="0 of 2 files"):
        destination(study).confirm(shipment)
    assert site.created() == {}
