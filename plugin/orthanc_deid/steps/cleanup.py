"""cleanup: the end of a study; from here on the retention rules may delete what they name."""

from collections.abc import Sequence

from .. import states
from ..database.deliveries import Delivery
from ..errors import ConfigurationError, Rejected, Stale
from ..pipeline import Job
from . import Resources


def run(job: Job, resources: Resources) -> None:
    """Enter `done` when everything that had to arrive was read back."""
    resources.ledger.guard(job.study, job.run)
    deliveries = resources.deliveries.of(job.study)
    if any(d.state in (states.PENDING, states.SENT) for d in deliveries):
        raise Stale("a person has asked for one more destination meanwhile")
    open_ = [d for d in deliveries if d.confirmed_version < d.version]
    needed = missing(resources, open_)
    if needed:
        raise Rejected(f"not confirmed: {', '.join(d.destination for d in needed)}")
    left = f"not delivered to {', '.join(d.destination for d in open_)}, which is not required" if open_ else None
    resources.ledger.end(job.study, states.DONE, run=job.run, reason=left)


def missing(resources: Resources, deliveries: Sequence[Delivery]) -> list[Delivery]:
    """Return those of the deliveries without which the study is not done."""
    return [d for d in deliveries if is_required(resources, d.destination)]


def is_required(resources: Resources, destination: str) -> bool:
    """Tell whether a destination is required; one that the configuration no longer names is."""
    try:
        return resources.settings.configuration.destination(destination).required
    except ConfigurationError:
        return True
