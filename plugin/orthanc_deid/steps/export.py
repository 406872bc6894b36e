"""export: send to one destination what it does not have yet, when it may be sent to."""

from .. import states
from ..pipeline import PRIORITY, Job
from . import Resources, pace, shipping


def run(job: Job, resources: Resources) -> None:
    """Send; the destination's own idempotence and the read-back make a second try harmless."""
    delivery = resources.deliveries.get(job.study, job.destination)
    with shipping.shipment(job, resources, delivery) as shipment:
        if not shipment.new:
            return
        settings = resources.settings.configuration.destination(job.destination)
        pace.admit(settings, resources.gates, lambda: _ahead(job, resources))
        shipping.connected(job, resources).send(shipment)
    told = "; ".join(dict.fromkeys(shipment.remarks)) or None
    resources.deliveries.mark(job.study, job.run, job.destination, states.SENT, attempt=job.attempt, reason=told)


def _ahead(job: Job, resources: Resources) -> int:
    """Count the studies that wait for their turn there and are more urgent, or as urgent and older."""
    priorities = {project.name: project.priority for project in resources.settings.configuration.projects}
    waiting = resources.deliveries.open_at(job.destination, states.PENDING)
    others = {d.study_id for d in waiting if d.reason == pace.RATIONED} - {job.study}
    studies = resources.ledger.in_states([states.EXPORTING]) if others else []
    places = [(priorities.get(s.project, PRIORITY), s.id) for s in studies if s.id in others]
    return sum(place < (job.priority, job.study) for place in places)
