"""Which profile made the outputs of a study: what the ledger noted, else what an output says of itself."""

from collections.abc import Sequence

from .confidentiality import method
from .confidentiality.profile import Profile
from .database.ledger import Instance, Study
from .database.makers import Maker, maker_of
from .errors import NotFound
from .orthanc_rest import Orthanc

METHOD = "0012,0063"  # DeidentificationMethod


def maker(profile: Profile) -> Maker:
    """Return what is told of a profile."""
    return Maker(*method.maker(profile))


def made_by(study: Study, stored: Sequence[Instance], orthanc: Orthanc) -> Maker | None:
    """Return which profile made the outputs `stored`; None where nobody knows.

    What was made before the ledger noted it says so itself.
    """
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
