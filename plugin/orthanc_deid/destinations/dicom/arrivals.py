"""Which instances a destination has accepted, in the journal: for those that cannot be asked what they hold."""

from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet

from ...errors import Retriable
from ..base import Receipt, Shipment
from .sop_instances import SopInstance, held

FORGOTTEN = "forgotten"


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
