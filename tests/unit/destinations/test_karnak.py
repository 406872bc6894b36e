"""Karnak and Kheops: the private block, and marked copies by C-STORE and by STOW-RS."""

import io
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydantic import TypeAdapter, ValidationError
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ImplicitVRLittleEndian, RLELossless

from certificates import Authority
from dicom_servers import DicomPeer, Manners, Storescp
from dicomweb_server import DicomwebServerStub, WebManners
from instances import instance
from orthanc_deid.destinations.base import Shipment
from orthanc_deid.destinations.dicom import karnak_tags
from orthanc_deid.destinations.dicom.karnak import KarnakDestination
from orthanc_deid.errors import ConfigurationError, Postponed, Rejected, Retriable
from orthanc_deid.settings.network import Karnak
from servers import OrthancServer, free_port
from shipments import NoPace, client, make_shipment
from studies import Person, ct_study

PERSON = Person()
BLOCK = (0x000B, "CHUV_DEV_TML")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OrthancServer]:
    """Answer an Orthanc with a study of twelve instances: more than one piece."""
    orthanc = OrthancServer(tmp_path_factory.mktemp("sender"), name="SENDER").start()
    for file in ct_study(PERSON, 12):
        orthanc.upload(file).raise_for_status()
    yield orthanc
    orthanc.kill()


@pytest.fixture
def shipment(server: OrthancServer, tmp_path: Path) -> Shipment:
    """Answer all twelve instances as a shipment."""
    return make_shipment(tmp_path, server, server.studies()[0])


def destination(server: OrthancServer, **more: Any) -> KarnakDestination:  # noqa: ANN401  # settings
    values = {"kind": "karnak", "name": "kheops", "album": "trial7"} | more
    return KarnakDestination(TypeAdapter(Karnak).validate_python(values), client(server))


def node(port: int, **more: Any) -> dict[str, Any]:  # noqa: ANN401  # settings
    return {"ae": "PEER", "host": "127.0.0.1", "port": port, "timeout_s": 3} | more


def marked(path: Path, *, source: bytes | None = None, pseudonym: str = "{PatientID}") -> pydicom.Dataset:
    original = path / "original.dcm"
    original.write_bytes(source or instance())
    karnak_tags.mark(original, path / "copy.dcm", pseudonym, "trial7", "0")
    return pydicom.dcmread(path / "copy.dcm")


def test_the_block_holds_pseudonym_album_and_day_shift(tmp_path: Path) -> None:
    block = marked(tmp_path, pseudonym="S-{PatientID}").private_block(*BLOCK)
    assert [block[n].value for n in (1, 2, 3)] == ["S-TEST-1", "trial7", "0"]
    assert {block[n].VR for n in (1, 2, 3)} == {"LO"}


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian])
def test_everything_else_stays_as_it_was(tmp_path: Path, syntax: str) -> None:
    source = instance(rows=800, syntax=syntax)
    copy = marked(tmp_path, source=source)
    for element in (0x0010, 0x1001, 0x1002, 0x1003):
        del copy[0x000B, element]
    assert copy == pydicom.dcmread(io.BytesIO(source))
    assert copy.file_meta.TransferSyntaxUID == syntax


def test_compressed_pixels_stay_compressed(tmp_path: Path) -> None:
    made = pydicom.dcmread(io.BytesIO(instance(rows=64)))
    made.compress(RLELossless, generate_instance_uid=False)
    stream = io.BytesIO()
    made.save_as(stream, enforce_file_format=True)
    copy = marked(tmp_path, source=stream.getvalue())
    assert copy.PixelData == made.PixelData
    assert copy.file_meta.TransferSyntaxUID == RLELossless


def test_a_second_marking_replaces_the_first_and_other_owners_stay(tmp_path: Path) -> None:
    made = pydicom.dcmread(io.BytesIO(instance()))
    made.private_block(0x000B, "ANOTHER", create=True).add_new(1, "LO", "theirs")
    made.private_block(*BLOCK, create=True).add_new(1, "LO", "old")
    stream = io.BytesIO()
    made.save_as(stream, enforce_file_format=True)
    copy = marked(tmp_path, source=stream.getvalue())
    assert copy.private_block(0x000B, "ANOTHER")[1].value == "theirs"
    assert copy.private_block(*BLOCK)[1].value == "TEST-1"


@pytest.mark.parametrize("value", ["", "x" * 64, "Grün"])
def test_a_pseudonym_that_does_not_fit_is_refused_without_naming_it(tmp_path: Path, value: str) -> None:
    source = instance(PatientName=value, StudyID="", SpecificCharacterSet="ISO_IR 192")
    with pytest.raises(Rejected, match="the pseudonym is") as caught:
        marked(tmp_path, source=source, pseudonym="{PatientName}{PatientName}")
    assert not value or value not in str(caught.value)


def test_a_study_goes_to_a_dicom_node_with_the_block_and_ours_stays(
    server: OrthancServer, shipment: Shipment, tmp_path: Path
) -> None:
    before = server.get(f"/instances/{shipment.all[0]}/file").content
    with Storescp(tmp_path / "scp", "PEER") as scp:
        there = destination(server, dicom=node(scp.port))
        assert there.check() == "answers C-ECHO"
        with pytest.raises(Retriable, match="0 of 12 instances"):
            there.confirm(shipment)
        there.send(shipment)
        there.send(shipment)
        assert there.confirm(shipment) == 12
        assert scp.log().count("Received Store Request") == 12
        blocks = [pydicom.dcmread(file).private_block(*BLOCK) for file in scp.files()]
    assert {tuple(block[n].value for n in (1, 2, 3)) for block in blocks} == {(PERSON.PatientID, "trial7", "0")}
    assert server.get(f"/instances/{shipment.all[0]}/file").content == before
    receipt = shipment.journal.get(shipment.all[0])
    assert receipt
    assert len(receipt.sha256) == 64


def test_the_album_that_a_list_names_wins(server: OrthancServer, shipment: Shipment, tmp_path: Path) -> None:
    with Storescp(tmp_path / "scp", "PEER") as scp:
        destination(server, dicom=node(scp.port)).send(replace(shipment, album="trial8"))
        blocks = [pydicom.dcmread(file).private_block(*BLOCK) for file in scp.files()]
    assert {block[2].value for block in blocks} == {"trial8"}


@pytest.mark.parametrize(
    ("status", "kind", "words"),
    [
        (0xA700, Retriable, r"refused 3 of 12 instances: 3 out of resources \(0xA700\)"),
        (0x0122, Rejected, r"3 SOP class not supported \(0x0122\)"),
        (0xC123, Rejected, r"3 it cannot understand the instance \(0xC123\)"),
    ],
)
def test_refused_instances_alone_are_sent_again(
    server: OrthancServer, shipment: Shipment, status: int, kind: type[Exception], words: str
) -> None:
    with DicomPeer(manners=Manners(every=4, status=status)) as peer:
        there = destination(server, dicom=node(peer.port))
        with pytest.raises(kind, match=words):
            there.send(shipment)
        arrived = set(peer.held)
        assert len(arrived) == 9
        with pytest.raises(Retriable, match="9 of 12 instances"):
            there.confirm(shipment)
        peer.manners = Manners()
        peer.came.clear()
        there.send(shipment)
        assert len(peer.came) == 3
        assert not arrived & set(peer.came)
        assert there.confirm(shipment) == 12


def test_an_abort_in_the_middle_is_finished_later(server: OrthancServer, shipment: Shipment) -> None:
    with DicomPeer(manners=Manners(abort_after=5)) as peer:
        there = destination(server, dicom=node(peer.port))
        with pytest.raises(Retriable, match="aborted the association"):
            there.send(shipment)
        assert len(peer.held) == 5
        peer.manners = Manners()
        peer.came.clear()
        there.send(shipment)
        assert len(peer.came) == 7
        assert there.confirm(shipment) == 12


def test_each_reason_of_a_node_is_named(server: OrthancServer, shipment: Shipment) -> None:
    there = destination(server, dicom=node(free_port()))
    for act in (there.check, lambda: there.send(shipment)):
        with pytest.raises(Retriable, match="connection refused"):
            act()
    peer = DicomPeer()
    peer.start(accepts="ANOTHER")
    there = destination(server, dicom=node(peer.port))
    for act in (there.check, lambda: there.send(shipment)):
        with pytest.raises(Retriable, match="rejects the association"):
            act()
    peer.stop()
    with (
        DicomPeer(contexts=("1.2.840.10008.5.1.4.1.1.7",)) as peer,
        pytest.raises(Rejected, match="12 SOP class or transfer syntax not supported"),
    ):
        destination(server, dicom=node(peer.port)).send(shipment)
    began = time.monotonic()
    with DicomPeer(manners=Manners(sleep_s=3)) as peer, pytest.raises(Retriable, match="no answer in time"):
        destination(server, dicom=node(peer.port, timeout_s=1)).send(shipment)
    assert time.monotonic() - began < 5  # once, not for each of the files


def test_a_node_that_keeps_uids_is_asked_and_what_it_lost_is_sent_again(
    server: OrthancServer, shipment: Shipment
) -> None:
    with DicomPeer() as peer:
        there = destination(server, dicom=node(peer.port), confirm="find")
        there.send(shipment)
        assert there.confirm(shipment) == 12
        peer.held.popitem()
        with pytest.raises(Retriable, match="11 of 12 instances"):
            there.confirm(shipment)
        peer.came.clear()
        there.send(shipment)
        assert len(peer.came) == 1
        assert there.confirm(shipment) == 12
        peer.manners = Manners(finds=False)
        with pytest.raises(Retriable, match="set confirm to status"):
            there.confirm(shipment)


def test_dicom_tls_wants_a_good_certificate(server: OrthancServer, shipment: Shipment, tmp_path: Path) -> None:
    authority = Authority(tmp_path / "tls")
    ours = authority.issue("ours")
    for name, expired in (("good", False), ("old", True)):
        theirs = authority.issue(name, expired=expired)
        with Storescp(
            tmp_path / name,
            "PEER",
            options=("+tls", str(theirs.key), str(theirs.certificate), "+cf", str(authority.certificate)),
        ) as scp:
            tls = {"tls": True, "ca_file": authority.certificate}
            tls |= {"certificate_file": ours.certificate, "key_file": ours.key}
            there = destination(server, dicom=node(scp.port, **tls))
            if expired:
                for act in (there.check, lambda there=there: there.send(shipment)):
                    with pytest.raises(Retriable, match="TLS certificate has expired, or"):
                        act()
                assert not scp.files()
                continue
            there.check()
            there.send(make_shipment(tmp_path / "journal", server, shipment.output))
            assert len(scp.files()) == 12
            plain = destination(server, dicom=node(scp.port))
            with pytest.raises(Retriable):
                plain.check()
            gone = destination(server, dicom=node(scp.port, **(tls | {"ca_file": tmp_path / "none"})))
            with pytest.raises(ConfigurationError, match="ca_file: there is no such file"):
                gone.check()


def test_a_study_goes_by_stow_with_the_block(server: OrthancServer, shipment: Shipment) -> None:
    uids = [server.get(f"/instances/{i}").json()["MainDicomTags"]["SOPInstanceUID"] for i in shipment.all]
    with DicomwebServerStub(manners=WebManners(refuses={uids[0]: 0xA700, uids[11]: 0xA700})) as web:
        there = destination(server, dicomweb={"url": web.url, "timeout_s": 5})
        assert there.check() == "answers QIDO-RS"
        with pytest.raises(Retriable, match=r"refused 2 of 12 instances: 2 out of resources \(0xA700\)"):
            there.send(shipment)
        web.manners = WebManners(qido=False)
        web.came.clear()
        there.send(shipment)
        assert sorted(web.came) == sorted([uids[0], uids[11]])
        assert there.confirm(shipment) == 12
        assert there.check() == "answers, without QIDO-RS"
        assert all(b"CHUV_DEV_TML" in seen and b"trial7" in seen for seen in web.seen if seen.startswith(b"POST"))


def test_kheops_is_asked_where_the_settings_say_so(server: OrthancServer, shipment: Shipment) -> None:
    with DicomwebServerStub(manners=WebManners(keeps=False)) as web:
        there = destination(server, dicomweb={"url": web.url}, confirm="find")
        there.send(shipment)
        with pytest.raises(Retriable, match="0 of 12 instances"):
            there.confirm(shipment)
        web.manners = WebManners()
        there.send(shipment)
        assert there.confirm(shipment) == 12


def test_a_pause_keeps_what_was_sent(server: OrthancServer, tmp_path: Path) -> None:
    study = server.studies()[0]
    with DicomPeer() as peer:
        there = destination(server, dicom=node(peer.port))
        with pytest.raises(Postponed):
            there.send(make_shipment(tmp_path, server, study, pace=NoPace(until=1)))
        assert len(peer.came) == 10
        there.send(make_shipment(tmp_path, server, study))
        assert len(peer.came) == 12


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({}, "give dicom or dicomweb"),
        ({"dicom": node(1), "dicomweb": {"url": "http://a/"}}, "give dicom or dicomweb"),
        ({"dicom": node(1), "pseudonym": "{PatientBirthDate}"}, "name at least one of PatientID"),
        ({"dicom": node(1), "pseudonym": "fixed"}, "name at least one of PatientID"),
        ({"dicom": node(1), "pseudonym": "{PatientID"}, "a brace is missing"),
        ({"dicom": node(1), "pseudonym": "{PatientID!r}"}, "only names stand in braces"),
        ({"dicom": node(1), "day_shift": "later"}, "day_shift"),
        ({"dicom": node(1, tls=True)}, "tls needs ca_file"),
        ({"dicom": node(1, ca_file="/a")}, "need tls: true"),
    ],
)
def test_settings_that_cannot_work_are_refused(more: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        TypeAdapter(Karnak).validate_python({"kind": "karnak", "name": "a"} | more)
