"""The steps of the flows: one module each, and the table that names them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ..database.deliveries import Deliveries
from ..database.gates import Gates
from ..database.ledger import Ledger
from ..orthanc_rest import Orthanc
from ..pipeline import Job
from ..processes import Processes
from ..results.study import Converters
from ..settings import Settings


@dataclass(frozen=True)
class Resources:
    """What a step may use; made once in each worker."""

    settings: Settings
    orthanc: Orthanc
    ledger: Ledger
    deliveries: Deliveries
    gates: Gates
    processes: Processes
    converters: Converters
    key: bytes
    work: Path  # temporary files of this worker, emptied when it starts


class Step(Protocol):
    """One step of one job. It can run twice, so its effects are the same the second time."""

    def __call__(self, job: Job, resources: Resources) -> None:
        """Do the work.

        Raises
        ------
        Rejected
            A person must look: the study is quarantined with the message as its reason.
        Retriable
            The flow is tried again later.
        Stale
            The run was superseded; the flow ends quietly.
        """
