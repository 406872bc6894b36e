"""identify: find profile and pseudonym, and claim the id of the output before anything is stored under it."""

from .. import states
from ..errors import NotFound, Rejected
from ..pipeline import Job
from . import Resources, subject


def run(job: Job, resources: Resources) -> None:
    """Refuse what has no patient, no instances or no profile; note the output's id."""
    study = resources.ledger.guard(job.study, job.run)
    if not job.waits:  # what waits goes on saying why, however often its turn comes
        resources.ledger.move(job.study, states.DEIDENTIFYING, run=job.run)
    if resources.settings.configuration.intake.on_arrival:
        raise Rejected("instances are de-identified on arrival: the result of this study cannot be stored")
    if not resources.ledger.instances(job.study):
        raise Rejected("the study has no instances")
    try:
        found = subject.name(study, resources)
    except NotFound:
        raise Rejected("the source study is no longer in Orthanc") from None
    resources.ledger.move(job.study, states.DEIDENTIFYING, run=job.run)
    output = found.output
    taken = resources.ledger.find(output)
    # Ignored: our own output of before, where the ledger is younger than Orthanc.
    if taken and taken.status != states.IGNORED:
        raise Rejected("the output would take the place of a source study")
    stored = resources.ledger.instances(job.study, state=states.INSTANCE_DEIDENTIFIED)
    if stored and output != study.output:
        raise Rejected(
            "the project's key, the patient's issuer or his pseudonym is another one than that of what is stored"
            " already"
        )
    resources.ledger.set_output(job.study, job.run, output)
