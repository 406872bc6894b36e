"""What goes wrong on the way to Flywheel: nothing is lost, nothing is there twice, the reason can be read."""

import contextlib
import datetime as dt
import ipaddress
import json
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from fake_flywheel import FakeFlywheel, Faults
from flywheel_studies import KEY_VARIABLE, Study, settings
from orthanc_deid.destinations.flywheel import FlywheelDestination
from orthanc_deid.errors import ConfigurationError, DeidError, Rejected, Retriable
from servers import CHECKOUT, OrthancServer, free_port, wait_for
from shipments import client, make_shipment, passing

pytest.importorskip("flywheel")
LEVELS = ("subjects", "sessions", "acquisitions")


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OrthancServer]:
    with passing(OrthancServer(tmp_path_factory.mktemp("orthanc"))) as server:
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


def deliver(study: Study, folder: Path, *, seconds: float = 60, **more: object) -> int:
    shipment = make_shipment(folder, study.orthanc, study.id, seconds=seconds)
    target = FlywheelDestination(settings(**more), client(study.orthanc))
    target.send(shipment)
    return target.confirm(shipment)


def assert_exactly_once(site: FakeFlywheel) -> None:
    """Two series of one study: one subject, one session, two acquisitions, two files in their first version."""
    assert [len(site.containers[level]) for level in LEVELS] == [1, 1, 2]
    assert sorted(file["version"] for file in site.files().values()) == [1, 1]


def test_a_site_that_is_down_delays_and_loses_nothing(site: FakeFlywheel, study: Study, tmp_path: Path) -> None:
    with site.down(), pytest.raises(Retriable, match="cannot be reached"):
        deliver(study, tmp_path)
    assert deliver(study, tmp_path) == 4
    assert_exactly_once(site)


def test_a_wrong_key_is_told(site: FakeFlywheel, study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_VARIABLE, site.key + "x")
    with pytest.raises(ConfigurationError, match="refuses the key"):
        deliver(study, tmp_path)
    with pytest.raises(ConfigurationError, match="refuses the key"):
        FlywheelDestination(settings(), client(study.orthanc)).check()
    assert site.created() == {}


@pytest.mark.parametrize("path", ["groups/lab", "subjects", "acquisitions"])
def test_a_user_who_may_not_is_told(site: FakeFlywheel, study: Study, tmp_path: Path, path: str) -> None:
    site.faults.forbidden = (path,)
    with pytest.raises(Rejected, match="needs read-write there"):
        deliver(study, tmp_path)
    site.faults.forbidden = ()
    assert deliver(study, tmp_path) == 4
    assert_exactly_once(site)


def test_a_site_that_is_busy_for_a_moment_is_asked_again(site: FakeFlywheel, study: Study, tmp_path: Path) -> None:
    site.faults.unavailable = 2
    assert deliver(study, tmp_path) == 4
    assert_exactly_once(site)


def test_the_time_that_a_busy_site_names_is_passed_on(site: FakeFlywheel, study: Study, tmp_path: Path) -> None:
    site.faults = Faults(unavailable=50, retry_after="0.2")
    with pytest.raises(Retriable, match=r"busy \(503\)") as told:
        deliver(study, tmp_path)
    assert told.value.after_s == 0.2
    site.faults = Faults()
    assert deliver(study, tmp_path) == 4
    assert_exactly_once(site)


@pytest.mark.parametrize("path", [*LEVELS, "files"])
@pytest.mark.parametrize("hierarchy", ["find", "upsert"])
def test_a_lost_answer_makes_nothing_twice(
    site: FakeFlywheel, study: Study, tmp_path: Path, path: str, hierarchy: str
) -> None:
    path = path if hierarchy == "find" or path == "files" else "upsert-hierarchy"
    site.faults = Faults(lost_answers=1, lost_path=path)
    assert deliver(study, tmp_path, hierarchy=hierarchy) == 4
    assert site.faults.lost_answers == 0
    assert_exactly_once(site)


@pytest.mark.parametrize("digest", ["v0-sha384", "crc32c"])
def test_answers_that_are_lost_until_the_next_run_make_nothing_twice(
    site: FakeFlywheel, study: Study, tmp_path: Path, digest: str
) -> None:
    site.digest = digest
    for path in LEVELS:
        site.faults = Faults(lost_answers=1, lost_path=path)
        with pytest.raises(Retriable):
            deliver(study, tmp_path, attempts=1)
    site.faults = Faults(lost_answers=2, lost_path="files")
    assert deliver(study, tmp_path, attempts=1) == 4
    assert_exactly_once(site)


@pytest.mark.parametrize("signed", [False, True])
def test_an_upload_that_is_cut_leaves_no_piece(
    site: FakeFlywheel, study: Study, tmp_path: Path, *, signed: bool
) -> None:
    site.signed = signed
    site.faults.cut_uploads = 50
    with pytest.raises(Retriable, match="cannot be reached"):
        deliver(study, tmp_path, attempts=2)
    assert not site.files()
    site.faults.cut_uploads = 1
    assert deliver(study, tmp_path) == 4
    assert_exactly_once(site)


@pytest.mark.parametrize("signed", [False, True])
def test_an_upload_that_is_too_slow_is_tried_again_later(
    site: FakeFlywheel, study: Study, tmp_path: Path, *, signed: bool
) -> None:
    site.signed = signed
    site.faults.hold_upload_s = 1.6
    with pytest.raises(Retriable, match="does not answer in time"):
        deliver(study, tmp_path, timeout_s=1, attempts=1)
    site.faults.hold_upload_s = 0
    assert deliver(study, tmp_path) == 4
    assert [len(site.containers[level]) for level in LEVELS] == [1, 1, 2]


def test_a_signed_upload_may_take_longer_than_the_http_library_waits(
    site: FakeFlywheel, orthanc: OrthancServer, tmp_path: Path
) -> None:
    study = Study(orthanc)
    study.add(1)
    site.signed = True
    site.faults.hold_upload_s = 5.2  # 5 s is what it waits by itself
    assert deliver(study, tmp_path, timeout_s=10) == 2


def test_the_time_for_sending_ends_between_two_files(site: FakeFlywheel, study: Study, tmp_path: Path) -> None:
    site.faults.hold_upload_s = 0.6
    with pytest.raises(Retriable, match="time for sending is over"):
        deliver(study, tmp_path, seconds=0.4)
    assert len(site.files()) == 1
    site.faults.hold_upload_s = 0
    assert deliver(study, tmp_path) == 4
    assert_exactly_once(site)


@pytest.mark.parametrize("status", [507, 500])
@pytest.mark.parametrize("signed", [False, True])
def test_a_site_whose_disk_is_full_gets_it_later(
    site: FakeFlywheel, study: Study, tmp_path: Path, status: int, *, signed: bool
) -> None:
    site.signed = signed
    site.faults = Faults(full=50, full_status=status)
    with pytest.raises(Retriable, match=f"full or busy \\({status}\\)"):
        deliver(study, tmp_path, attempts=2)
    site.faults = Faults()
    assert deliver(study, tmp_path) == 4
    assert_exactly_once(site)


def test_storage_that_is_full_in_the_middle_of_a_file_is_told(site: FakeFlywheel, study: Study, tmp_path: Path) -> None:
    site.signed, site.part_bytes = True, 256 * 1024
    study.add(3, description="big", bulk=600)
    assert deliver(study, tmp_path / "small", content=["dicom"]) == 6
    site.containers["acquisitions"].clear()
    real, site.faults = site.ticket, Faults(full_status=507)

    def full_after(acquisition: str, body: dict[str, object]) -> tuple[int, object]:
        site.faults.full = 1  # the ticket is given, the first part refused
        return real(acquisition, body)

    site.ticket = full_after  # type: ignore[method-assign, assignment]
    with pytest.raises(Retriable, match=r"full or busy \(507\)"):
        deliver(study, tmp_path / "large", attempts=1)
    assert not site.files()


def test_a_sender_that_is_killed_in_the_middle_is_finished_by_the_next(
    site: FakeFlywheel, study: Study, tmp_path: Path
) -> None:
    study.add(3, description="T1 post")
    told = {
        "url": study.orthanc.url,
        "password": study.orthanc.password,
        "folder": str(tmp_path),
        "study": study.id,
        "settings": {"api_key_file": str(tmp_path / "key"), "api_key_env": None},
    }
    (tmp_path / "key").write_text(site.key)
    script = [sys.executable, str(CHECKOUT / "tests" / "flywheel_sender.py"), json.dumps(told)]
    site.faults.hold_upload_s = 0.7
    process = subprocess.Popen(script, stdout=subprocess.DEVNULL)
    try:
        wait_for(lambda: len(site.files()) == 1, 30, "the first file")
    finally:
        process.kill()
        process.wait(10)
    time.sleep(2 * site.faults.hold_upload_s)  # the site may have all of the second file: it is there a moment later
    site.faults.hold_upload_s = 0
    assert len(site.files()) in (1, 2)
    done = subprocess.run(script, capture_output=True, text=True, timeout=60, check=True)
    assert done.stderr == ""
    assert deliver(study, tmp_path) == 6
    assert [len(site.containers[level]) for level in LEVELS] == [1, 1, 3]
    assert [file["version"] for file in site.files().values()] == [1, 1, 1]
    assert site.count("POST", "/api/acquisitions") == 3


def test_an_answer_that_the_sdk_does_not_understand_is_told(site: FakeFlywheel, study: Study, tmp_path: Path) -> None:
    site.matching = lambda *_: {"no": "list"}  # type: ignore[method-assign, assignment]
    with pytest.raises(DeidError):
        deliver(study, tmp_path)
    assert site.created() == {}


def test_a_certificate_that_has_expired_is_told(study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate = _expired(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with socket.create_server(("127.0.0.1", free_port())) as listener:
        listener.settimeout(5)
        monkeypatch.setenv(KEY_VARIABLE, f"127.0.0.1:{listener.getsockname()[1]}:key")
        server = threading.Thread(target=_shake_hands, args=(listener, context))
        server.start()
        with pytest.raises(Retriable, match=r"certificate is not valid \(code 10"):  # X509_V_ERR_CERT_HAS_EXPIRED
            FlywheelDestination(settings(attempts=1), client(study.orthanc)).check()
        server.join(10)


def _shake_hands(listener: socket.socket, context: ssl.SSLContext) -> None:
    connection, _ = listener.accept()
    with connection, contextlib.suppress(OSError):
        context.wrap_socket(connection, server_side=True).close()


def _expired(folder: Path) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    then = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(then)
        .not_valid_after(then + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = folder / "expired.pem"
    path.write_bytes(secret + made.public_bytes(serialization.Encoding.PEM))
    return path
