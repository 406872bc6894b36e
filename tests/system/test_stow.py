"""STOW-RS into the product's own Orthanc: the door sees each instance, the pipeline takes the study."""

from collections.abc import Iterator

import pytest
import requests

from instances import instance
from servers import OrthancServer
from sites import DEID, Site
from studies import Person, ct_instance, ct_study

REFUSE = "  refuse: [{{name: screen-save, image_type: SCREEN SAVE}}]\n"
PLUGIN = "libOrthancDicomWeb.so"
STORED = "00081199"  # ReferencedSOPSequence


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Answer a site whose clinical Orthanc has the DICOMweb plugin too."""
    folder = tmp_path_factory.mktemp("stow")
    made = Site(
        folder, deid=DEID.replace("  reconcile_s: 2\n", "  reconcile_s: 2\n" + REFUSE), plugins=(PLUGIN,)
    ).start()
    yield made
    made.kill()


def stow(server: OrthancServer, files: list[bytes]) -> requests.Response:
    """Store files as PS3.18 10.5 has it."""
    boundary = "border"
    parts = b"".join(
        f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode() + file + b"\r\n" for file in files
    )
    headers = {
        "Content-Type": f'multipart/related; type="application/dicom"; boundary={boundary}',
        "Accept": "application/dicom+json",
    }
    return server.post("/dicom-web/studies", data=parts + f"--{boundary}--\r\n".encode(), headers=headers, timeout=60)


def test_a_study_by_stow_rs_goes_through_to_done(site: Site) -> None:
    before = set(site.clinical.studies())
    answer = stow(site.clinical, ct_study(Person(), 3))
    assert answer.status_code == 200
    assert len(answer.json()[STORED]["Value"]) == 3
    study = next(iter(set(site.clinical.studies()) - before))
    first = site.clinical.get(f"/studies/{study}/instances").json()[0]["ID"]
    assert site.clinical.get(f"/instances/{first}/metadata/Origin").text == "Plugins"
    done = site.await_status(study, "done")
    assert len(site.arrived(done["output"])) == 3


def test_an_instance_that_the_door_refuses_is_in_quarantine_and_the_others_are_stored(site: Site) -> None:
    refused = instance(ImageType=["SCREEN SAVE"])
    answer = stow(site.clinical, [ct_instance(Person(2)), refused])
    assert answer.status_code == 200  # as C-STORE says Success: the DICOMweb plugin does not ask what became of it
    assert len(list((site.clinical.home / "quarantine" / "incoming").glob("*.dcm"))) == 1
    ours = {Person(2).PatientID: 1, "TEST-1": 0}
    for patient, count in ours.items():
        query = {"Level": "Instance", "Query": {"PatientID": patient}}
        assert len(site.clinical.post("/tools/find", json=query).json()) == count
