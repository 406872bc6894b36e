"""Object stores and SFTP: the real client against real servers, whole, late, twice, cut, away, full, killed."""

import hashlib
import io
import json
import logging
import os
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from object_servers import Azurite, GcsEmulator, Moto, Proxy, RcloneSftp, S3rver, Server, proxy, secret_file
from objects import RESEARCH
from orthanc_deid.destinations.base import Shipment
from orthanc_deid.destinations.files.metadata import fill
from orthanc_deid.destinations.files.object_store import ObjectStoreDestination
from orthanc_deid.errors import ConfigurationError, DeidError, Postponed, Rejected, Retriable
from orthanc_deid.orthanc_rest import Orthanc
from orthanc_deid.settings.files import ObjectStore
from planting import passed
from servers import OrthancServer
from shipments import FileJournal, NoPace, client, make_shipment
from studies import Person, ct_instance

KINDS: dict[str, type[Server]] = {
    "moto": Moto,
    "s3rver": S3rver,
    "azurite": Azurite,
    "gcs": GcsEmulator,
    "sftp": RcloneSftp,
}
PERSONS = iter(range(1, 10_000))


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OrthancServer]:
    """Answer an Orthanc for de-identified studies."""
    server = OrthancServer(tmp_path_factory.mktemp("orthanc"))
    server.start()
    yield server
    server.kill()


@pytest.fixture(scope="module", params=KINDS)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Answer each server, running, with a bucket."""
    made = KINDS[request.param](tmp_path_factory.mktemp(request.param))
    made.start()
    made.make_bucket()
    yield made
    made.kill()


@pytest.fixture(scope="module")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Moto]:
    """Answer one S3 server for what does not depend on the maker."""
    made = Moto(tmp_path_factory.mktemp("moto-alone"))
    made.start()
    made.make_bucket()
    yield made
    made.kill()


def destination(server: Server, **more: object) -> ObjectStoreDestination:
    """Return the destination that a server is."""
    values = {"name": "store", "kind": "object-store", "timeout_s": 5, **server.settings(), **more}
    return ObjectStoreDestination(ObjectStore.model_validate(values, strict=False), Orthanc.__new__(Orthanc))


def through(server: Server, between: Proxy, **more: object) -> ObjectStoreDestination:
    """Return the destination behind a proxy."""
    changed: dict[str, object] = {"endpoint_url": f"http://127.0.0.1:{between.port}"}
    if isinstance(server, RcloneSftp):
        changed = {
            "url": f"sftp://127.0.0.1:{between.port}/incoming",
            "known_hosts": None,
            "host_key_sha256": (server.fingerprint(),),
        }
    if isinstance(server, Azurite):
        file = secret_file(server.folder, server.connection_string(between.port))
        changed = {"connection_string_file": file}
    return destination(server, **{**changed, **more})


def load(orthanc: OrthancServer, person: Person, *numbers: int, size: int = 0) -> str:
    """Store de-identified slices and return the Orthanc id of their study."""
    study = ""
    for number in numbers:
        data = passed(ct_instance(person, number=number), RESEARCH)
        if size:
            data = padded(data, size)
        study = str(orthanc.upload(data).json()["ParentStudy"])
    return study


def padded(data: bytes, size: int) -> bytes:
    """Return the file with so many bytes in one more element of its own."""
    return data + b"\xfc\xff\xfc\xffOB\x00\x00" + size.to_bytes(4, "little") + os.urandom(size)


def person() -> Person:
    """Return somebody whom no other test has."""
    return Person(next(PERSONS))


def mine(server: Server, shipment: Shipment) -> dict[str, bytes]:
    """Return what the server holds of a study, by the last part of its name."""
    uid = str(shipment.facts()["MainDicomTags"]["StudyInstanceUID"])
    return server.held(uid)


def assert_whole(server: Server, shipment: Shipment) -> None:
    """Fail unless exactly the right set of objects is there with the right bytes, and the manifest tells of them."""
    held = mine(server, shipment)
    manifest = json.loads(held.pop(next(key for key in held if key.endswith("manifest.json"))))
    expected = sorted(hashlib.sha256(shipment.orthanc.file(i)).hexdigest() for i in shipment.all)
    assert sorted(hashlib.sha256(content).hexdigest() for content in held.values()) == expected
    assert sorted(each["sha256"] for each in manifest["files"]) == expected
    assert not list(shipment.work.iterdir())


def test_a_study_arrives_whole_with_its_manifest_last(server: Server, orthanc: OrthancServer, tmp_path: Path) -> None:
    shipment = make_shipment(tmp_path, orthanc, load(orthanc, person(), 1, 2, 3))
    store = destination(server)
    assert "can be written" in store.check()
    store.send(shipment)
    assert_whole(server, shipment)
    assert store.confirm(shipment) == 3


def test_a_second_send_sends_nothing_and_late_instances_go_alone(
    server: Server, orthanc: OrthancServer, tmp_path: Path
) -> None:
    somebody = person()
    first = make_shipment(tmp_path, orthanc, load(orthanc, somebody, 1, 2))
    store = destination(server)
    store.send(first)
    again = replace(first, pace=NoPace())
    store.send(again)
    assert again.pace.bytes_sent == 0  # type: ignore[attr-defined]  # of NoPace
    load(orthanc, somebody, 3)
    late = make_shipment(tmp_path, orthanc, first.output, version=2)
    late = replace(late, new=[i for i in late.all if i not in first.all])
    store.send(late)
    assert late.pace.calls == 2  # type: ignore[attr-defined]  # the instance and the manifest
    assert_whole(server, late)
    assert store.confirm(late) == 3


@pytest.mark.parametrize("read_back", ["size", "hash"])
def test_what_is_lost_or_altered_there_is_found_and_sent_again(
    server: Server, orthanc: OrthancServer, tmp_path: Path, read_back: str
) -> None:
    shipment = make_shipment(tmp_path, orthanc, load(orthanc, person(), 1, 2))
    store = destination(server, read_back=read_back)
    store.send(shipment)
    lost, altered = sorted(key for key in mine(server, shipment) if key.endswith(".dcm"))
    server.remove(lost)
    content = server.held(altered)[altered]
    server.replace(altered, b"x" * len(content) if read_back == "hash" else content + b"x")
    with pytest.raises(Retriable, match="0 of 2 files"):
        store.confirm(shipment)
    if read_back == "size":
        store.send(shipment)
        assert_whole(server, shipment)
        assert store.confirm(shipment) == 2


def test_a_large_file_goes_in_parts(server: Server, orthanc: OrthancServer, tmp_path: Path) -> None:
    shipment = make_shipment(tmp_path, orthanc, load(orthanc, person(), 1, size=23 * 2**20))
    store = destination(server, part_bytes=5 * 2**20, timeout_s=60)
    store.send(shipment)
    assert_whole(server, shipment)
    assert store.confirm(shipment) == 1


def test_a_send_that_was_cut_is_finished(server: Server, orthanc: OrthancServer, tmp_path: Path) -> None:
    study = load(orthanc, person(), 1, 2, 3, 4, size=300_000)
    with proxy(server.port) as between:
        store = through(server, between)
        between.cut_after = 900_000
        with pytest.raises(Retriable) as caught:
            store.send(make_shipment(tmp_path, orthanc, study))
        assert_readable(caught.value)
        assert between.cuts
        between.cut_after = None
        before = len(FileJournal(tmp_path / "journal.json"))
        assert before, "nothing had arrived"
        shipment = make_shipment(tmp_path, orthanc, study)
        store.send(shipment)
        assert shipment.pace.calls == 5 - before  # type: ignore[attr-defined]  # the rest and the manifest
        assert_whole(server, shipment)
        assert store.confirm(shipment) == 4


def test_a_server_that_is_away_is_said_to_be_away(server: Server, orthanc: OrthancServer, tmp_path: Path) -> None:
    with proxy(1) as dead:  # nobody listens behind it
        store = through(server, dead)
        for call in (store.check, lambda: store.send(make_shipment(tmp_path, orthanc, load(orthanc, person(), 1)))):
            began = time.monotonic()
            with pytest.raises(Retriable) as caught:
                call()
            assert_readable(caught.value)
            assert time.monotonic() - began < 30


def test_a_server_that_never_answers_is_given_up(server: Server) -> None:
    with proxy(server.port) as between:
        between.pause_s = 3600
        began = time.monotonic()
        with pytest.raises(Retriable) as caught:
            through(server, between, timeout_s=1).check()
        assert_readable(caught.value)
        assert time.monotonic() - began < 20


def test_a_wrong_log_in_is_a_matter_of_configuration(server: Server, tmp_path: Path) -> None:
    wrong: dict[str, Any] = {"password_file": secret_file(tmp_path, "wrong")}
    if isinstance(server, S3rver):
        wrong = {"access_key_id": "WRONG"}  # it looks at the secret of none
    elif isinstance(server, Azurite):
        key = "d3Jvbmc="
        wrong = {"connection_string_file": secret_file(tmp_path, server.connection_string(key=key))}
    elif not isinstance(server, RcloneSftp):
        pytest.skip("it takes any log-in")
    with pytest.raises(ConfigurationError, match="refuses the log-in") as caught:
        destination(server, **wrong).check()
    assert_readable(caught.value)


def test_a_missing_bucket_is_a_matter_of_configuration(server: Server, orthanc: OrthancServer, tmp_path: Path) -> None:
    url = str(server.settings()["url"]).replace("research", "elsewhere").replace("incoming", "elsewhere")
    store = destination(server, url=url)
    with pytest.raises(ConfigurationError, match="is not there"):
        store.check()
    with pytest.raises(ConfigurationError, match="is not there"):
        store.send(make_shipment(tmp_path, orthanc, load(orthanc, person(), 1)))


def test_a_closing_window_keeps_what_has_arrived(moto: Moto, orthanc: OrthancServer, tmp_path: Path) -> None:
    study = load(orthanc, person(), 1, 2, 3)
    store = destination(moto)
    with pytest.raises(Postponed):
        store.send(make_shipment(tmp_path, orthanc, study, pace=NoPace(until=1)))
    shipment = make_shipment(tmp_path, orthanc, study)
    store.send(shipment)
    assert shipment.pace.calls == 3  # type: ignore[attr-defined]  # two files and the manifest
    assert_whole(moto, shipment)


def test_nothing_of_the_source_is_in_a_key_a_field_a_manifest_an_error_or_a_log(
    server: Server, orthanc: OrthancServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    somebody = person()
    shipment = make_shipment(tmp_path, orthanc, load(orthanc, somebody, 1, 2))
    fields: dict[str, object] = {} if isinstance(server, RcloneSftp) else {"metadata": "starr"}
    names = {"dicom": "{PatientID}/{StudyDescription}/{AccessionNumber}/{SOPInstanceUID}.dcm"}
    store = destination(server, names=names, manifest="{PatientName}/{StudyInstanceUID}.json", **fields)
    said = []
    with caplog.at_level(logging.DEBUG):
        store.send(shipment)
        store.confirm(shipment)
        with proxy(1) as dead, pytest.raises(DeidError) as caught:
            through(server, dead).send(make_shipment(tmp_path / "other", orthanc, shipment.output))
        said.append(repr(caught.value))
    held = server.held()
    texts = [*held, *said, caplog.text, *(c.decode("latin-1") for k, c in held.items() if k.endswith(".json"))]
    assert shipment.facts()["MainDicomTags"]["StudyInstanceUID"] in "".join(held)
    for marker in somebody.markers:
        assert not [text for text in texts if marker in text], marker
    assert "research" not in caplog.text  # no address or key of the store


def test_fields_for_search_stand_at_each_object(moto: Moto, orthanc: OrthancServer, tmp_path: Path) -> None:
    shipment = make_shipment(tmp_path, orthanc, load(orthanc, person(), 1))
    patient = shipment.facts()["PatientMainDicomTags"]["PatientID"]
    store = destination(moto, metadata={"CodedPatientID": "{PatientID}", "Kind": "a-{Modality}"})
    store.send(shipment)
    with moto.client() as s3:
        key = next(key for key in mine(moto, shipment) if key.endswith(".dcm"))
        head = s3.head_object(Bucket="research", Key=key)
    assert head["Metadata"] == {"codedpatientid": patient, "kind": "a-CT"}


def test_the_preset_starr_makes_the_archives_of_the_older_watcher(
    moto: Moto, orthanc: OrthancServer, tmp_path: Path
) -> None:
    shipment = make_shipment(tmp_path, orthanc, load(orthanc, person(), 1, 2))
    store = destination(moto, content=["tar.gz"], names="starr", metadata="starr")
    store.send(shipment)
    assert store.confirm(shipment) == 2
    patient = str(shipment.facts()["PatientMainDicomTags"]["PatientID"])
    key = next(key for key in moto.held(f"/Entity/{patient}/") if key.endswith(".tar.gz"))
    assert key.startswith(f"a/prefix/Collection/DEFAULT/Entity/{patient}/{patient}_")
    with tarfile.open(fileobj=io.BytesIO(moto.held(key)[key])) as archive:
        names = [Path(name) for name in archive.getnames()]
    assert {name.parent.name for name in names} == {Path(key).name.removesuffix(".tar.gz")}
    assert {name.suffix for name in names} == {".dcm"}
    assert len(names) == 2
    with moto.client() as s3:
        head = s3.head_object(Bucket="research", Key=key)
    tags = shipment.orthanc.get(f"/instances/{shipment.all[0]}/simplified-tags")
    assert head["ContentType"] == "application/gzip"
    assert head["Metadata"] == {
        "codedaccessionnumberid": fill("{AccessionNumber}", tags),
        "codedpatientid": patient,
        "contenttype": "application/gzip",
        "modality": "CT",
        "patientage": tags["PatientAge"],
        "patientsex": tags["PatientSex"],
        "studydescription": fill("{StudyDescription}", tags),
    }


def test_two_studies_of_one_name_do_not_overwrite_each_other(
    moto: Moto, orthanc: OrthancServer, tmp_path: Path
) -> None:
    store = destination(moto, names="same/{PatientSex}x.dcm".replace("{PatientSex}", "{Modality}"))
    one = make_shipment(tmp_path / "one", orthanc, load(orthanc, person(), 1))
    two = make_shipment(tmp_path / "two", orthanc, load(orthanc, person(), 1))
    store.send(one)
    with pytest.raises(Rejected, match="another study"):
        store.send(two)
    assert store.confirm(one) == 1


class Encrypted(Moto):
    """S3 over TLS, with a certificate of its own."""

    days = 1

    def words(self) -> list[str]:
        make_certificate(self.folder, self.days)
        return [*super().words(), "-s", "-c", str(self.folder / "cert.pem"), "-k", str(self.folder / "key.pem")]

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def settings(self) -> dict[str, Any]:
        return {**super().settings(), "ca_file": str(self.folder / "cert.pem")}


class Expired(Encrypted):
    """The same, a day after its certificate has ended."""

    days = -1


def make_certificate(folder: Path, days: int) -> None:
    """Write a certificate for this machine that ends so many days from now, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    end = datetime.now(UTC) + timedelta(days=days)
    address = x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))])
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = (
        builder.not_valid_before(end - timedelta(days=9)).not_valid_after(end).add_extension(address, critical=False)
    )
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    pem = serialization.Encoding.PEM
    (folder / "cert.pem").write_bytes(builder.sign(key, hashes.SHA256()).public_bytes(pem))
    private = serialization.PrivateFormat.PKCS8
    (folder / "key.pem").write_bytes(key.private_bytes(pem, private, serialization.NoEncryption()))


@pytest.mark.parametrize("kind", [Encrypted, Expired])
def test_a_certificate_is_looked_at(kind: type[Encrypted], tmp_path: Path) -> None:
    server = kind(tmp_path / "tls")
    server.start()
    try:
        if kind is Expired:
            with pytest.raises(Retriable, match="certificate is not accepted"):
                destination(server).check()
        else:
            requests.put(f"{server.url}/research", verify=str(tmp_path / "tls" / "cert.pem"), timeout=20)
            assert destination(server).check()
            with pytest.raises(Retriable, match="certificate is not accepted"):
                destination(server, ca_file=None).check()
    finally:
        server.kill()


@pytest.mark.parametrize("trusted", [True, False])
@pytest.mark.parametrize("scheme", ["gs", "az"])
def test_the_certificates_of_google_and_azure_are_looked_at_as_well(
    tmp_path: Path, scheme: str, *, trusted: bool
) -> None:
    server = Encrypted(tmp_path / "tls")
    server.start()
    try:
        more: dict[str, Any] = {"endpoint_url": server.url, "anonymous": True}
        if scheme == "az":
            address = f"BlobEndpoint={server.url}/devstoreaccount1;AccountName=devstoreaccount1;AccountKey=d3Jvbmc="
            more = {"connection_string_file": secret_file(tmp_path, address)}
        if trusted:
            more["ca_file"] = tmp_path / "tls" / "cert.pem"
        values = {"name": "store", "kind": "object-store", "url": f"{scheme}://elsewhere", "timeout_s": 5, **more}
        store = ObjectStoreDestination(ObjectStore.model_validate(values, strict=False), Orthanc.__new__(Orthanc))
        with pytest.raises(DeidError) as caught:  # what is behind the certificate speaks S3
            store.check()
        assert ("certificate" in str(caught.value)) is not trusted
    finally:
        server.kill()


SENDER = """
import json, sys
sys.path[:0] = json.loads(sys.argv[1])
from pathlib import Path
from orthanc_deid.destinations.files.object_store import ObjectStoreDestination
from orthanc_deid.orthanc_rest import Address, Orthanc
from orthanc_deid.settings.files import ObjectStore
from shipments import make_shipment
values, address, folder, study = json.loads(sys.argv[2]), json.loads(sys.argv[3]), sys.argv[4], sys.argv[5]
orthanc = Orthanc(Address(**address))
store = ObjectStoreDestination(ObjectStore.model_validate(values, strict=False), orthanc)
store.send(make_shipment(Path(folder), orthanc, study))
"""


def test_a_process_that_is_killed_while_sending_leaves_what_the_next_one_finishes(
    server: Server, orthanc: OrthancServer, tmp_path: Path
) -> None:
    study = load(orthanc, person(), *range(1, 9), size=200_000)
    settings = {"name": "store", "kind": "object-store", "timeout_s": 20, **server.settings()}
    address = client(orthanc).address
    journal = FileJournal(tmp_path / "journal.json")
    log_in = {"url": address.url, "authorization": address.authorization}
    words = [json.dumps(sys.path), json.dumps(settings), json.dumps(log_in), str(tmp_path), study]
    for count in (2, 5):
        with subprocess.Popen([sys.executable, "-c", SENDER, *words]) as process:
            end = time.monotonic() + 60
            while len(journal) < count and process.poll() is None:
                assert time.monotonic() < end
                time.sleep(0.005)
            process.kill()
    for path in (tmp_path / "work").iterdir():
        path.unlink()  # the worker's temporary folder is another one for each run
    shipment = make_shipment(tmp_path, orthanc, study)
    store = destination(server)
    store.send(shipment)
    assert_whole(server, shipment)
    assert store.confirm(shipment) == 8


def assert_readable(error: DeidError) -> None:
    """Fail where a message is not a sentence of ours."""
    text = str(error)
    assert "http" not in text
    assert "127.0.0.1" not in text
    assert ".dcm" not in text
    assert len(text.split()) > 3
