"""A PACS: sent by C-STORE of our Orthanc, confirmed by C-FIND or storage commitment."""

import hashlib
import time
from collections import Counter
from collections.abc import Iterable, Sequence

from ...errors import Retriable
from ...orthanc_rest import Orthanc
from ...settings.network import Dicom
from ..base import Receipt, Shipment
from . import arrivals, dimse, inquiry, jobs
from .dimse import Refusal
from .modality import CannotBeAskedError, Modality
from .sop_instances import SopInstance, expected, held, pieces

MOST_COMMITTED = 1000  # instances in one request for storage commitment
NOBODY = "2.25.1"  # a StudyInstanceUID that no study has


class DicomDestination:
    """A DICOM node, registered in our Orthanc under the destination's name."""

    def __init__(self, settings: Dicom, orthanc: Orthanc) -> None:
        self._settings = settings
        self._node = Modality(orthanc, settings.name, settings)

    def check(self) -> str:
        """C-ECHO; where arrival is proved by C-FIND, a question as well."""
        self._node.register()
        self._node.echo()
        if self._settings.confirm not in ("instances", "counts"):
            return "answers C-ECHO"
        try:
            self._node.find("Study", {"StudyInstanceUID": NOBODY})
        except CannotBeAskedError as error:
            raise Retriable(
                f"the DICOM node answers C-ECHO but not C-FIND ({error}): set confirm to commitment or status"
            ) from None
        return "answers C-ECHO and C-FIND"

    def send(self, shipment: Shipment) -> None:
        """Send what the node does not hold yet, in pieces."""
        self._node.register()
        self._node.echo()  # a node that is down is found at once, with a reason
        end = time.monotonic() + shipment.seconds
        jobs.await_earlier(shipment, shipment.orthanc)
        here = expected(shipment.orthanc, shipment.output, shipment.new)
        there = self._there(shipment, here.values())
        arrivals.demand_deleted(shipment, there)
        waiting = [i for i in shipment.new if i not in there]
        refused: Counter[Refusal] = Counter()
        for piece in pieces(waiting, here, self._settings.bytes_per_s):
            refused += self._store(piece, shipment, end)
            shipment.pace.sent(sum(i.size for i in piece))
        problem = dimse.verdict(refused, len(shipment.new))
        if problem:
            raise problem

    def confirm(self, shipment: Shipment) -> int:
        """Compare what the node holds with what was to arrive, in the way that the settings name."""
        self._node.register()
        here = expected(shipment.orthanc, shipment.output, shipment.all)
        if self._settings.confirm == "status":
            arrivals.require(shipment, arrivals.known(shipment, shipment.all))
        elif self._settings.confirm == "commitment":
            self._committed(shipment)
        else:
            study = shipment.facts()["MainDicomTags"]["StudyInstanceUID"]
            self._found(shipment, study, list(here.values()))
        return len(shipment.all)

    def _there(self, shipment: Shipment, here: Iterable[SopInstance]) -> set[str]:
        """Return what need not be sent; where the node cannot be asked, what it has accepted before."""
        if self._settings.ask_first:
            try:
                study = shipment.facts()["MainDicomTags"]["StudyInstanceUID"]
                uids = inquiry.instances(self._node, study, list(here))
                return {i.instance for i in here if i.SOPInstanceUID in uids}
            except CannotBeAskedError:
                pass
        arrivals.forget_superseded(shipment)
        return arrivals.known(shipment, shipment.new)  # a read-back that misses one takes its receipt away

    def _store(self, piece: Sequence[SopInstance], shipment: Shipment, end: float) -> Counter[Refusal]:
        """Send a piece; where an instance is refused, the others alone, so that each has its own answer."""
        refusal = self._attempt(piece, shipment, end)
        if refusal is None:
            return Counter()
        if len(piece) == 1:
            return Counter([refusal])
        there = self._there(shipment, piece)
        refused: Counter[Refusal] = Counter()
        for instance in piece:
            if instance.instance not in there:
                refusal = self._attempt([instance], shipment, end)
                refused += Counter([refusal] if refusal else [])
        return refused

    def _attempt(self, piece: Sequence[SopInstance], shipment: Shipment, end: float) -> Refusal | None:
        left = end - time.monotonic()
        if left <= 0:
            raise Retriable(f"sending did not end in {shipment.seconds:.0f} s: what has arrived is not sent again")
        refusal = self._node.store(shipment, [i.instance for i in piece], left)
        if refusal and refusal.about != dimse.INSTANCE:
            raise Retriable(f"the DICOM node did not take the instances: {refusal.words}")
        if refusal and len(piece) == 1 and refusal.duplicate:
            refusal = None
        if refusal is None:
            arrivals.note(shipment, piece)
        return refusal

    def _found(self, shipment: Shipment, study: str, here: Sequence[SopInstance]) -> None:
        """Raise where C-FIND does not prove that everything is there."""
        try:
            uids = inquiry.instances(self._node, study, here) if self._settings.confirm == "instances" else set()
            if uids:
                arrivals.require(shipment, {i.instance for i in here if i.SOPInstanceUID in uids})
                return
        except CannotBeAskedError:
            pass
        try:
            count = inquiry.count(self._node, study, {i.SeriesInstanceUID for i in here})
        except CannotBeAskedError as error:
            raise Retriable(
                f"the DICOM node does not answer C-FIND ({error}): set confirm to commitment or status"
            ) from None
        if count < len(here):
            arrivals.forget(shipment, shipment.all)
            raise Retriable(f"{count} of {len(here)} instances are at the destination")

    def _committed(self, shipment: Shipment) -> None:
        """Raise where the node does not commit to keep everything."""
        end = time.monotonic() + self._settings.commitment_s
        uids = {i.SOPInstanceUID: i.instance for i in held(shipment.orthanc, shipment.output).values()}
        ids = sorted(shipment.all)
        lost: list[str] = []
        for first in range(0, len(ids), MOST_COMMITTED):
            lost += self._lost(shipment, ids[first : first + MOST_COMMITTED], uids, end)
        if lost:
            arrivals.forget(shipment, lost)
            raise Retriable(
                f"{len(ids) - len(lost)} of {len(ids)} instances are at the destination: "
                "it does not commit to keep the others"
            )

    def _lost(self, shipment: Shipment, ids: Sequence[str], uids: dict[str, str], end: float) -> list[str]:
        """Return the instances that the node does not commit to."""
        key = "commitment " + hashlib.sha256("\n".join(ids).encode()).hexdigest()
        before = shipment.journal.get(key)
        transaction = before.remote if before else ""
        report = self._node.commitment(transaction) if transaction else None
        if report is None:
            transaction = self._request(ids)
            # Some nodes report hours later: the next try waits for the same transaction.
            shipment.journal.put(key, Receipt(0, "", transaction))
            report = {"Status": "Pending"}
        pause = 0.05
        while report is not None and report["Status"] == "Pending":
            if time.monotonic() > end:
                raise Retriable(f"no report of storage commitment in {self._settings.commitment_s} s")
            time.sleep(pause)
            pause = min(2 * pause, 2.0)
            report = self._node.commitment(transaction)
        shipment.journal.put(key, Receipt(0, "", ""))  # the report has been read: the next question is a new one
        if report is None:
            raise Retriable("Orthanc has forgotten the request for storage commitment: it is asked again")
        good = {uids.get(item["SOPInstanceUID"]) for item in report.get("Success", [])}
        return [i for i in ids if i not in good]

    def _request(self, ids: Sequence[str]) -> str:
        try:
            return self._node.request_commitment(ids)
        except CannotBeAskedError as error:
            raise Retriable(f"the DICOM node does not do storage commitment ({error})") from None
