"""confirm: a job that says success proves nothing; what has arrived is read back and counted."""

from .. import states
from ..pipeline import Job
from . import Resources, shipping


def run(job: Job, resources: Resources) -> None:
    """Mark the delivery confirmed when every instance of the study is at the destination."""
    delivery = resources.deliveries.get(job.study, job.destination)
    with shipping.shipment(job, resources, delivery) as shipment:
        count = shipping.connected(job, resources).confirm(shipment)
    # What retention has deleted here had been read back before.
    count += len(resources.ledger.instances(job.study, state=states.INSTANCE_DEIDENTIFIED)) - len(shipment.all)
    resources.deliveries.mark(
        job.study, job.run, job.destination, states.CONFIRMED, attempt=job.attempt, confirmed=count
    )
