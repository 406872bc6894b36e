"""Studies whose instances were de-identified before Orthanc stored them: proof that they were."""

import calendar
import time
from collections.abc import Iterable
from pathlib import Path

from ..errors import NotFound
from ..orthanc_rest import Orthanc

RECEIVED = "ReceptionDate"  # Orthanc's metadata, 20261121T173000 in UTC


def since(mark: Path) -> float:
    """Return since when the door de-identifies without a gap (UTC seconds); infinity where it does not."""
    try:
        return float(mark.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return float("inf")


def passed_the_door(orthanc: Orthanc, instances: Iterable[str], since_s: float) -> bool:
    """Tell whether all these instances were stored while the door de-identified.

    Their own mark proves nothing: anybody can write DeidentificationMethod.
    """
    for instance in instances:
        try:
            received = orthanc.metadata(instance, RECEIVED)
            if calendar.timegm(time.strptime(received[:15], "%Y%m%dT%H%M%S")) < since_s:
                return False
        except (NotFound, ValueError):
            return False
    return True
