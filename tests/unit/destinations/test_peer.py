"""A second Orthanc as peer: sent in pieces, read back, over HTTPS, and with every way in which it may refuse."""

import http.client
import json
import ssl
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from types import TracebackType
from typing import Any, Self

import pytest
from pydantic import TypeAdapter, ValidationError

from certificates import Authority, Pair
from orthanc_deid.destinations.base import Receipt, Shipment
from orthanc_deid.destinations.dicom.orthanc_peer import OrthancPeerDestination
from orthanc_deid.errors import ConfigurationError, Postponed, Rejected, Retriable
from orthanc_deid.orthanc_rest import Address, Orthanc, basic
from orthanc_deid.settings import OrthancPeer
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


@pytest.fixture(scope="module")
def receiver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OrthancServer]:
    """Answer a second Orthanc; it receives."""
    orthanc = OrthancServer(tmp_path_factory.mktemp("receiver"), name="RECEIVER").start()
    yield orthanc
    orthanc.kill()


@pytest.fixture
def archive(receiver: OrthancServer) -> OrthancServer:
    """Answer the second Orthanc, empty."""
    for study in receiver.studies():
        receiver.request("DELETE", f"/studies/{study}").raise_for_status()
    receiver.request("DELETE", "/changes").raise_for_status()
    return receiver


@pytest.fixture
def shipment(server: OrthancServer, tmp_path: Path) -> Shipment:
    """Answer all six instances as a shipment."""
    return make_shipment(tmp_path, server, server.studies()[0])


def settings(url: str, **more: Any) -> OrthancPeer:  # noqa: ANN401  # settings
    values = {"kind": "orthanc-peer", "name": "research", "url": url, "timeout_s": 5}
    return TypeAdapter(OrthancPeer).validate_python(values | more)


def destination(sender: OrthancServer | Orthanc, archive: OrthancServer, **more: Any) -> OrthancPeerDestination:  # noqa: ANN401  # settings
    login = {"username": "admin", "password_file": archive.home / "admin-password"}
    connection = client(sender) if isinstance(sender, OrthancServer) else sender
    return OrthancPeerDestination(settings(more.pop("url", archive.url), **(login | more)), connection)


def new_instances(archive: OrthancServer) -> list[str]:
    changes = archive.get("/changes?limit=1000").json()["Changes"]
    return [c["ID"] for c in changes if c["ChangeType"] == "NewInstance"]


@pytest.mark.parametrize("compress", [False, True])
def test_a_study_arrives_byte_for_byte_and_once(
    server: OrthancServer, archive: OrthancServer, shipment: Shipment, *, compress: bool
) -> None:
    there = destination(server, archive, compress=compress)
    assert there.check().startswith("Orthanc 1.")
    with pytest.raises(Retriable, match="0 of 6 instances are at the destination"):
        there.confirm(shipment)
    there.send(shipment)
    there.send(shipment)
    assert there.confirm(shipment) == 6
    for instance in shipment.all:
        assert archive.get(f"/instances/{instance}/file").content == server.get(f"/instances/{instance}/file").content
    assert sorted(new_instances(archive)) == sorted(shipment.all)
    assert shipment.pace.bytes_sent > 6 * 2048  # type: ignore[attr-defined]  # of NoPace


def test_what_was_made_anew_is_deleted_there_by_a_person_before_it_passes(
    server: OrthancServer, archive: OrthancServer, shipment: Shipment
) -> None:
    there = destination(server, archive)
    store_older(archive)
    shipment.journal.put("superseded", Receipt(1, ""))
    for _ in range(2):
        with pytest.raises(Rejected, match="5 instances at the destination are not those that were verified"):
            there.send(shipment)
    archive.request("DELETE", f"/studies/{archive.studies()[0]}").raise_for_status()
    there.send(shipment)
    there.send(shipment)
    assert there.confirm(shipment) == 6
    assert files(archive) == files(server)


def test_what_was_made_anew_takes_the_place_of_the_former_in_a_peer_that_overwrites(
    server: OrthancServer, shipment: Shipment, new_orthanc: Callable[..., OrthancServer]
) -> None:
    archive = new_orthanc(configuration={"OverwriteInstances": True}).start()
    there = destination(server, archive)
    store_older(archive)
    shipment.journal.put("superseded", Receipt(1, ""))
    there.send(shipment)
    assert there.confirm(shipment) == 6
    assert files(archive) == files(server)
    assert shipment.journal.get("superseded") == Receipt(0, "")


def test_what_was_made_anew_and_is_the_same_byte_for_byte_stays_there(
    server: OrthancServer, archive: OrthancServer, shipment: Shipment
) -> None:
    there = destination(server, archive)
    there.send(shipment)
    archive.request("DELETE", "/changes").raise_for_status()
    shipment.journal.put("superseded", Receipt(1, ""))
    there.send(shipment)
    assert there.confirm(shipment) == 6
    assert new_instances(archive) == []


def store_older(archive: OrthancServer) -> None:
    """Store the study as it was made before: one instance is the same, the others have another text."""
    for number, file in enumerate(ct_study(PERSON, 6)):
        archive.upload(file.replace(b"Thorax", b"Kidney") if number else file).raise_for_status()


def files(orthanc: OrthancServer) -> dict[str, bytes]:
    return {i: orthanc.get(f"/instances/{i}/file").content for i in orthanc.instances()}


def test_late_instances_travel_alone(server: OrthancServer, archive: OrthancServer, tmp_path: Path) -> None:
    study = server.studies()[0]
    ids = sorted(client(server).instance_ids(study))
    there = destination(server, archive)
    there.send(make_shipment(tmp_path, server, study, new=ids[:4], every=ids[:4]))
    jobs = set(server.get("/jobs").json())
    late = make_shipment(tmp_path, server, study, new=ids[4:], version=2)
    there.send(late)
    sent = [server.get(f"/jobs/{job}").json()["Content"] for job in server.get("/jobs").json() if job not in jobs]
    assert [content["InstancesCount"] for content in sent] == [2]
    assert there.confirm(late) == 6


def test_a_pause_keeps_what_was_sent_and_the_rest_goes_later(
    server: OrthancServer, archive: OrthancServer, tmp_path: Path
) -> None:
    study = server.studies()[0]
    there = destination(server, archive, bytes_per_s=1024)
    with pytest.raises(Postponed):
        there.send(make_shipment(tmp_path, server, study, pace=NoPace(until=1)))
    first = len(new_instances(archive))
    assert 0 < first < 6
    whole = make_shipment(tmp_path, server, study)
    there.send(whole)
    assert sorted(new_instances(archive)) == sorted(whole.all)
    assert there.confirm(whole) == 6


def test_each_reason_of_a_peer_is_named(
    server: OrthancServer, archive: OrthancServer, shipment: Shipment, tmp_path: Path
) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_text("wrong")
    cases: list[tuple[dict[str, Any], type[Exception], str]] = [
        ({"url": f"http://127.0.0.1:{free_port()}"}, Retriable, r"the peer Orthanc cannot be reached \(NewConn"),
        ({"password_file": wrong}, Retriable, r"the peer Orthanc refuses the log-in \(401\)"),
        ({"url": f"{archive.url}/nowhere/"}, Exception, r"the peer Orthanc does not know that resource \(404\)"),
        ({"password_file": tmp_path / "none"}, ConfigurationError, "secret file none"),
    ]
    for more, kind, words in cases:
        there = destination(server, archive, **more)
        for act in (there.check, lambda there=there: there.send(shipment)):
            with pytest.raises(kind, match=words):
                act()
    assert new_instances(archive) == []


def test_a_peer_whose_filter_keeps_instances_out_is_found_out(
    server: OrthancServer, shipment: Shipment, tmp_path: Path
) -> None:
    script = tmp_path / "filter.lua"
    script.write_text("function ReceivedInstanceFilter(dicom, origin, info) return false end")
    with passing(OrthancServer(tmp_path / "picky", configuration={"LuaScripts": [str(script)]})) as picky:
        there = destination(server, picky)
        with pytest.raises((Rejected, Retriable), match=r"FilteredOut|0 of 6"):  # noqa: PT012  # either of them
            there.send(shipment)
            there.confirm(shipment)


def test_a_peer_whose_disk_is_full_is_tried_again(server: OrthancServer, shipment: Shipment, tmp_path: Path) -> None:
    with passing(OrthancServer(tmp_path / "full", configuration={"MaximumStorageSize": 0})) as full:
        there = destination(server, full)
        storage = full.folder / "storage"
        for n in range(256):  # a file where Orthanc wants a folder: it cannot write, as with a full disk
            (storage / f"{n:02x}").write_text("")
        with pytest.raises(Retriable, match=r"the peer Orthanc is away \(500\)"):
            there.send(shipment)
        for n in range(256):
            (storage / f"{n:02x}").unlink()
        there.send(shipment)
        assert there.confirm(shipment) == 6


def test_a_peer_that_dies_in_the_middle_gets_the_rest_later(
    server: OrthancServer, shipment: Shipment, tmp_path: Path
) -> None:
    peer = OrthancServer(tmp_path / "peer").start()
    try:
        there = destination(server, peer, bytes_per_s=1024)
        pace = _Killing(peer)
        with pytest.raises(Retriable, match=r"cannot be reached|job failed"):
            there.send(make_shipment(tmp_path, server, shipment.output, pace=pace))
        peer.start()
        arrived = set(peer.instances())
        assert 0 < len(arrived) < 6
        there.send(shipment)
        assert there.confirm(shipment) == 6
    finally:
        peer.kill()


class _Killing(NoPace):
    """Kills the peer after the first piece."""

    def __init__(self, peer: OrthancServer) -> None:
        super().__init__()
        self._peer = peer

    def sent(self, count: int) -> None:
        super().sent(count)
        self._peer.kill()


def test_https_wants_a_good_certificate_at_both_ends(archive: OrthancServer, tmp_path: Path) -> None:
    authority = Authority(tmp_path / "tls")
    ours = authority.issue("ours")
    own = {"certificate_file": ours.certificate, "key_file": ours.key}
    trusts = {"HttpsCACertificates": str(authority.certificate)}
    with passing(OrthancServer(tmp_path / "sender", configuration=trusts)) as sender:
        for file in ct_study(PERSON, 2):
            sender.upload(file).raise_for_status()
        shipment = make_shipment(tmp_path, sender, sender.studies()[0])
        # Debian's Orthanc 1.10.1 crashes at the first request by HTTPS: as at most sites, a proxy speaks TLS for it.
        with (
            Front(archive, pair=authority.issue("old", expired=True), authority=authority) as old,
            pytest.raises(Retriable, match="its TLS certificate has expired"),
        ):
            destination(sender, archive, url=old.url, ca_file=authority.certificate, **own).send(shipment)
        with Front(archive, pair=authority.issue("good"), authority=authority) as good:
            with pytest.raises(Retriable, match="is not trusted: see ca_file"):
                destination(sender, archive, url=good.url, **own).check()
            with pytest.raises(Retriable, match="cannot be reached"):
                destination(sender, archive, url=good.url, ca_file=authority.certificate).check()
            with pytest.raises(ConfigurationError, match="named for TLS is not there"):
                destination(sender, archive, url=good.url, ca_file=tmp_path / "none").check()
            assert new_instances(archive) == []
            there = destination(sender, archive, url=good.url, ca_file=authority.certificate, **own)
            there.send(shipment)
            assert there.confirm(shipment) == 2


class Front:
    """Stands before an Orthanc as a proxy does; speaks TLS, or has the transfers accelerator, which Debian lacks.

    `transfers` says what becomes of a transfer: it is done as a job of the ordinary kind, or refused; None: it has no
    such plugin. With an `authority`, a client must show a certificate of it.
    """

    def __init__(
        self,
        behind: OrthancServer,
        *,
        transfers: bool | None = None,
        pair: Pair | None = None,
        authority: Authority | None = None,
    ) -> None:
        self.asked: list[dict[str, Any]] = []
        front = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *arguments: object) -> None:
                """Write nothing to the terminal."""

            def _pass(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                path = self.path
                if path == "/transfers/send":
                    asked = json.loads(body)
                    front.asked.append(asked)
                    path = f"/peers/{asked['Peer']}/store" if transfers else "/nowhere"
                    ids = [resource["ID"] for resource in asked["Resources"]]
                    body = json.dumps({"Resources": ids, "Synchronous": False}).encode()
                headers = {"Authorization": self.headers["Authorization"], "Content-Type": "application/json"}
                connection = http.client.HTTPConnection("127.0.0.1", behind.http_port, timeout=20)
                connection.request(self.command, path, body, headers)
                answer = connection.getresponse()
                content = answer.read()
                connection.close()
                if path == "/plugins" and transfers is not None:
                    content = json.dumps([*json.loads(content), "transfers"]).encode()
                self.send_response(answer.status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_PUT = do_DELETE = _pass  # noqa: N815  # of http.server

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http{'s' if pair else ''}://127.0.0.1:{self._server.server_port}"
        if pair:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(pair.certificate, pair.key)
            if authority:
                context.load_verify_locations(authority.certificate)
                context.verify_mode = ssl.CERT_REQUIRED
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.mark.parametrize(
    ("ours", "theirs", "choice", "works", "used"),
    [
        (True, True, "auto", True, True),
        (True, True, "auto", False, True),
        (True, True, "never", True, False),
        (True, False, "auto", True, False),
        (False, True, "auto", True, False),
    ],
)
def test_the_accelerator_is_used_where_both_have_it(
    server: OrthancServer,
    archive: OrthancServer,
    tmp_path: Path,
    *,
    ours: bool,
    theirs: bool,
    choice: str,
    works: bool,
    used: bool,
) -> None:
    with Front(server, transfers=works) as before, Front(archive, transfers=True) as behind:
        sender = Orthanc(Address(before.url if ours else server.url, basic("admin", server.password)))
        url = behind.url if theirs else archive.url
        there = destination(sender, archive, url=url, accelerator=choice)
        shipment = make_shipment(tmp_path, sender, server.studies()[0])
        there.send(shipment)
        assert there.confirm(shipment) == 6
        levels = [(asked["Peer"], {r["Level"] for r in asked["Resources"]}) for asked in before.asked]
        assert levels == ([("deid-research", {"Instance"})] if used else [])


def test_a_peer_of_the_site_is_left_alone(server: OrthancServer, archive: OrthancServer, shipment: Shipment) -> None:
    server.request("PUT", "/peers/research", json={"Url": "http://10.0.0.1/"}).raise_for_status()
    destination(server, archive).send(shipment)
    assert server.get("/peers?expand").json()["research"]["Url"] == "http://10.0.0.1/"


def test_half_a_client_certificate_is_refused() -> None:
    with pytest.raises(ValidationError, match="belong together"):
        settings("https://a/", certificate_file=Path("/a"))
