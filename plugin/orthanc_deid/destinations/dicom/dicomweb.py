"""A DICOMweb server: sent by STOW-RS of our Orthanc's plugin or of the worker, confirmed by QIDO-RS."""

import json
import time
from collections import Counter
from collections.abc import Sequence

from ...errors import ConfigurationError, NotFound, Retriable
from ...orthanc_rest import Orthanc
from ...settings.network import Dicomweb
from ..base import Shipment
from ..work import local_disk
from . import arrivals, dimse, jobs
from .dicomweb_client import CannotBeAskedError, DicomwebClient
from .dimse import Refusal
from .sop_instances import SopInstance, expected, pieces

AT_ONCE = 10  # instances in one request of the worker


class DicomwebDestination:
    """A DICOMweb server, registered in our Orthanc's plugin under the destination's name."""

    def __init__(self, settings: Dicomweb, orthanc: Orthanc) -> None:
        self._settings = settings
        self._orthanc = orthanc
        # A prefix of our own: a server of the site's orthanc.json must not be replaced.
        self._path = f"/dicom-web/servers/deid-{settings.name}"
        self._client = DicomwebClient(settings)

    def check(self) -> str:
        """Ask for one study, and register it in our Orthanc."""
        try:
            self._client.check()
        except CannotBeAskedError as error:
            raise Retriable(f"the DICOMweb server does not answer QIDO-RS ({error})") from None
        if self._settings.sent_by == "orthanc":
            self._register()
        return "answers QIDO-RS"

    def send(self, shipment: Shipment) -> None:
        """Send what the server does not hold yet, in pieces."""
        end = time.monotonic() + shipment.seconds
        jobs.await_earlier(shipment, self._orthanc)
        here = expected(shipment.orthanc, shipment.output, shipment.new)
        study = str(shipment.facts()["MainDicomTags"]["StudyInstanceUID"])
        there = self._there(study, list(here.values()))
        arrivals.demand_deleted(shipment, {i for i in here if here[i].SOPInstanceUID in there})
        waiting = [i for i in shipment.new if here[i].SOPInstanceUID not in there]
        refused: Counter[Refusal] = Counter()
        for piece in pieces(waiting, here, self._settings.bytes_per_s):
            if self._settings.sent_by == "worker" or not self._sent_by_orthanc(shipment, piece, end):
                refused += self._send(study, piece, shipment, end)
            shipment.pace.sent(sum(i.size for i in piece))
        problem = dimse.verdict(refused, len(shipment.new))
        if problem:
            raise problem

    def confirm(self, shipment: Shipment) -> int:
        """Compare SOP Instance UIDs with what the server answers."""
        here = expected(shipment.orthanc, shipment.output, shipment.all)
        study = str(shipment.facts()["MainDicomTags"]["StudyInstanceUID"])
        uids = {i.SOPInstanceUID for i in here.values()}
        try:
            found = self._client.instances(study, uids)
        except CannotBeAskedError as error:
            raise Retriable(f"the DICOMweb server does not answer QIDO-RS ({error})") from None
        arrived = sum(i.SOPInstanceUID in found for i in here.values())
        if arrived != len(here):
            raise Retriable(f"{arrived} of {len(here)} instances are at the destination")
        return arrived

    def _there(self, study: str, here: Sequence[SopInstance]) -> set[str]:
        """Return the SOPInstanceUIDs that need not be sent; none where the server cannot be asked."""
        if not self._settings.ask_first:
            return set()
        try:
            return self._client.instances(study, [i.SOPInstanceUID for i in here])
        except CannotBeAskedError:
            return set()

    def _register(self) -> None:
        settings = self._settings
        body: dict[str, object] = {
            "Url": str(settings.url).rstrip("/") + "/",
            "HttpHeaders": {} if settings.username else self._client.login(),
            "Timeout": settings.timeout_s,
        }
        if settings.username:
            body |= {"Username": settings.username, "Password": settings.password()}
        if settings.certificate_file:
            body |= {"CertificateFile": str(settings.certificate_file), "CertificateKeyFile": str(settings.key_file)}
        try:
            self._orthanc.call("PUT", self._path, json.dumps(body).encode())
        except NotFound:
            raise ConfigurationError(
                "this Orthanc has no DICOMweb plugin: install it, or set sent_by: worker"
            ) from None

    def _sent_by_orthanc(self, shipment: Shipment, piece: Sequence[SopInstance], end: float) -> bool:
        """Send by a job; its failure says nothing of the reason, so the worker sends such a piece and hears it."""
        self._register()  # Orthanc forgets it when it starts again, and a token does not live long
        body = {"Resources": [i.instance for i in piece], "Synchronous": False}
        job = self._orthanc.post(f"{self._path}/stow", body)["ID"]
        return bool(jobs.ended(shipment, self._orthanc, job, _left(end))["State"] == "Success")

    def _send(self, study: str, piece: Sequence[SopInstance], shipment: Shipment, end: float) -> Counter[Refusal]:
        there = self._there(study, piece)
        waiting = [i for i in piece if i.SOPInstanceUID not in there]
        refused: Counter[Refusal] = Counter()
        for first in range(0, len(waiting), AT_ONCE):
            _left(end)
            some = waiting[first : first + AT_ONCE]
            files = [(i.SOPInstanceUID, shipment.work / f"stow-{n}.dcm") for n, i in enumerate(some)]
            with local_disk():
                for instance, (_, file) in zip(some, files, strict=True):
                    shipment.orthanc.save(instance.instance, file)
            reasons = self._client.store(study, files)
            refused.update(reason for reason in reasons.values() if not reason.duplicate)
        return refused


def _left(end: float) -> float:
    left = end - time.monotonic()
    if left <= 0:
        raise Retriable("sending did not end in time: what has arrived is not sent again")
    return left
