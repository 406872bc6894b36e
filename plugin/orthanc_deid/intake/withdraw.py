"""Take back what a run stored that ended before verify: it looks de-identified and nobody has searched it."""

from .. import log, states
from ..database.ledger import Study
from .examine import Intake

ENDED = (states.CANCELLED, states.QUARANTINED, states.FAILED, states.REJECTED)


class Withdrawals:
    """Looks at each ended run once; after a restart of the service once more."""

    def __init__(self) -> None:
        self._done: set[tuple[int, int]] = set()

    def look(self, intake: Intake, before: float) -> None:
        """Withdraw from studies that ended before that time (UTC seconds), so that no child still stores."""
        if intake.configuration.intake.on_arrival:
            return  # what arrives joins the same output studies: acknowledged, searched, and in no ledger
        for study in intake.ledger.in_states(ENDED, updated_before=before):
            key = (study.id, study.run)
            if key not in self._done and study.verified_version < study.version:
                withdraw(intake, study)
            self._done.add(key)


def withdraw(intake: Intake, study: Study) -> None:
    """Delete every instance of the output study that no study of the ledger has verified.

    A run that starts at this moment loses nothing: verify misses what is deleted, and the next try makes it anew.
    """
    if not study.output:
        return
    unverified = intake.orthanc.present(study.output) - intake.ledger.verified_outputs(study.output)
    for instance in sorted(unverified):
        intake.orthanc.delete("instances", instance)
    intake.ledger.forget_unverified(study.id, study.run)
    if unverified:
        log.event("unverified outputs withdrawn", study=study.id, count=len(unverified))
