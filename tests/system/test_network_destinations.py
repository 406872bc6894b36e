"""Studies on their way by DICOM, by DICOMweb and to a peer at once, and what of them may be seen on the wire."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dicom_servers import DicomPeer, Manners
from dicomweb_server import DicomwebServerStub
from servers import wait_for
from sites import DEID, Site
from studies import Person, ct_study

NETWORK = """
  - {{name: pacs, kind: dicom, ae: PEER, host: 127.0.0.1, port: %d, timeout_s: 5}}
  - {{name: web, kind: dicomweb, url: '%s', sent_by: worker, timeout_s: 5}}
intake:
"""


@pytest.fixture
def pacs() -> Iterator[DicomPeer]:
    """Answer a PACS that remembers every byte."""
    with DicomPeer() as made:
        yield made


@pytest.fixture
def web() -> Iterator[DicomwebServerStub]:
    """Answer a DICOMweb server that remembers every byte."""
    with DicomwebServerStub() as made:
        yield made


@pytest.fixture
def site(tmp_path: Path, pacs: DicomPeer, web: DicomwebServerStub) -> Iterator[Site]:
    """Answer the product with three destinations for every study."""
    deid = DEID.replace("[research]", "[research, pacs, web]").replace("intake:\n", NETWORK % (pacs.port, web.url))
    made = Site(tmp_path, deid=deid)
    yield made.start()
    made.kill()


def test_a_study_reaches_each_of_them_and_no_identity_is_on_the_wire(
    site: Site, pacs: DicomPeer, web: DicomwebServerStub
) -> None:
    person = Person()
    source = site.send(ct_study(person, 3))
    study = site.await_status(source, "done")
    arrived = set(site.arrived(study["output"]))
    assert len(arrived) == 3
    assert set(pacs.held) == set(web.held) == arrived
    assert len(pacs.came) == len(web.came) == 3

    site.send(ct_study(person, 5))  # two of them are late
    site.await_status(source, "done", version=2)
    assert len(set(pacs.held)) == len(set(web.held)) == 5
    assert len(pacs.came) == len(web.came) == 5

    wire = b"\n".join((*pacs.seen, *web.seen, *(request.encode() for request in web.requests)))
    assert [marker for marker in person.markers if marker.encode() in wire] == []
    logs = site.clinical.log() + "".join(f.read_text(errors="replace") for f in site.clinical.home.rglob("*.log"))
    ours = "\n".join(line for line in logs.splitlines() if line.startswith("{"))
    assert [marker for marker in (*person.markers, *arrived) if marker in ours] == []


def test_a_kill_in_the_middle_loses_nothing_and_finishes_what_was_begun(
    site: Site, pacs: DicomPeer, web: DicomwebServerStub
) -> None:
    pacs.manners = Manners(sleep_s=0.3)
    source = site.send(ct_study(Person(2), 8))
    wait_for(lambda: 2 <= len(pacs.came) < 8, 60, "some instances are there")
    site.clinical.kill()
    time.sleep(0.5)
    pacs.manners = Manners()
    before = set(pacs.held)
    site.clinical.start()
    site.await_service()
    study = site.await_status(source, "done", seconds=90)
    arrived = set(site.arrived(study["output"]))
    assert len(arrived) == 8
    assert set(pacs.held) == set(web.held) == arrived
    assert before <= arrived
    # Orthanc saves its jobs and begins the piece again that was under way; no other instance comes twice.
    assert len(pacs.came) <= len(arrived) + len(before) + 1
