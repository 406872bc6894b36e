"""convert: make what the study's destinations want beside DICOM, so that what cannot be converted is told once."""

import contextlib
from collections import Counter
from collections.abc import Callable
from functools import partial

from .. import states
from ..errors import ConfigurationError, Rejected, Retriable, Stale
from ..pipeline import Job
from ..settings import Configuration
from . import Resources, shipping

HELD = "a person is to approve it before it is delivered"
CONVERSIONS = frozenset({"nifti", "bids", "etl", "png", "jpeg", "dicomdir"})


def run(job: Job, resources: Resources) -> None:
    """Convert; what cannot be converted is noted and holds up no destination that wants something else."""
    study = resources.ledger.guard(job.study, job.run)
    if study.hold:
        resources.ledger.move(job.study, states.REVIEW, run=job.run, reason=HELD)
        raise Stale("a person is to approve it")
    kinds = wanted(job, resources)
    if not kinds:
        return
    resources.ledger.move(job.study, states.CONVERTING, run=job.run)
    results = shipping.results(study, resources)
    refused: Counter[str] = Counter()
    for kind in sorted(kinds):
        try:
            makers: dict[str, Callable[[], object]] = {
                "nifti": results.nifti, "bids": results.bids, "etl": results.etl, "dicomdir": results.dicomdir,
                "png": partial(results.pictures, "png"), "jpeg": partial(results.pictures, "jpeg"),
            }  # fmt: skip
            makers[kind]()
        except Retriable as error:
            if job.attempt < resources.settings.configuration.limits.attempts:
                raise
            refused[str(error)] += 1
        except Rejected as error:
            refused[str(error)] += 1  # a destination that needs it will say so; the others go on
        refused |= results.refused  # of NIfTI and of the BIDS tree made from it: the same series
    for reason, count in refused.most_common():
        note = f"not converted: {reason} ({count} times)"
        resources.ledger.move(job.study, states.CONVERTING, run=job.run, reason=note)


def wanted(job: Job, resources: Resources) -> set[str]:
    """Return the conversions that the project and the open deliveries of a study ask for."""
    configuration: Configuration = resources.settings.configuration
    found: set[str] = set(configuration.project(resources.ledger.get(job.study).project).convert)
    for delivery in resources.deliveries.of(job.study):
        if delivery.confirmed_version < delivery.version:
            with contextlib.suppress(ConfigurationError):  # its own export says that it is gone
                found |= set(configuration.destination(delivery.destination).conversions)
    return found & CONVERSIONS
