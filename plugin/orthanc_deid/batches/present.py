"""Which instances of a study in an archive are here already: in Orthanc, or processed and deleted since."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from .. import profiles
from ..confidentiality.pseudonyms import Pseudonyms
from ..confidentiality.rewrite import new_uid
from ..errors import NotFound
from ..pacs.base import Archive, Found, Instance
from ..steps import Resources
from ..steps.subject import orthanc_id


@dataclass(frozen=True)
class Present:
    """`uids`: SOP Instance UIDs as the archive has them, where it told them; `count`: instances here at all."""

    orthanc: str | None
    uids: frozenset[str]
    count: int


@dataclass(frozen=True)
class Comparison:
    """What an archive tells of a study or series, and what of it is here.

    `instances`: None where the archive does not answer at that level; then only numbers are compared.
    """

    instances: Sequence[Instance] | None
    expected: int | None  # instances; None: the archive does not say
    here: Present

    @property
    def missing(self) -> list[Instance]:
        """The instances that are not here, as far as the archive tells them."""
        return [i for i in self.instances or () if i.sop_uid not in self.here.uids]

    @property
    def is_whole(self) -> bool:
        """Whether all is here; where the archive does not say how many there are nobody knows."""
        if self.instances is not None:
            return not self.missing
        return self.expected is not None and self.here.count >= self.expected

    @property
    def arrived(self) -> int:
        """The number of instances that are here."""
        return self.here.count if self.instances is None else len(self.here.uids)


def compare(found: Found, told: int | None, archive: Archive, resources: Resources) -> Comparison:
    """Ask an archive for the instances of what it has found, and look for them; `told`: how many it said there are."""
    instances = archive.instances(found.study_uid, found.series_uid)
    expected = told if instances is None else len(instances)
    return Comparison(instances, expected, look(found, instances, resources))


def look(found: Found, instances: Sequence[Instance] | None, resources: Resources) -> Present:
    """Compare what an archive holds of a study or series with Orthanc and the ledger."""
    first: str | None = None
    uids: set[str] = set()
    count = 0
    for forms in _forms(found, instances, resources):
        for study in _of_patient(found, resources.orthanc.lookup(forms.study_uid)):
            here = _held(study, forms.series_uid, resources)
            first, count = first or study, count + len(here)
            uids |= {i.sop_uid for i, form in zip(instances or (), forms.sop_uids, strict=False) if form in here}
    known = _of_ledger(found, instances or (), resources)
    return Present(first, frozenset(uids | known), max(count, len(uids | known)))


def _of_patient(found: Found, studies: list[str]) -> list[str]:
    """Leave out another patient's study of the same UID, where the one that is meant is here."""
    own = orthanc_id(found.patient_id, found.study_uid)
    return [own] if own in studies else studies


@dataclass(frozen=True)
class _Forms:
    """UIDs as they are in this Orthanc."""

    study_uid: str
    series_uid: str
    sop_uids: list[str]


def _forms(found: Found, instances: Sequence[Instance] | None, resources: Resources) -> Iterator[_Forms]:
    """Yield the UIDs as the archive has them; on arrival as each project's key makes them."""
    sop_uids = [i.sop_uid for i in instances or ()]
    configuration = resources.settings.configuration
    if not configuration.intake.on_arrival:
        yield _Forms(found.study_uid, found.series_uid, sop_uids)
        return
    for project in configuration.projects:
        profile = profiles.load(resources.settings, project.profile)
        made = new_uid(profile, Pseudonyms(resources.pseudonymizer.crosswalk.keyring.project(project.name)))
        series_uid = made(found.series_uid) if found.series_uid else ""
        yield _Forms(made(found.study_uid), series_uid, [made(uid) for uid in sop_uids])


def _held(study: str, series_uid: str, resources: Resources) -> set[str]:
    """Return the SOP Instance UIDs of a study, or of one series of it, in Orthanc."""
    try:
        wanted = {
            each["ID"]
            for each in resources.orthanc.series(study)
            if not series_uid or each["MainDicomTags"].get("SeriesInstanceUID") == series_uid
        }
        instances = resources.orthanc.instances(study)
    except NotFound:
        return set()
    return {str(i["MainDicomTags"].get("SOPInstanceUID", "")) for i in instances if i["ParentSeries"] in wanted}


def _of_ledger(found: Found, instances: Sequence[Instance], resources: Resources) -> set[str]:
    """Return those that were processed, whether their sources are still there or not."""
    studies = resources.ledger.of_source(orthanc_id(found.patient_id, found.study_uid)) if instances else ()
    known = {i.source for study in studies for i in resources.ledger.instances(study.id) if i.output}
    return {i.sop_uid for i in instances if orthanc_id(found.patient_id, i.study_uid, i.series_uid, i.sop_uid) in known}
