"""export: send to one destination what it does not have yet, when it may be sent to."""

from .. import states
from ..pipeline import Job
from . import Resources, pace, shipping


def run(job: Job, resources: Resources) -> None:
    """Send; the destination's own idempotence and the read-back make a second try harmless."""
    delivery = resources.deliveries.get(job.study, job.destination)
    with shipping.shipment(job, resources, delivery) as shipment:
        if not shipment.new:
            return
        pace.admit(resources.settings.configuration.destination(job.destination), resources.gates)
        shipping.connected(job, resources).send(shipment)
    resources.deliveries.mark(job.study, job.run, job.destination, states.SENT, attempt=job.attempt)
