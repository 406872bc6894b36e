"""What a collector is: it looks at one source and takes into Orthanc what is new there."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ..database.collected import Collected
from ..database.origins import Origins
from ..orthanc_rest import Orthanc
from ..sealed import Seal


@dataclass(frozen=True)
class Tools:
    """What collectors use."""

    orthanc: Orthanc  # ours
    origins: Origins
    collected: Collected
    seal: Seal
    work: Path  # temporary files, emptied at the start
    stopping: threading.Event
    demand_open: Callable[[], None]  # raises Postponed while the source is paused or its windows are closed


class Collector(Protocol):
    """One source; used by one thread."""

    def look(self) -> bool:
        """Take what is new; True: something was taken, so that it is worth to look again at once.

        An item that cannot be taken is refused and noted with its reason; the next one goes on. Ends early when
        `stopping` is set.

        Raises
        ------
        Retriable
            The source or our Orthanc is away.
        Postponed
            The source was paused meanwhile.
        """

    def wait(self, seconds: float) -> None:
        """Wait that long, or until the source itself says that something is new, or `stopping` is set."""
