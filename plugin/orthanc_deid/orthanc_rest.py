"""The calls of Orthanc's REST API that we use, typed, over few kept-alive connections."""

import base64
import http.client
import json
import ssl
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urlsplit

import urllib3

from .errors import ConfigurationError, NotFound, Rejected, Retriable
from .settings import OrthancNode, Settings, read_secret

# identity: Orthanc would spend 50 ms compressing each file for a client on the same machine.
HEADERS = {"Accept-Encoding": "identity", "Content-Type": "application/json"}
LARGE = 65536
PIECE = 1 << 20  # bytes
ENDED = ("Success", "Failure")
# X509_V_ERR_* of OpenSSL, in our words.
CERTIFICATE = {
    9: "its TLS certificate is not valid yet",
    10: "its TLS certificate has expired",
    62: "its TLS certificate is for another host name",
    64: "its TLS certificate is for another address",
}


@dataclass(frozen=True)
class Address:
    """Where an Orthanc is and how to log in; can be sent to a child process."""

    url: str
    authorization: str | None
    timeout_s: float = 60.0
    ca_file: str | None = None  # authorities that are trusted; None: the system's
    certificate: tuple[str, str] | None = None  # files of our own certificate and its key
    name: str = "Orthanc"  # in messages

    def __repr__(self) -> str:
        """Show no secret, wherever it is printed."""
        return "Address(...)"


def local_address(settings: Settings) -> Address:
    """Return how this process reaches the Orthanc that it serves.

    Raises
    ------
    ConfigurationError
        A password file is named and cannot be read.
    """
    if settings.orthanc_token:
        return Address(settings.orthanc_url, settings.orthanc_token)
    if settings.orthanc_username and settings.orthanc_password_file:
        return Address(
            settings.orthanc_url, basic(settings.orthanc_username, read_secret(settings.orthanc_password_file))
        )
    return Address(settings.orthanc_url, None)


def peer_address(peer: OrthancNode, name: str = "the peer Orthanc") -> Address:
    """Return how this process reaches another Orthanc directly."""
    password = peer.password()
    authorization = basic(peer.username, password) if peer.username and password else None
    own = (str(peer.certificate_file), str(peer.key_file)) if peer.certificate_file else None
    trusted = str(peer.ca_file) if peer.ca_file else None
    return Address(str(peer.url).rstrip("/"), authorization, peer.timeout_s, trusted, own, name)


def basic(username: str, password: str) -> str:
    """Return the value of a Basic Authorization header, in UTF-8 (RFC 7617 section 2.1)."""
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode("ascii")


@dataclass(frozen=True)
class Stored:
    """What became of an instance that was sent."""

    instance: str  # Orthanc id; empty: it was kept out
    status: str  # Orthanc's word: Success, AlreadyStored, FilteredOut


class Orthanc:
    """One Orthanc. Every method raises Retriable when it cannot be reached, NotFound, or Rejected with the code."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self._name = address.name
        self._prefix = urlsplit(address.url).path.rstrip("/")  # of an Orthanc behind a reverse proxy
        self._pool = urllib3.connectionpool.connection_from_url(
            address.url,
            **_trust(address),
            maxsize=8,
            timeout=urllib3.Timeout(connect=10, read=address.timeout_s),
            retries=False,
            headers=HEADERS | ({"Authorization": address.authorization} if address.authorization else {}),
        )

    def call(
        self,
        method: str,
        path: str,
        body: bytes | BinaryIO | None = None,
        content_type: str | None = None,
        away: tuple[int, ...] = (),
    ) -> bytes:
        """Send one request and return the whole answer.

        Raises
        ------
        Retriable
            No connection, a time-out, a refused log-in (the token changes when Orthanc starts), or a code that says
            that the server is starting or full; `away` names further ones.
        NotFound
            404.
        Rejected
            Any other refusal; the message holds the code only, since a body may hold an identity.
        """
        status, content = self.exchange(method, path, body, content_type)
        self._accept(status, method, away)
        return content

    def exchange(
        self, method: str, path: str, body: bytes | BinaryIO | None = None, content_type: str | None = None
    ) -> tuple[int, bytes]:
        """Send one request and return status and content; raise Retriable where nothing comes back.

        The content of a refusal may hold an identity: read it, but do not show it.
        """
        headers = {**self._pool.headers, "Content-Type": content_type} if content_type else None
        if headers and body is not None and not isinstance(body, bytes):
            headers["Content-Length"] = str(_length(body))  # Orthanc wants it announced
        try:
            answer = self._pool.request(method, self._prefix + path, body=body, headers=headers, preload_content=False)
            return answer.status, _whole(answer)
        except (urllib3.exceptions.HTTPError, http.client.HTTPException, OSError) as error:
            raise Retriable(f"{self._name} cannot be reached ({reason(error)})") from None

    def _accept(self, status: int, method: str, away: tuple[int, ...]) -> None:
        """Raise what another status than 200 means."""
        if status == 200:
            return
        if status == 404:
            raise NotFound(f"{self._name} does not know that resource (404)")
        if status in (401, 403):
            raise Retriable(f"{self._name} refuses the log-in ({status})")
        if status in (502, 503, 504, 507, *away):
            raise Retriable(f"{self._name} is away ({status})")
        raise Rejected(f"{self._name} refuses {method} with code {status}")

    def get(self, path: str) -> Any:  # noqa: ANN401  # JSON
        """GET a JSON answer."""
        return self._json(self.call("GET", path))

    def post(self, path: str, body: Mapping[str, Any]) -> Any:  # noqa: ANN401  # JSON
        """POST a JSON body and return the JSON answer."""
        return self._json(self.call("POST", path, json.dumps(body).encode()) or b"null")

    def _json(self, content: bytes) -> Any:  # noqa: ANN401  # JSON
        try:
            return json.loads(content)
        except ValueError:  # of a reverse proxy, or of something else that listens there
            raise Retriable(
                f"{self._name} answers something else than JSON: is that the address of an Orthanc?"
            ) from None

    # Studies.

    def system(self) -> dict[str, Any]:
        """Return version, name, AE title, database version."""
        return dict(self.get("/system"))

    def study(self, study: str) -> dict[str, Any]:
        """Return one study: IsStable, LastUpdate, MainDicomTags, PatientMainDicomTags, Series."""
        return dict(self.get(f"/studies/{study}"))

    def series(self, study: str) -> list[dict[str, Any]]:
        """Return the series of a study, each with the Orthanc ids of its Instances."""
        return list(self.get(f"/studies/{study}/series"))

    def instances(self, study: str) -> list[dict[str, Any]]:
        """Return the instances of a study, each with MainDicomTags and ParentSeries."""
        return list(self.get(f"/studies/{study}/instances?expand"))

    def instance_ids(self, study: str) -> list[str]:
        """Return the Orthanc ids of all instances of a study, series by series."""
        return [instance for series in self.series(study) for instance in series["Instances"]]

    def lookup(self, study_uid: str) -> list[str]:
        """Return the Orthanc ids of the studies of that StudyInstanceUID: several where their PatientIDs differ."""
        found = self._json(self.call("POST", "/tools/lookup", study_uid.encode(), "text/plain"))
        return [str(each["ID"]) for each in found if each["Type"] == "Study"]

    def present(self, study: str) -> set[str]:
        """Return the Orthanc ids of the instances that are there; none where the study is gone."""
        try:
            return set(self.instance_ids(study))
        except NotFound:
            return set()

    def studies(self, page: int = 500) -> Iterator[dict[str, Any]]:
        """Walk over all studies, a page at a time: a whole archive does not fit into memory."""
        since = 0
        while True:
            found = self.study_page(since, page)
            yield from found
            if len(found) < page:
                return
            since += len(found)

    def study_page(self, since: int, limit: int) -> list[dict[str, Any]]:
        """Return the studies from that number on, counted from 0 in Orthanc's own order."""
        return list(self.get(f"/studies?since={since}&limit={limit}&expand"))

    def changes(self, since: int, limit: int = 1000) -> dict[str, Any]:
        """Return {"Changes": [{"ChangeType", "ID", "ResourceType", "Seq"}], "Done", "Last"}."""
        return dict(self.get(f"/changes?since={since}&limit={limit}"))

    def delete(self, level: str, resource: str) -> None:
        """Delete a resource; one that is gone already is as good."""
        try:
            self.call("DELETE", f"/{level}/{resource}")
        except NotFound:
            return

    # Instances.

    def file(self, instance: str) -> bytes:
        """Return the DICOM file of an instance."""
        return self.call("GET", f"/instances/{instance}/file")

    def save(self, instance: str, path: Path) -> int:
        """Write the DICOM file of an instance to a path, piece by piece, and return its size in bytes.

        What stands there is replaced; after an exception the file may be incomplete.
        """
        try:
            answer = self._pool.request("GET", f"{self._prefix}/instances/{instance}/file", preload_content=False)
            try:
                self._accept(answer.status, "GET", ())
                with path.open("wb") as file:
                    return sum(file.write(piece) for piece in answer.stream(PIECE))
            finally:
                answer.close()  # only what was not read to its end: the others have given their connection back
        except (urllib3.exceptions.HTTPError, http.client.HTTPException) as error:
            raise Retriable(f"{self._name} cannot be reached ({reason(error)})") from None

    def tags(self, instance: str) -> dict[str, Any]:
        """Return all attributes before the pixels: {"gggg,eeee": {"Name", "Type", "Value"}}, sequences nested."""
        return dict(self.get(f"/instances/{instance}/tags"))

    def metadata(self, instance: str, name: str) -> str:
        """Return a piece of Orthanc's own metadata of an instance."""
        return self.call("GET", f"/instances/{instance}/metadata/{name}").decode("ascii", "replace")

    def anonymized(self, instance: str, payload: Mapping[str, Any]) -> bytes:
        """Return what Orthanc's own /anonymize makes of an instance; nothing is stored."""
        return self.call("POST", f"/instances/{instance}/anonymize", json.dumps(payload).encode())

    def store(self, dicom: bytes) -> str:
        """Store a DICOM file and return its Orthanc id, also where it was stored before.

        Raises
        ------
        Rejected
            A filter of that Orthanc keeps it out.
        """
        return self._store(dicom)[0]

    def offer(self, dicom: bytes | BinaryIO) -> Stored:
        """Send a DICOM file, a large one piece by piece from where it stands, and return what became of it.

        Raises
        ------
        Rejected
            Orthanc does not take it for DICOM, or the door has no place to keep it.
        """
        try:
            content = self.call("POST", "/instances", dicom, "application/dicom", away=(500,))
        except NotFound:  # its word for an instance without the identifiers
            raise Rejected(f"{self._name} finds no identifiers in it") from None
        answer = self._json(content)
        return Stored(str(answer.get("ID") or ""), str(answer.get("Status") or ""))

    def md5(self, instance: str) -> str:
        """Return the MD5 of the file of an instance, hexadecimal; empty where Orthanc does not keep it."""
        try:
            return self.call("GET", f"/instances/{instance}/attachments/dicom/md5").decode("ascii", "replace").strip()
        except (NotFound, Rejected):
            return ""

    def has_instance(self, sop_uid: str) -> bool:
        """Tell whether an instance of that SOP Instance UID is there."""
        found = self._json(self.call("POST", "/tools/lookup", sop_uid.encode(), "text/plain"))
        return any(each.get("Type") == "Instance" for each in found)

    def replace(self, dicom: bytes) -> str:
        """Store a DICOM file in place of whatever stands under its UIDs: an earlier run may have left another."""
        instance, is_new = self._store(dicom)
        if not is_new and self.file(instance) != dicom:
            self.delete("instances", instance)
            instance, _ = self._store(dicom)
        return instance

    def _store(self, dicom: bytes) -> tuple[str, bool]:
        answer = json.loads(
            self.call("POST", "/instances", dicom, "application/dicom", away=(500,))
        )  # 500: its disk is full
        if not answer.get("ID"):
            raise Rejected(f"{self._name} does not store the instance ({answer.get('Status')})")
        return str(answer["ID"]), answer.get("Status") != "AlreadyStored"

    # Peers and jobs.

    def put_peer(self, name: str, address: Address, username: str | None, password: str | None) -> None:
        """Make a peer known under that name."""
        body: dict[str, Any] = {"Url": address.url + "/", "Timeout": int(address.timeout_s)}
        if address.certificate:
            body |= {"CertificateFile": address.certificate[0], "CertificateKeyFile": address.certificate[1]}
        if username and password:
            body |= {"Username": username, "Password": password}
        self.call("PUT", f"/peers/{name}", json.dumps(body).encode())

    def plugins(self) -> set[str]:
        """Return the names of the plugins."""
        return set(self.get("/plugins"))

    def send_to_peer(self, name: str, resources: Sequence[str], *, compress: bool = False) -> str:
        """Begin to send instances; return the job's id."""
        body = {"Resources": list(resources), "Synchronous": False, "Compress": compress}
        return str(self.post(f"/peers/{name}/store", body)["ID"])

    def accelerate_to_peer(self, name: str, resources: Sequence[str], *, compress: bool = False) -> str:
        """Begin to send instances by the transfers accelerator, which both must have; return the job's id."""
        body = {
            "Resources": [{"Level": "Instance", "ID": resource} for resource in resources],
            "Compression": "gzip" if compress else "none",
            "Peer": name,
        }
        return str(self.post("/transfers/send", body)["ID"])

    def ended(self, job: str, seconds: float) -> dict[str, Any]:
        """Wait for the end of a job and return it: State, ErrorCode, ErrorDetails (not to be shown), Content.

        Raises
        ------
        Retriable
            It did not end in time; it is cancelled then.
        """
        end = time.monotonic() + seconds
        pause = 0.02
        while time.monotonic() < end:
            state = dict(self.get(f"/jobs/{job}"))
            if state["State"] in ENDED:
                return state
            time.sleep(pause)
            pause = min(pause * 1.5, 1.0)
        with suppress(NotFound, Rejected):  # it has ended meanwhile
            self.call("POST", f"/jobs/{job}/cancel", b"{}")
        raise Retriable(f"Orthanc's job did not end in {seconds:.0f} s")


def reason(error: BaseException) -> str:
    """Say why nothing came back: in our words for a certificate, by the error's type for all else."""
    seen: list[BaseException] = []
    rest: list[object] = [error]
    while rest:
        each = rest.pop()
        if isinstance(each, ssl.SSLCertVerificationError):
            return CERTIFICATE.get(each.verify_code, "its TLS certificate is not trusted: see ca_file")
        if isinstance(each, BaseException) and each not in seen:
            seen.append(each)
            rest += [each.__cause__, each.__context__, getattr(each, "reason", None), *each.args]
    return type(error).__name__


def _trust(address: Address) -> dict[str, str]:
    if not address.url.startswith("https:"):
        return {}
    named = {"ca_certs": address.ca_file}
    if address.certificate:
        named |= {"cert_file": address.certificate[0], "key_file": address.certificate[1]}
    for file in named.values():
        if file and not Path(file).is_file():
            raise ConfigurationError("a file that is named for TLS is not there")
    return {field: file for field, file in named.items() if file}


def _length(file: BinaryIO) -> int:
    """Return the bytes of a file, which stands at its begin afterwards."""
    length = file.seek(0, 2)
    file.seek(0)
    return length


def _whole(answer: urllib3.BaseHTTPResponse) -> bytes:
    """Read a body to its end and give the connection back.

    Into one buffer of the announced length: urllib3's own read took 1.7 ms for 512 KiB where this takes 0.5 ms.

    Raises
    ------
    http.client.IncompleteRead
        The connection ended before the announced length.
    """
    length = int(answer.headers.get("Content-Length") or 0)
    original = answer._original_response  # type: ignore[attr-defined]  # noqa: SLF001  # has readinto
    if length < LARGE or original is None:
        content = answer.read()
        answer.release_conn()
        return content
    buffer = bytearray(length)
    view = memoryview(buffer)
    done = 0
    while done < length:
        count = original.readinto(view[done:])
        if not count:
            answer.close()
            raise http.client.IncompleteRead(b"", length - done)
        done += count
    answer.release_conn()
    return bytes(buffer)
