"""A PACS by C-STORE: against DCMTK's servers, and one that refuses, aborts, forgets and stays silent."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydantic import TypeAdapter

from certificates import Authority
from dicom_servers import Dcmqrscp, DicomPeer, Manners, Storescp
from orthanc_deid.destinations.base import Receipt, Shipment
from orthanc_deid.destinations.dicom.dicom import DicomDestination
from orthanc_deid.errors import Postponed, Rejected, Retriable
from orthanc_deid.settings.network import Dicom
from servers import OrthancServer, free_port
from shipments import NoPace, client, make_shipment, passing
from studies import Person, ct_study

PERSON = Person()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OrthancServer]:
    """Answer an Orthanc with a study of six instances; it sends."""
    orthanc = OrthancServer(tmp_path_factory.mktemp("sender"), name="SENDER").start()
    for file in ct_study(PERSON, 6):
        orthanc.upload(file).raise_for_status()
    yield orthanc
    orthanc.kill()


@pytest.fixture
def shipment(server: OrthancServer, tmp_path: Path) -> Shipment:
    """Answer all six instances as a shipment."""
    return make_shipment(tmp_path, server, server.studies()[0])


@pytest.fixture
def peer(server: OrthancServer) -> Iterator[DicomPeer]:
    """Answer a PACS whose manners a test may change."""
    with DicomPeer(report_to=("SENDER", server.dicom_port)) as made:
        yield made


def destination(server: OrthancServer, ae: str, port: int, **more: Any) -> DicomDestination:  # noqa: ANN401  # settings
    values = {"kind": "dicom", "name": "pacs", "ae": ae, "host": "127.0.0.1", "port": port, "timeout_s": 3} | more
    return DicomDestination(TypeAdapter(Dicom).validate_python(values), client(server))


def uids(server: OrthancServer, ids: list[str]) -> list[str]:
    return [server.get(f"/instances/{i}").json()["MainDicomTags"]["SOPInstanceUID"] for i in ids]


def test_a_study_is_sent_and_found_instance_by_instance(
    server: OrthancServer, shipment: Shipment, tmp_path: Path
) -> None:
    with Dcmqrscp(tmp_path / "qr", "DCMQR") as pacs:
        there = destination(server, "DCMQR", pacs.port)
        assert there.check() == "answers C-ECHO and C-FIND"
        with pytest.raises(Retriable, match="0 of 6 instances are at the destination"):
            there.confirm(shipment)
        there.send(shipment)
        assert there.confirm(shipment) == 6
        assert shipment.pace.bytes_sent > 6 * 2048  # type: ignore[attr-defined]  # of NoPace


def test_what_is_there_already_is_not_sent_again(server: OrthancServer, shipment: Shipment, peer: DicomPeer) -> None:
    there = destination(server, peer.ae, peer.port)
    there.send(shipment)
    there.send(shipment)
    assert len(peer.came) == 6
    assert there.confirm(shipment) == 6


def test_late_instances_travel_alone(server: OrthancServer, peer: DicomPeer, tmp_path: Path) -> None:
    study = server.studies()[0]
    ids = sorted(client(server).instance_ids(study))
    there = destination(server, peer.ae, peer.port)
    there.send(make_shipment(tmp_path, server, study, new=ids[:4], every=ids[:4]))
    peer.came.clear()
    late = make_shipment(tmp_path, server, study, new=ids[4:], version=2)
    there.send(late)
    assert sorted(peer.came) == sorted(uids(server, ids[4:]))
    assert there.confirm(late) == 6


def test_what_was_de_identified_anew_is_sent_again_where_nobody_can_be_asked(peer: DicomPeer, tmp_path: Path) -> None:
    sender = OrthancServer(tmp_path / "anew", name="ANEW").start()
    try:
        files = ct_study(PERSON, 2)
        made = [sender.upload(file).json()["ID"] for file in files]
        there = destination(sender, peer.ae, peer.port, confirm="status", ask_first=False)
        first = make_shipment(tmp_path, sender, sender.studies()[0])
        there.send(first)
        assert there.confirm(first) == 2
        peer.came.clear()
        sender.request("DELETE", f"/instances/{made[0]}").raise_for_status()
        sender.upload(files[0].replace(b"Hospital Xanadu", b"Hospital Xanado")).raise_for_status()
        again = make_shipment(tmp_path, sender, sender.studies()[0], version=2)
        with pytest.raises(Retriable, match="1 of 2 instances"):
            there.confirm(again)
        there.send(again)
        assert peer.came == uids(sender, made[:1])
        assert there.confirm(again) == 2
        peer.came.clear()
        again.journal.put("superseded", Receipt(1, ""))  # a person has deleted the study there
        there.send(again)
        there.send(again)
        assert sorted(peer.came) == sorted(uids(sender, made))
    finally:
        sender.kill()


@pytest.mark.parametrize(
    ("status", "kind", "words"),
    [
        (0xA700, Retriable, r"refused 3 of 6 instances: 3 out of resources \(0xA700\)"),
        (0xA900, Rejected, r"3 the data set does not match its SOP class \(0xA900\)"),
        (0xC000, Rejected, r"3 it cannot understand the instance \(0xC000\)"),
        (0x0122, Rejected, r"3 SOP class not supported \(0x0122\)"),
        (0x0124, Retriable, r"3 not authorised \(0x0124\)"),
        (0x0299, Retriable, r"3 status 0x0299"),
    ],
)
def test_refused_instances_are_counted_and_the_others_arrive(
    server: OrthancServer, shipment: Shipment, peer: DicomPeer, status: int, kind: type[Exception], words: str
) -> None:
    refused = set(uids(server, list(shipment.all))[::2])
    peer.manners = Manners(refuses=refused, status=status)
    there = destination(server, peer.ae, peer.port)
    with pytest.raises(kind, match=words):
        there.send(shipment)
    assert len(peer.held) == 3
    with pytest.raises(Retriable, match="3 of 6 instances"):
        there.confirm(shipment)
    peer.manners = Manners()
    peer.came.clear()
    there.send(shipment)
    assert sorted(peer.came) == sorted(refused)
    assert there.confirm(shipment) == 6


def test_a_duplicate_that_the_node_refuses_counts_as_there(
    server: OrthancServer, shipment: Shipment, peer: DicomPeer, tmp_path: Path
) -> None:
    there = destination(server, peer.ae, peer.port, ask_first=False)
    there.send(shipment)
    peer.manners = Manners(every=1, status=0x0111)
    there.send(make_shipment(tmp_path / "without receipts", server, shipment.output))
    assert len(peer.came) > 6
    assert there.confirm(shipment) == 6


def test_a_sop_class_that_the_node_does_not_take_is_rejected(server: OrthancServer, shipment: Shipment) -> None:
    with DicomPeer(contexts=("1.2.840.10008.5.1.4.1.1.7",)) as peer:
        there = destination(server, peer.ae, peer.port)
        with pytest.raises(Rejected, match="refused 6 of 6 instances: 6 SOP class or transfer syntax not supported"):
            there.send(shipment)


def test_an_association_that_is_refused_says_so(server: OrthancServer, shipment: Shipment) -> None:
    peer = DicomPeer()
    peer.start(accepts="ANOTHER")
    try:
        there = destination(server, peer.ae, peer.port)
        for act in (there.check, lambda: there.send(shipment), lambda: there.confirm(shipment)):
            with pytest.raises(Retriable, match="rejects the association: AE titles"):
                act()
    finally:
        peer.stop()


def test_a_node_that_is_down_says_so(server: OrthancServer, shipment: Shipment) -> None:
    there = destination(server, "NOBODY", free_port())
    for act in (there.check, lambda: there.send(shipment), lambda: there.confirm(shipment)):
        with pytest.raises(Retriable, match="does not answer: connection refused"):
            act()


def test_an_abort_in_the_middle_is_finished_later(server: OrthancServer, shipment: Shipment, peer: DicomPeer) -> None:
    peer.manners = Manners(abort_after=2)
    there = destination(server, peer.ae, peer.port)
    with pytest.raises(Retriable, match="aborted the association"):
        there.send(shipment)
    arrived = set(peer.held)
    assert len(arrived) == 2
    peer.manners = Manners()
    peer.came.clear()
    there.send(shipment)
    assert len(peer.came) == 4
    assert not arrived & set(peer.came)
    assert there.confirm(shipment) == 6


def test_a_node_that_does_not_answer_is_given_up_in_time(
    server: OrthancServer, shipment: Shipment, peer: DicomPeer
) -> None:
    peer.manners = Manners(sleep_s=4)
    with pytest.raises(Retriable, match=r"no answer in time|aborted"):
        destination(server, peer.ae, peer.port, timeout_s=1).send(shipment)


def test_sending_ends_at_the_time_that_it_was_given(server: OrthancServer, tmp_path: Path, peer: DicomPeer) -> None:
    peer.manners = Manners(sleep_s=0.5)
    slow = make_shipment(tmp_path, server, server.studies()[0], seconds=1)
    with pytest.raises(Retriable, match="did not end in 1 s"):
        destination(server, peer.ae, peer.port).send(slow)


@pytest.mark.parametrize("confirm", ["instances", "counts", "commitment"])
def test_a_node_that_accepts_and_does_not_keep_is_found_out(
    server: OrthancServer, shipment: Shipment, peer: DicomPeer, confirm: str
) -> None:
    peer.manners = Manners(keeps=False)
    there = destination(server, peer.ae, peer.port, confirm=confirm, commitment_s=5)
    there.send(shipment)
    with pytest.raises(Retriable, match="0 of 6 instances are at the destination"):
        there.confirm(shipment)
    peer.manners = Manners()
    there.send(shipment)
    assert there.confirm(shipment) == 6


def test_a_node_without_the_level_of_instances_is_asked_for_numbers(
    server: OrthancServer, shipment: Shipment, peer: DicomPeer
) -> None:
    peer.manners = Manners(finds_images=False)
    there = destination(server, peer.ae, peer.port)
    there.send(shipment)
    there.send(shipment)
    assert len(peer.came) == 6
    assert there.confirm(shipment) == 6
    peer.held.popitem()
    with pytest.raises(Retriable, match="5 of 6 instances"):
        there.confirm(shipment)
    there.send(shipment)
    assert len(peer.came) == 12  # a number does not say which one is missing
    peer.manners = Manners(finds_images=False, counts=False)
    with pytest.raises(Retriable, match=r"counts no instances.*set confirm to"):
        there.confirm(shipment)


def test_a_node_that_bounds_its_answers_is_asked_by_name(
    server: OrthancServer, shipment: Shipment, peer: DicomPeer
) -> None:
    peer.manners = Manners(most_answers=4)
    there = destination(server, peer.ae, peer.port)
    there.send(shipment)
    assert there.confirm(shipment) == 6


def test_the_commitment_of_a_node_is_waited_for_and_read(
    server: OrthancServer, shipment: Shipment, peer: DicomPeer
) -> None:
    there = destination(server, peer.ae, peer.port, confirm="commitment", commitment_s=5)
    assert there.check() == "answers C-ECHO"
    there.send(shipment)
    lost = shipment.all[2]
    del peer.held[uids(server, [lost])[0]]
    with pytest.raises(Retriable, match="5 of 6 instances are at the destination: it does not commit"):
        there.confirm(shipment)
    peer.came.clear()
    there.send(shipment)
    assert peer.came == uids(server, [lost])
    assert there.confirm(shipment) == 6


def test_without_c_find_only_what_was_lost_is_sent_again(
    server: OrthancServer, shipment: Shipment, peer: DicomPeer
) -> None:
    peer.manners = Manners(finds=False)
    there = destination(server, peer.ae, peer.port, confirm="commitment", commitment_s=5)
    there.send(shipment)
    there.send(shipment)
    assert len(peer.came) == 6
    peer.held.popitem()
    with pytest.raises(Retriable, match="5 of 6"):
        there.confirm(shipment)
    there.send(shipment)
    assert len(peer.came) == 7
    assert there.confirm(shipment) == 6


def test_a_report_that_comes_late_belongs_to_the_same_request(
    server: OrthancServer, shipment: Shipment, peer: DicomPeer
) -> None:
    peer.manners = Manners(commits="never")
    there = destination(server, peer.ae, peer.port, confirm="commitment", commitment_s=1)
    there.send(shipment)
    for _ in range(2):
        with pytest.raises(Retriable, match="no report of storage commitment in 1 s"):
            there.confirm(shipment)
    assert len(peer.asked) == 1
    peer.report(peer.asked[0])
    assert there.confirm(shipment) == 6


def test_a_node_that_refuses_commitment_says_so(server: OrthancServer, shipment: Shipment, peer: DicomPeer) -> None:
    peer.manners = Manners(commits="refuse")
    there = destination(server, peer.ae, peer.port, confirm="commitment")
    there.send(shipment)
    with pytest.raises(Retriable, match="does not do storage commitment"):
        there.confirm(shipment)


def test_a_node_that_only_stores_is_believed_where_the_settings_say_so(
    server: OrthancServer, shipment: Shipment, tmp_path: Path
) -> None:
    with Storescp(tmp_path / "scp", "SCP") as scp:
        with pytest.raises(Retriable, match=r"does not answer C-FIND .*set confirm to commitment or status"):
            destination(server, "SCP", scp.port).confirm(shipment)
        with pytest.raises(Retriable, match="answers C-ECHO but not C-FIND"):
            destination(server, "SCP", scp.port).check()
        there = destination(server, "SCP", scp.port, confirm="status")
        with pytest.raises(Retriable, match="0 of 6 instances"):
            there.confirm(shipment)
        there.send(shipment)
        there.send(shipment)
        assert there.confirm(shipment) == 6
        assert len(scp.files()) == 6
        assert scp.log().count("Received Store Request") == 6


def test_what_a_dead_worker_began_is_awaited_and_not_sent_beside_it(
    server: OrthancServer, shipment: Shipment, peer: DicomPeer
) -> None:
    there = destination(server, peer.ae, peer.port)
    there.check()
    peer.manners = Manners(sleep_s=0.3)
    body = {"Resources": list(shipment.all), "Synchronous": False}
    job = server.post("/modalities/deid-pacs/store", json=body).json()["ID"]
    shipment.journal.put("job of our Orthanc", Receipt(0, "", job))
    there.send(shipment)
    assert len(peer.came) == 6
    assert there.confirm(shipment) == 6


def test_dicom_tls_is_used_and_wants_a_good_certificate(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "tls")
    ours = authority.issue("ours")
    configuration = {
        "DicomTlsCertificate": str(ours.certificate),
        "DicomTlsPrivateKey": str(ours.key),
        "DicomTlsTrustedCertificates": str(authority.certificate),
    }
    stranger = Authority(tmp_path / "stranger")
    with passing(OrthancServer(tmp_path / "sender", name="SENDER", configuration=configuration)) as sender:
        for file in ct_study(PERSON, 2):
            sender.upload(file).raise_for_status()
        shipment = make_shipment(tmp_path, sender, sender.studies()[0])
        for name, theirs, good in (
            ("good", authority.issue("good"), True),
            ("old", authority.issue("old", expired=True), False),
            ("foreign", stranger.issue("foreign"), False),
        ):
            options = ("+tls", str(theirs.key), str(theirs.certificate), "+cf", str(authority.certificate))
            with Storescp(tmp_path / name, "SCP", options=options) as scp:
                there = destination(sender, "SCP", scp.port, tls=True, confirm="status")
                if good:
                    there.send(shipment)
                    assert there.confirm(shipment) == 2
                    with pytest.raises(Retriable, match="hangs up at once: it may want TLS"):
                        destination(sender, "SCP", scp.port).check()
                    continue
                with pytest.raises(Retriable, match="TLS certificate has expired, or nobody whom we trust signed it"):
                    there.send(shipment)
                assert not scp.files()


def test_tls_that_orthanc_is_not_set_up_for_is_never_left_out(server: OrthancServer, shipment: Shipment) -> None:
    with DicomPeer() as peer:
        with pytest.raises(Retriable, match=r"DICOM TLS is not set up in orthanc\.json"):
            destination(server, peer.ae, peer.port, tls=True).send(shipment)
        assert not peer.came


def test_a_pause_keeps_what_was_sent(server: OrthancServer, peer: DicomPeer, tmp_path: Path) -> None:
    study = server.studies()[0]
    paused = make_shipment(tmp_path, server, study, pace=NoPace(until=1))
    there = destination(server, peer.ae, peer.port, bytes_per_s=1024)
    with pytest.raises(Postponed):
        there.send(paused)
    first = list(peer.came)
    assert 0 < len(first) < 6
    there.send(make_shipment(tmp_path, server, study))
    assert len(peer.came) == 6


def test_a_modality_of_the_site_is_left_alone(server: OrthancServer, peer: DicomPeer) -> None:
    own = {"AET": "OWN", "Host": "10.0.0.1", "Port": 104}
    server.request("PUT", "/modalities/pacs", json=own).raise_for_status()
    destination(server, peer.ae, peer.port).check()
    assert server.get("/modalities/pacs/configuration").json()["AET"] == "OWN"


def test_no_value_of_the_study_is_in_a_reason(server: OrthancServer, shipment: Shipment, peer: DicomPeer) -> None:
    ds = pydicom.dcmread(io.BytesIO(server.get(f"/instances/{shipment.all[0]}/file").content))
    values = (*PERSON.markers, str(ds.StudyInstanceUID), shipment.output, *shipment.all, "127.0.0.1")
    reasons = []
    for manners in (Manners(abort_after=0), Manners(every=1), Manners(every=1, status=0xC000), Manners(keeps=False)):
        peer.manners = manners
        there = destination(server, peer.ae, peer.port, ask_first=False)
        with pytest.raises((Retriable, Rejected)) as caught:  # noqa: PT012  # one of the two
            there.send(shipment)
            there.confirm(shipment)
        reasons.append(str(caught.value))
        assert caught.value.__cause__ is None
    assert not [value for value in values for reason in reasons if value in reason]
