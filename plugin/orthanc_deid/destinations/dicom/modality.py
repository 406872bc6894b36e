"""A DICOM node that our Orthanc speaks to for us: C-ECHO, C-STORE, C-FIND, storage commitment."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, NoReturn

from ...errors import ConfigurationError, NotFound, Rejected, Retriable
from ...orthanc_rest import Orthanc
from ...settings.network import DicomNode
from ..base import Shipment
from . import dimse, jobs
from .dimse import Refusal


class CannotBeAskedError(Exception):
    """The node is there but does not answer this question; the message is in our words."""


class RefusedError(Exception):
    """The node did not answer a question; `refusal` says what is known of it."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.words)
        self.refusal = refusal


@dataclass(frozen=True)
class Query:
    """A C-FIND that our Orthanc keeps, so that what was found can be retrieved."""

    path: str
    answers: list[dict[str, Any]]


class Modality:
    """A node registered in our Orthanc under a name of ours; Orthanc may forget it when it starts again.

    Every method raises Retriable where the node is away.
    """

    def __init__(self, orthanc: Orthanc, name: str, settings: DicomNode) -> None:
        self._orthanc = orthanc
        self._settings = settings
        # A prefix of our own: a modality of the site's orthanc.json must not be replaced.
        self._path = f"/modalities/deid-{name}"

    def register(self) -> None:
        """Make the node known to our Orthanc.

        Raises
        ------
        ConfigurationError
            TLS is wanted and this Orthanc does not do it: nothing may go without.
        """
        body = {
            "AET": self._settings.ae,
            "Host": self._settings.host,
            "Port": self._settings.port,
            "UseDicomTls": self._settings.tls,
            "Timeout": self._settings.timeout_s,
            "AllowStorageCommitment": True,
        }
        if self._settings.local_ae:
            body["LocalAet"] = self._settings.local_ae
        self._orthanc.call("PUT", self._path, json.dumps(body).encode())
        if self._settings.tls and not self._orthanc.get(f"{self._path}/configuration").get("UseDicomTls"):
            raise ConfigurationError("tls: this Orthanc does not send by DICOM TLS")

    def echo(self) -> None:
        """Open an association and send C-ECHO."""
        status, content = self._post("echo", {})
        if status != HTTPStatus.OK:
            raise Retriable(f"the DICOM node does not answer: {_refusal(content).words}")

    def store(self, shipment: Shipment, instances: Sequence[str], seconds: float) -> Refusal | None:
        """Send instances by C-STORE; at the first refusal the rest is not sent, and the refusal is returned.

        Not with Permissive: Orthanc 1.10.1 then says that all went well.
        """
        body = {"Resources": list(instances), "Synchronous": False, "Permissive": False}
        job = self._orthanc.post(f"{self._path}/store", body)["ID"]
        state = jobs.ended(shipment, self._orthanc, job, seconds)
        return dimse.of_details(str(state.get("ErrorDetails", ""))) if state["State"] == "Failure" else None

    def find(self, level: str, query: Mapping[str, str]) -> list[dict[str, Any]]:
        """Ask by C-FIND; `level` is Study, Series or Instance.

        Raises
        ------
        CannotBeAskedError
            It does not answer C-FIND at this level.
        """
        try:
            with self.query(level, query) as asked:
                return asked.answers
        except RefusedError as error:
            self._away(error.refusal)

    @contextmanager
    def query(self, level: str, query: Mapping[str, str]) -> Iterator[Query]:
        """Ask by C-FIND as `find` does, and keep the answers in our Orthanc meanwhile.

        Raises
        ------
        RefusedError
            It was not answered, for whatever reason.
        """
        status, content = self._post("query", {"Level": level, "Query": dict(query), "Normalize": False})
        if status != HTTPStatus.OK:
            raise RefusedError(_refusal(content))
        path = f"/queries/{json.loads(content)['ID']}"
        try:
            yield Query(path, list(self._orthanc.get(f"{path}/answers?expand&simplify")))
        finally:
            self._orthanc.exchange("DELETE", path)

    def operations(self) -> set[str]:
        """Return what our Orthanc can do with it: echo, find, move, and from 1.12.7 on get."""
        return set(self._orthanc.get(self._path))

    def request_commitment(self, instances: Sequence[str]) -> str:
        """Ask it to commit to keep instances; return the transaction.

        Raises
        ------
        CannotBeAskedError
            It does not do storage commitment.
        """
        status, content = self._post("storage-commitment", {"Resources": list(instances)})
        if status != HTTPStatus.OK:
            self._away(_refusal(content))
        return str(json.loads(content)["ID"])

    def commitment(self, transaction: str) -> dict[str, Any] | None:
        """Return its report {Status: Pending, Success or Failure, Success, Failures}; None where Orthanc forgot it."""
        try:
            return dict(self._orthanc.get(f"/storage-commitment/{transaction}"))
        except NotFound:
            return None

    def _post(self, what: str, body: Mapping[str, Any]) -> tuple[int, bytes]:
        status, content = self._orthanc.exchange("POST", f"{self._path}/{what}", json.dumps(body).encode())
        if status in (401, 403, 404, 502, 503, 504):
            raise Retriable(f"Orthanc is away ({status})")
        if status == HTTPStatus.BAD_REQUEST and b"SpecificCharacterSet" in content:
            raise Rejected("this Orthanc cannot read the character set of the answers: Orthanc 1.12 or later can")
        if status == HTTPStatus.BAD_REQUEST:
            raise Rejected(f"Orthanc refuses {what} with code 400")
        return status, content

    def _away(self, refusal: Refusal) -> NoReturn:
        """Raise what a question without an answer means: an abort alone says nothing, so a C-ECHO decides."""
        if refusal.about == dimse.AWAY and "abort" not in refusal.words:
            raise Retriable(f"the DICOM node does not answer: {refusal.words}")
        self.echo()
        raise CannotBeAskedError(refusal.words)


def _refusal(content: bytes) -> Refusal:
    try:
        answer = json.loads(content)
    except ValueError:
        answer = {}
    return dimse.of_details(f"{answer.get('Details', '')} {answer.get('Message', '')}")
