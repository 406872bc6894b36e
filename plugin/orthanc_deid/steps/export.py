"""export: send to one destination what it does not have yet."""

from .. import destinations, states
from ..database.deliveries import Delivery
from ..destinations.base import Destination, Shipment
from ..errors import Rejected
from ..pipeline import Job
from . import Resources


def run(job: Job, resources: Resources) -> None:
    """Send; the destination's own idempotence and the read-back make a second try harmless."""
    delivery = resources.deliveries.get(job.study, job.destination)
    shipment = contents(job, resources, delivery)
    if not shipment.new:
        return
    connected(job, resources).send(shipment, float(resources.settings.configuration.limits.step_s))
    resources.deliveries.mark(job.study, job.run, job.destination, states.SENT, attempt=job.attempt)


def connected(job: Job, resources: Resources) -> Destination:
    """Return the destination of a job."""
    return destinations.connect(resources.settings.configuration.destination(job.destination), resources.orthanc)


def contents(job: Job, resources: Resources, delivery: Delivery) -> Shipment:
    """Return what is to be at the destination, and what of it is new.

    Raises
    ------
    Rejected
        Something in it was not verified.
    Stale
        The run was superseded.
    """
    study = resources.ledger.guard(job.study, job.run)
    if study.verified_version < study.version or not study.output:
        raise Rejected("an unverified version must not leave")
    instances = resources.ledger.instances(job.study, state=states.INSTANCE_DEIDENTIFIED)
    return Shipment(
        output=study.output,
        new=[i.output for i in instances if i.output and i.version > delivery.confirmed_version],
        all=[i.output for i in instances if i.output],
    )
