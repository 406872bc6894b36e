"""What the child processes do: fetch de-identified files into a folder of their own, and convert them there."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from ..errors import Rejected
from ..formats.nifti import NiftiOptions, convert
from ..formats.pictures import PictureOptions, contact_sheet, draw
from ..orthanc_rest import Address, Orthanc
from .cache import Answer

FETCHED_AT_ONCE = 4


@dataclass(frozen=True)
class Series:
    """One de-identified series: Orthanc ids of its instances, and where its conversion goes."""

    address: Address
    instances: tuple[str, ...]  # in the order of their InstanceNumber
    out: Path
    stem: str


@dataclass(frozen=True)
class ToNifti:
    """A series to convert to NIfTI."""

    series: Series
    options: NiftiOptions


@dataclass(frozen=True)
class ToPictures:
    """A series of which every instance is drawn, or one sheet of all."""

    series: Series
    options: PictureOptions
    sheet: bool = False


def to_nifti(task: ToNifti) -> tuple[Path, Answer]:
    """Convert one series; a series that is no volume is an answer too."""
    with TemporaryDirectory(prefix=".dicom-", dir=task.series.out) as work:
        _fetch(task.series, Path(work))
        try:
            made = convert(Path(work), task.series.out, task.series.stem, task.options)
        except Rejected as error:
            return task.series.out, Answer((), refused=str(error))
    names = tuple(path.name for path in made.files)
    return task.series.out, Answer(names, (made.engine, *made.remarks))


def to_pictures(task: ToPictures) -> tuple[Path, Answer]:
    """Draw each instance of a series, or a sheet of all; one that has no picture is an answer too."""
    names: list[str] = []
    reasons: list[str] = []
    with TemporaryDirectory(prefix=".dicom-", dir=task.series.out) as work:
        files = _fetch(task.series, Path(work))
        try:
            if task.sheet:
                names.append(contact_sheet(files, task.series.out / task.series.stem, task.options).name)
        except Rejected as error:
            reasons.append(str(error))
        for file in () if task.sheet else files:
            try:
                names += [path.name for path in draw(file, task.series.out / file.stem, task.options)]
            except Rejected as error:
                reasons.append(str(error))
    refused = reasons[0] if reasons and not names else None
    remarks = (f"{len(reasons)} of {len(files)} instances have no picture: {reasons[0]}",) if reasons else ()
    return task.series.out, Answer(tuple(names), remarks, refused)


def _fetch(series: Series, work: Path) -> list[Path]:
    return fetch(Orthanc(series.address), series.instances, work)


def fetch(orthanc: Orthanc, instances: Sequence[str], work: Path) -> list[Path]:
    """Save instances into a folder as 00001.dcm, 00002.dcm, ...; answer the files in that order."""
    files = [work / f"{number:05d}.dcm" for number in range(1, len(instances) + 1)]
    with ThreadPoolExecutor(FETCHED_AT_ONCE) as pool:
        list(pool.map(orthanc.save, instances, files))
    return files
