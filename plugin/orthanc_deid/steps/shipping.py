"""What a destination is given to send: the verified instances of a study, with journal, pace and conversions."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .. import destinations, states
from ..database.deliveries import Delivery
from ..database.ledger import Study
from ..database.receipts import Receipts
from ..destinations.base import Destination, Receipt, Shipment
from ..errors import ConfigurationError, Rejected
from ..pipeline import Job
from ..pseudonymization.labels import of_project
from ..results.study import StudyResults
from . import Resources
from .pace import SteadyPace


class Journal:
    """The receipts of the ledger, as destinations use them."""

    def __init__(self, receipts: Receipts) -> None:
        self._receipts = receipts

    def get(self, key: str) -> Receipt | None:
        """Return what is known of a thing."""
        found = self._receipts.get(key)
        return Receipt(*found) if found else None

    def put(self, key: str, receipt: Receipt) -> None:
        """Remember that it has arrived."""
        self._receipts.put(key, receipt.size, receipt.sha256, receipt.remote)


def connected(job: Job, resources: Resources) -> Destination:
    """Return the destination of a job."""
    return destinations.connect(resources.settings.configuration.destination(job.destination), resources.orthanc)


def results(study: Study, resources: Resources) -> StudyResults:
    """Return the conversions of a study's verified output."""
    instances = [i.output for i in resources.ledger.instances(study.id, state=states.INSTANCE_DEIDENTIFIED) if i.output]
    labels = of_project(resources.pseudonymizer.crosswalk, study.project)
    return StudyResults(resources.converters, study.id, study.output or "", study.project, instances, labels)


@contextmanager
def shipment(job: Job, resources: Resources, delivery: Delivery) -> Iterator[Shipment]:
    """Give what is to be at the destination, and what of it is new; temporary files end with the block.

    Raises
    ------
    Rejected
        Something in it was not verified, or is gone.
    Stale
        The run was superseded.
    """
    study = resources.ledger.guard(job.study, job.run)
    if study.verified_version < study.version or not study.output:
        raise Rejected("an unverified version must not leave")
    if study.hold:
        raise Rejected("a held study must not leave before a person has approved it")
    configuration = resources.settings.configuration
    try:
        settings = configuration.destination(job.destination)
    except ConfigurationError:
        raise Rejected("the configuration no longer names this destination") from None
    made = resources.ledger.instances(job.study, state=states.INSTANCE_DEIDENTIFIED)
    new = [i.output for i in made if i.output and i.version > delivery.confirmed_version]
    present = resources.orthanc.present(study.output)
    if set(new) - present:
        gone = len(set(new) - present)
        raise Rejected(f"{gone} of {len(new)} instances that are to be sent are no longer in this Orthanc")
    resources.work.mkdir(parents=True, exist_ok=True, mode=0o700)
    with tempfile.TemporaryDirectory(prefix=f"{job.study}-", dir=resources.work) as work:
        yield Shipment(
            study=study.id,
            version=study.version,
            project=study.project,
            output=study.output,
            new=new,
            # What retention has deleted here was confirmed before it went.
            all=[i.output for i in made if i.output in present],
            orthanc=resources.orthanc,
            results=results(study, resources),
            journal=Journal(resources.deliveries.receipts(study.id, job.destination)),
            pace=SteadyPace(
                settings,
                resources.gates,
                lambda: resources.ledger.guard(job.study, job.run),
                resources.settings.workers,
            ),
            work=Path(work),
            album=_album(study, resources),
            labels=of_project(resources.pseudonymizer.crosswalk, study.project),
            seconds=float(configuration.limits.step_s),
        )


def _album(study: Study, resources: Resources) -> str:
    """Return the Kheops album that a list named for a study."""
    origin = resources.origins.get(study.origin)
    return origin.album if origin else ""
