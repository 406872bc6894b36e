"""All outputs of one study are made by one profile: what another has made is made anew with what has come since."""

from collections.abc import Container

from .. import states
from ..confidentiality.profile import Profile
from ..database.ledger import Instance, Study
from ..errors import Rejected
from ..made_by import made_by, maker
from ..pipeline import Job
from ..results import cache
from . import Resources


def follow(job: Job, study: Study, profile: Profile, sources: Container[str], resources: Resources) -> list[Instance]:
    """Note the profile of this run, have all made by it that another has made, and return the study's instances.

    `sources`: the identified instances that are in Orthanc.

    Raises
    ------
    Rejected
        What was made by another profile cannot be made anew: its sources are gone.
    """
    present = maker(profile)
    stored = resources.ledger.instances(job.study, state=states.INSTANCE_DEIDENTIFIED)
    before = made_by(study, stored, resources.orthanc)
    others = stored if before != present else []
    gone = [i for i in others if i.source not in sources]
    if gone:
        raise Rejected(
            f"{len(stored)} instances were made by {before or 'a profile that is not known'}, the profile now is"
            f" {present}, and the sources of {len(gone)} of them are no longer in this Orthanc: send these to it again,"
            " or put the former profile back"
        )
    resources.ledger.set_maker(job.study, job.run, present, anew=len(others))
    if others:
        for entry in cache.entries(resources.converters.folder):
            if entry.study == job.study:  # made of them
                cache.remove(entry)
    return resources.ledger.instances(job.study)
