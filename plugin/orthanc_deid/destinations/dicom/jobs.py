"""Jobs of our Orthanc that send: a worker that dies leaves one behind, and the next must not send beside it."""

from typing import Any

from ...errors import NotFound
from ...orthanc_rest import Orthanc
from ..base import Receipt, Shipment

KEY = "job of our Orthanc"


def ended(shipment: Shipment, orthanc: Orthanc, job: str, seconds: float) -> dict[str, Any]:
    """Remember a job that has just begun, wait for its end and return it."""
    shipment.journal.put(KEY, Receipt(0, "", job))
    return orthanc.ended(job, seconds)


def await_earlier(shipment: Shipment, orthanc: Orthanc) -> None:
    """Wait for a job of an earlier try; Orthanc goes on with it also after its own restart."""
    before = shipment.journal.get(KEY)
    if before is None:
        return
    try:
        orthanc.ended(before.remote, shipment.seconds)
    except NotFound:
        return
