"""All outputs of one study are made by one profile: what another has made is made anew with what has come since."""

from collections.abc import Container, Sequence

from .. import states
from ..confidentiality import method
from ..confidentiality.profile import Profile
from ..database.ledger import Instance, Study
from ..database.makers import Maker, maker_of
from ..errors import NotFound, Rejected
from ..orthanc_rest import Orthanc
from ..pipeline import Job
from ..results import cache
from . import Resources

METHOD = "0012,0063"  # DeidentificationMethod


def follow(
    job: Job, study: Study, profile: Profile, sources: Container[str], resources: Resources
) -> list[Instance]:
    """Note the profile of this run, have all made by it that another has made, and return the study's instances.

    `sources`: the identified instances that are in Orthanc.

    Raises
    ------
    Rejected
        What was made by another profile cannot be made anew: its sources are gone.
    """
    present = Maker(*method.maker(profile))
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


def made_by(study: Study, stored: Sequence[Instance], orthanc: Orthanc) -> Maker | None:
    """Return which profile made the outputs; what was made before the ledger noted it says so itself."""
    if not stored or study.profile_digest is not None:
        return maker_of(study)
    for instance in stored:
        try:
            told = orthanc.tags(instance.output or "").get(METHOD, {}).get("Value")
        except NotFound:
            continue
        found = method.made_by(str(told or ""))
        return Maker(*found) if found else None
    return None
