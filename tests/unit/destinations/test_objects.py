"""The kind `object-store`: its settings, what errors mean, the keys of SFTP servers, hashes."""

import errno
import hashlib
import os
import ssl
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from botocore.exceptions import ClientError
from pydantic import ValidationError

from object_servers import RcloneSftp, make_key
from orthanc_deid.destinations.files.metadata import fill
from orthanc_deid.destinations.files.object_store import ObjectStoreDestination
from orthanc_deid.errors import ConfigurationError, DeidError, Rejected, Retriable
from orthanc_deid.orthanc_rest import Orthanc
from orthanc_deid.settings.files import ObjectStore
from orthanc_deid.stores import errors
from orthanc_deid.stores.store import digest, media_type
from servers import OrthancServer
from shipments import make_shipment, passing
from studies import Person, ct_instance


def settings(**more: object) -> ObjectStore:
    """Return settings of an object store."""
    values = {"name": "store", "kind": "object-store", "url": "s3://bucket/prefix", **more}
    return ObjectStore.model_validate(values, strict=False)


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"url": "ftp://host/folder"}, "it begins with s3"),
        ({"url": "s3://"}, "s3://bucket/prefix"),
        ({"url": "s3://key:secret@bucket"}, "does not belong here"),
        ({"url": "s3://bucket:9000"}, "endpoint_url"),
        ({"url": "s3://bucket/../other"}, "prefix"),
        ({"url": "s3://bucket?x=1"}, "without"),
        ({"access_key_id": "x"}, "belong together"),
        (
            {"access_key_id": "x", "secret_access_key_file": "/a", "secret_access_key_env": "B"},
            "secret_access_key_file or secret_access_key_env, not both",
        ),
        ({"kms_key_id": "x"}, "server_side_encryption: aws:kms"),
        ({"connection_string_env": "X"}, "connection_string_env belongs to az"),
        ({"known_hosts": "/x"}, "known_hosts belongs to sftp"),
        ({"url": "az://container"}, "connection_string_file"),
        ({"url": "sftp://host/folder", "username": "x"}, "private_key_file"),
        ({"url": "sftp://host/folder", "username": "x", "password_env": "X"}, "anybody could be the server"),
        ({"metadata": {"a b": "x"}}, "pattern"),
        ({"metadata": {"a": "{PatientBirthDate}"}}, "a field that is not known"),
        ({"part_bytes": 1000}, "greater than or equal"),
    ],
)
def test_settings_that_cannot_be_are_refused_with_the_mend(more: dict[str, object], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        settings(**more)


def test_a_secret_that_is_missing_is_named_at_the_moment_of_use() -> None:
    store = settings(access_key_id="x", secret_access_key_env="ORTHANC_DEID_NOT_SET")
    with pytest.raises(ConfigurationError, match="ORTHANC_DEID_NOT_SET is not set"):
        ObjectStoreDestination(store, Orthanc.__new__(Orthanc)).check()


def test_metadata_values_hold_nothing_that_a_header_could_not() -> None:
    assert fill("a-{StudyDescription}", {"StudyDescription": "Thorax\r\nX-Evil: 1 é"}) == "a-Thorax_X-Evil_1_"
    assert fill("{Modality}", {}) == "none"
    assert fill("{ContentType}", {"ContentType": "application/gzip"}) == "application/gzip"


@pytest.mark.parametrize(
    ("key", "kind"),
    [
        ("a/b.dcm", "application/dicom"),
        ("a.tar.gz", "application/gzip"),
        ("a/b.nii.gz", "application/gzip"),
        ("a/manifest.json", "application/json"),
        ("a/1.2.840.10008", "application/octet-stream"),
        ("a.zip/IM000001", "application/octet-stream"),
    ],
)
def test_a_name_tells_the_media_type(key: str, kind: str) -> None:
    assert media_type(key) == kind


@pytest.mark.parametrize("size", [0, 1, 4096, 10_000, 10_240, 3 * 10_240 + 7])
def test_the_hashes_of_a_file_are_those_of_the_whole_and_of_its_parts(tmp_path: Path, size: int) -> None:
    content = os.urandom(size)
    (tmp_path / "file").write_bytes(content)
    found = digest(tmp_path / "file", 10_240)
    parts = [hashlib.md5(content[i : i + 10_240]).digest() for i in range(0, size, 10_240)]  # noqa: S324  # S3's own
    assert found.size == size
    assert found.sha256 == hashlib.sha256(content).hexdigest()
    assert found.md5 == hashlib.md5(content).digest()  # noqa: S324  # what the stores compare
    assert found.etag == f"{hashlib.md5(b''.join(parts)).hexdigest()}-{len(parts)}"  # noqa: S324  # S3's own


def _after(first: Exception, then: Exception) -> Exception:
    then.__context__ = first
    return then


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (OSError(errno.ENOSPC, "secret path"), Retriable, "full"),
        (PermissionError("secret path"), ConfigurationError, "log-in"),
        (FileNotFoundError("secret path"), ConfigurationError, "bucket"),
        (TimeoutError("secret path"), Retriable, "in time"),
        (ssl.SSLCertVerificationError("certificate has expired: secret path"), Retriable, "certificate"),
        (ClientError({"Error": {"Code": "SignatureDoesNotMatch"}}, "secret"), ConfigurationError, "log-in"),
        (ValueError("secret path"), Retriable, "ValueError"),
        (_after(OSError(errno.ENOSPC, "first"), PermissionError("while cleaning up")), Retriable, "full"),
    ],
)
def test_an_error_of_a_library_becomes_a_sentence_of_ours(error: Exception, kind: type[DeidError], words: str) -> None:
    with pytest.raises(kind, match=words) as caught, errors.translated():
        raise error
    assert "secret" not in str(caught.value)
    assert caught.value.__suppress_context__


def test_a_mistake_of_our_own_is_not_taken_for_the_stores() -> None:
    with pytest.raises(TypeError), errors.translated():
        raise TypeError("a mistake")


@pytest.fixture
def sftp(tmp_path: Path) -> Iterator[Callable[..., RcloneSftp]]:
    """Answer a function that starts an SFTP server; all end with the test."""
    made: list[RcloneSftp] = []

    def start(kind: type[RcloneSftp] = RcloneSftp) -> RcloneSftp:
        made.append(kind(tmp_path / f"sftp-{len(made)}"))
        made[-1].start()
        return made[-1]

    yield start
    for server in made:
        server.kill()


def connected(server: RcloneSftp, **more: object) -> ObjectStoreDestination:
    """Return the destination that a server is."""
    return ObjectStoreDestination(settings(timeout_s=5, **{**server.settings(), **more}), Orthanc.__new__(Orthanc))


def test_a_server_is_known_by_its_file_or_its_fingerprint_and_no_other_is(
    sftp: Callable[..., RcloneSftp], tmp_path: Path
) -> None:
    server = sftp()
    assert connected(server).check()
    assert connected(server, known_hosts=None, host_key_sha256=[server.fingerprint()]).check()
    make_key(tmp_path / "other")
    other = (tmp_path / "other.pub").read_text()
    strange = tmp_path / "known_hosts"
    strange.write_text(f"[127.0.0.1]:{server.port} {other}")
    empty = tmp_path / "empty"
    empty.write_text("")
    for more in (
        {"known_hosts": strange},
        {"known_hosts": empty},
        {"known_hosts": None, "host_key_sha256": ["SHA256:x"]},
    ):
        with pytest.raises(ConfigurationError, match="key is not the one that is known"):
            connected(server, **more).check()
    with pytest.raises(ConfigurationError, match="cannot be read"):
        connected(server, known_hosts=tmp_path / "missing").check()


class WithKeys(RcloneSftp):
    """An SFTP server that takes keys alone."""

    def words(self) -> list[str]:
        make_key(self.folder / "user-key")
        words = super().words()
        at = words.index("--user")
        return [*words[:at], "--authorized-keys", str(self.folder / "user-key.pub"), *words[at + 4 :]]

    def settings(self) -> dict[str, object]:
        log_in = {"password_file": None, "private_key_file": str(self.folder / "user-key")}
        return {**super().settings(), **log_in}


def test_a_private_key_is_as_good_as_a_password(sftp: Callable[..., RcloneSftp], tmp_path: Path) -> None:
    server = sftp(WithKeys)
    assert connected(server).check()
    make_key(tmp_path / "other")
    with pytest.raises(ConfigurationError, match="refuses the log-in"):
        connected(server, private_key_file=tmp_path / "other").check()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Answer a mounted file system of 64 KiB, where an SFTP server will serve."""
    path = tmp_path / "sftp-0" / "served" / "incoming"
    path.mkdir(parents=True)
    words = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(path)]
    if os.geteuid() or subprocess.run(words, capture_output=True, timeout=10, check=False).returncode:
        pytest.skip("nothing can be mounted here")
    yield path
    subprocess.run(["umount", "--lazy", str(path)], timeout=10, check=True)


def test_a_far_side_whose_disk_is_full_is_sent_the_rest_later(
    small_disk: Path, sftp: Callable[..., RcloneSftp], tmp_path: Path
) -> None:
    server = sftp()
    store = connected(server)
    filler = small_disk / "filler"
    filler.write_bytes(b"x" * 48_000)
    with passing(OrthancServer(tmp_path / "orthanc")) as orthanc:
        for number in range(1, 7):
            study = orthanc.upload(ct_instance(Person(), number=number)).json()["ParentStudy"]
        with pytest.raises(Retriable, match="its disk may be full"):
            store.send(make_shipment(tmp_path, orthanc, study))
        filler.unlink()
        shipment = make_shipment(tmp_path, orthanc, study)
        store.send(shipment)
        assert store.confirm(shipment) == 6
        held = sorted(path.read_bytes() for path in small_disk.rglob("*.dcm"))
        assert held == sorted(shipment.orthanc.file(i) for i in shipment.all)


def test_a_refusal_that_is_no_matter_of_time_is_not_tried_again() -> None:
    class HttpResponseError(Exception):
        status_code = 400

    with pytest.raises(Rejected, match="400"), errors.translated():
        raise HttpResponseError("secret")
