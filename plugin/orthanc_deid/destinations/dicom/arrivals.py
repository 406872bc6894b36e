"""Which instances a destination has accepted, in the journal: for those that cannot be asked what they hold."""

from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet

from ...errors import Rejected, Retriable
from ..base import Receipt, Shipment
from .sop_instances import SopInstance, held

FORGOTTEN = "forgotten"
SUPERSEDED = "superseded"  # of the ledger: what has arrived before is no longer good


def note(shipment: Shipment, instances: Iterable[SopInstance]) -> None:
    """Remember that instances were accepted as our Orthanc holds them."""
    for instance in instances:
        shipment.journal.put(instance.instance, Receipt(instance.size, "", instance.file))


def known(shipment: Shipment, ids: Sequence[str]) -> set[str]:
    """Return what was accepted as our Orthanc holds it now: what was de-identified anew has to go once more."""
    receipts = {i: shipment.journal.get(i) for i in ids}
    files = {i: receipt.remote for i, receipt in receipts.items() if receipt and receipt.remote != FORGOTTEN}
    here = held(shipment.orthanc, shipment.output) if files else {}
    return {i for i, file in files.items() if not file or i not in here or here[i].file == file}


def forget(shipment: Shipment, ids: Iterable[str]) -> None:
    """Have instances sent again: they were accepted and are not there."""
    for instance in known(shipment, list(ids)):
        shipment.journal.put(instance, Receipt(0, "", FORGOTTEN))


def require(shipment: Shipment, there: AbstractSet[str]) -> None:
    """Raise Retriable where something is not there, and have it sent again."""
    missing = [i for i in shipment.all if i not in there]
    if missing:
        forget(shipment, missing)
        total = len(shipment.all)
        raise Retriable(f"{total - len(missing)} of {total} instances are at the destination")


def demand_deleted(shipment: Shipment, there: AbstractSet[str]) -> None:
    """Raise Rejected while instances are there that have been de-identified anew since they were sent.

    What a DICOM node has it keeps: sent once more it would pass for what was verified.
    """
    if is_superseded(shipment):
        demand_replaced(shipment, there & set(shipment.new))


def demand_replaced(shipment: Shipment, left: AbstractSet[str]) -> None:
    """Raise Rejected where instances are left there as they were before; else what was superseded is gone."""
    if left:
        raise Rejected(f"{len(left)} instances at the destination are not those that were verified: delete the study")
    shipment.journal.put(SUPERSEDED, Receipt(0, ""))


def forget_superseded(shipment: Shipment) -> None:
    """Have all sent again where nobody can be asked whether what was not good is deleted: a person was told to."""
    if is_superseded(shipment):
        forget(shipment, shipment.new)
        shipment.journal.put(SUPERSEDED, Receipt(0, ""))


def is_superseded(shipment: Shipment) -> bool:
    """Tell whether what has arrived before is no longer good."""
    mark = shipment.journal.get(SUPERSEDED)
    return mark is not None and mark.size > 0
