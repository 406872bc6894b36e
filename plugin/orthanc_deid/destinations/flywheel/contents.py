"""The files that a study becomes on Flywheel."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import NotFound, Rejected
from ...formats import archives, names
from ...settings import Flywheel
from ..base import Shipment
from ..remarks import of_conversions
from ..work import local_disk
from . import classification, digests, labels
from .sent import content_of

# Never of a de-identified study; a sidecar that holds one was not made by us.
_IDENTITY = frozenset(
    {
        "PatientName", "PatientID", "PatientBirthDate", "PatientAddress", "OtherPatientIDs", "OtherPatientNames",
        "AccessionNumber", "StudyID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "StudyDescription",
        "ProcedureStepDescription", "InstitutionName", "InstitutionAddress", "InstitutionalDepartmentName",
        "ReferringPhysicianName", "PerformingPhysicianName", "OperatorsName", "StationName", "DeviceSerialNumber",
        "ImageComments",
    }
)  # fmt: skip


@dataclass(frozen=True)
class Series:
    """A series of the output study, with those of its instances that are to be there."""

    id: str  # of Orthanc
    SeriesInstanceUID: str
    label: str  # of its acquisition
    modality: str
    description: str
    instances: tuple[str, ...]
    is_new: bool  # one of its instances is not confirmed yet

    @property
    def stem(self) -> str:
        """The beginning of the names of its files."""
        return names.part(self.label)


@dataclass(frozen=True)
class Item:
    """A file to be there."""

    key: str  # in the journal
    name: str
    series: Series
    path: Path | None  # None: a zip that is made when it is needed
    content: str  # what it is made of, 16 digits
    sidecar: Path | None = None  # whose content is the file's info


def series_of(settings: Flywheel, shipment: Shipment, study: labels.Study) -> list[Series]:
    """Return the series that instances of the shipment belong to.

    Raises
    ------
    Rejected
        An instance is no longer in our Orthanc.
    """
    wanted, new = set(shipment.all), set(shipment.new)
    found = []
    for each in shipment.orthanc.series(shipment.output):
        instances = tuple(i for i in sorted(each["Instances"]) if i in wanted)
        if not instances:
            continue
        tags = {key: str(value).strip() for key, value in each["MainDicomTags"].items()}
        found.append(
            Series(
                id=each["ID"],
                SeriesInstanceUID=tags["SeriesInstanceUID"],
                label=labels.label(settings, settings.acquisition, {**study.values, **tags}),
                modality=tags.get("Modality", ""),
                description=tags.get("SeriesDescription", "") or tags.get("ProtocolName", ""),
                instances=instances,
                is_new=not new.isdisjoint(instances),
            )
        )
    gone = len(wanted) - sum(len(each.instances) for each in found)
    if gone:
        raise Rejected(f"{gone} of {len(wanted)} instances are no longer in Orthanc")
    # The same order in every run: of two series with one label the same one gets the -2.
    return sorted(found, key=lambda each: each.SeriesInstanceUID)


def items(settings: Flywheel, shipment: Shipment, series: Sequence[Series]) -> list[Item]:
    """Return what is to be there, series by series.

    Raises
    ------
    Rejected
        Only conversions are wanted, and no series can be converted; or a sidecar holds an identity.
    """
    wanted: list[Item] = []
    if "dicom" in settings.content:
        wanted += [
            Item(
                key=f"{each.SeriesInstanceUID} dicom",
                name=f"{each.stem}.dicom.zip",
                series=each,
                path=None,
                content=content_of(each.instances),
            )
            for each in series
        ]
    if "nifti" in settings.content:
        wanted += _conversions(settings, shipment, {each.id: each for each in series})
    if not wanted:
        raise Rejected("no series of the study can be converted: add dicom to the destination's content")
    return wanted


def _conversions(settings: Flywheel, shipment: Shipment, series: Mapping[str, Series]) -> Iterator[Item]:
    made = shipment.results.nifti()
    told = of_conversions("nifti", made, shipment.results.refused)
    shipment.remarks.extend(each for each in told if each not in shipment.remarks)
    for converted in made:
        owner = series.get(converted.series)
        if owner is None:
            continue
        sidecars = {each.stem: each for each in converted.files if each.suffix == ".json"}
        for path in sidecars.values():
            sidecar_info(path)  # before the first of them is sent
        for path in converted.files:
            stem = path.name.removesuffix(".gz").removesuffix(".nii")
            yield Item(
                key=f"{owner.SeriesInstanceUID} {path.name}",
                name=names.part(path.name),
                series=owner,
                path=path,
                content=digests.read(path).sha256[:16],
                sidecar=sidecars.get(stem) if path.name.endswith((".nii", ".nii.gz")) and settings.metadata else None,
            )


def make_zip(shipment: Shipment, item: Item, folder: Path) -> Path:
    """Write the DICOM zip of a series: the same instances give the same bytes.

    Raises
    ------
    Rejected
        An instance is no longer in our Orthanc.
    """
    uids = {each["ID"]: each["MainDicomTags"]["SOPInstanceUID"] for each in shipment.orthanc.instances(shipment.output)}
    files: dict[str, Path] = {}
    with local_disk():
        try:
            for instance in item.series.instances:
                path = folder / instance
                shipment.orthanc.save(instance, path)
                files[f"{names.part(uids[instance])}.dcm"] = path
        except (NotFound, KeyError):
            raise Rejected("an instance is no longer in Orthanc") from None
        packed = archives.zip_files(files, folder / "series.zip")
        for path in files.values():
            path.unlink()
    return packed


def sidecar_info(path: Path) -> dict[str, Any]:
    """Read a sidecar as the info of its NIfTI file.

    Raises
    ------
    Rejected
        It is none, or it holds what no de-identified sidecar holds.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise Rejected("a sidecar is no JSON object")
    if not _IDENTITY.isdisjoint(_keys(found)):
        raise Rejected("a sidecar holds a field that tells who the patient is: it is not written to Flywheel")
    return found


def _keys(value: Any) -> Iterator[str]:  # noqa: ANN401  # JSON
    """Yield the keys at every depth: some converters put the header into an object of its own."""
    if isinstance(value, dict):
        yield from value
    for each in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _keys(each)


def classes(settings: Flywheel, item: Item) -> tuple[str | None, classification.Classes]:
    """Return modality and classification of a file: of images, not of what stands beside them."""
    if not settings.classification or not item.name.endswith((".zip", ".nii", ".nii.gz")):
        return None, {}
    return item.series.modality or None, classification.classify(item.series.modality, item.series.description)
