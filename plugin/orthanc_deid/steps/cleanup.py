"""cleanup: the end of a study; only what every destination has confirmed may ever be deleted (nothing is, yet)."""

from .. import states
from ..errors import Rejected
from ..pipeline import Job
from . import Resources


def run(job: Job, resources: Resources) -> None:
    """Enter `done` when everything that had to arrive was read back."""
    resources.ledger.guard(job.study, job.run)
    open_ = [d.destination for d in resources.deliveries.of(job.study) if d.confirmed_version < d.version]
    if open_:
        raise Rejected(f"not confirmed: {', '.join(open_)}")
    resources.ledger.move(job.study, states.DONE, run=job.run)
