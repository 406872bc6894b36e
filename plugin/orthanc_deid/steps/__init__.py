"""The steps of the flows: one module each, and the table that names them."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ..database.batches import Batches
from ..database.deliveries import Deliveries
from ..database.gates import Gates
from ..database.ledger import Ledger
from ..database.origins import Origins
from ..engine import Outcome
from ..errors import Postponed
from ..orthanc_rest import Orthanc
from ..pipeline import Job
from ..processes import Processes
from ..pseudonymization.pseudonymizer import Pseudonymizer
from ..results.study import Converters
from ..sealed import Seal
from ..settings import Settings


@dataclass(frozen=True)
class Resources:
    """What a step may use; made once in each worker."""

    settings: Settings
    orthanc: Orthanc
    ledger: Ledger
    deliveries: Deliveries
    gates: Gates
    batches: Batches
    origins: Origins
    seal: Seal
    processes: Processes
    converters: Converters
    pseudonymizer: Pseudonymizer
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


@dataclass(frozen=True)
class Ends:
    """What follows what a step did, of one kind of subject."""

    follow: Callable[[Job, Resources], Outcome]
    refuse: Callable[[Job, Resources, str], Outcome]
    postpone: Callable[[Job, Resources, Postponed], Outcome]
    # The step, why it did not go well, and the seconds that the other side asked us to wait.
    try_again: Callable[[str, Job, Resources, str, float], Outcome]
