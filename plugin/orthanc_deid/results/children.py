"""What the child processes do: fetch de-identified files into a folder of their own, and convert them there.

The converters are loaded where they work: the processes that only ask for conversions stay small.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from ..errors import Rejected
from ..orthanc_rest import Address, Orthanc
from .cache import Answer

if TYPE_CHECKING:
    from ..formats.nifti import NiftiOptions
    from ..formats.pictures import PictureOptions, SheetOptions

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
    """A series of which every instance is drawn."""

    series: Series
    options: PictureOptions


@dataclass(frozen=True)
class ToSheet:
    """A series to show at a glance."""

    series: Series
    options: SheetOptions


def to_nifti(task: ToNifti) -> tuple[Path, Answer]:
    """Convert one series; a series that is no volume is an answer too."""
    from ..formats.nifti import convert

    with TemporaryDirectory(prefix=".dicom-", dir=task.series.out) as work:
        _fetch(task.series, Path(work))
        try:
            made = convert(Path(work), task.series.out, task.series.stem, task.options)
        except Rejected as error:
            return task.series.out, Answer((), refused=str(error))
    names = tuple(path.name for path in made.files)
    return task.series.out, Answer(names, (made.engine, *made.remarks))


def to_pictures(task: ToPictures) -> tuple[Path, Answer]:
    """Draw each instance of a series; one that has no picture is an answer too."""
    from ..formats.pictures import draw

    names: list[str] = []
    reasons: list[str] = []
    with TemporaryDirectory(prefix=".dicom-", dir=task.series.out) as work:
        files = _fetch(task.series, Path(work))
        for file in files:
            try:
                names += [path.name for path in draw(file, task.series.out / file.stem, task.options)]
            except Rejected as error:
                reasons.append(str(error))
    refused = reasons[0] if reasons and not names else None
    remarks = (f"{len(reasons)} of {len(files)} instances have no picture: {reasons[0]}",) if reasons else ()
    return task.series.out, Answer(tuple(names), remarks, refused)


def to_sheet(task: ToSheet) -> tuple[Path, Answer]:
    """Draw a contact sheet of a series."""
    from ..formats.pictures import contact_sheet

    with TemporaryDirectory(prefix=".dicom-", dir=task.series.out) as work:
        files = _fetch(task.series, Path(work))
        try:
            sheet = contact_sheet(files, task.series.out / f"{task.series.stem}.png", task.options)
        except Rejected as error:
            return task.series.out, Answer((), refused=str(error))
    return task.series.out, Answer((sheet.name,))


def _fetch(series: Series, work: Path) -> list[Path]:
    return fetch(Orthanc(series.address), series.instances, work)


def fetch(orthanc: Orthanc, instances: Sequence[str], work: Path) -> list[Path]:
    """Save instances into a folder as 00001.dcm, 00002.dcm, ...; answer the files in that order."""
    files = [work / f"{number:05d}.dcm" for number in range(1, len(instances) + 1)]
    with ThreadPoolExecutor(FETCHED_AT_ONCE) as pool:
        list(pool.map(orthanc.save, instances, files))
    return files
