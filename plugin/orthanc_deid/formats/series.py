"""The headers of one series in a folder: what decides whether it is a volume, and of how many images."""

import math
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from pydicom import Dataset, dcmread
from pydicom.uid import UID

from ..errors import Rejected

SAME_PLACE_MM = 0.01

_TAGS = (
    "SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "Modality", "Manufacturer", "ImageType", "Rows", "Columns",
    "SamplesPerPixel", "PhotometricInterpretation", "NumberOfFrames", "ImagePositionPatient",
    "ImageOrientationPatient", "InstanceNumber", "AcquisitionNumber", "EchoTime", "TemporalPositionIdentifier",
    "NumberOfTemporalPositions", "ImagesInAcquisition", "NumberOfSlices", "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence", "DiffusionBValue",
)  # fmt: skip
_B_VALUES = (
    (0x0019, 0x0C, "SIEMENS MR HEADER"),
    (0x2001, 0x03, "Philips Imaging DD 001"),
    (0x0065, 0x09, "Image Private Header"),
)
_LOCATIONS = ((0x0021, 0x4F, "GEMS_RELA_01"), (0x2001, 0x18, "Philips Imaging DD 001"))  # slices of a volume

Vector = tuple[float, ...]


@dataclass(frozen=True)
class Frame:
    """Where one image is in space: (x, y, z) in mm of the first voxel, and the cosines of row and column."""

    position: Vector
    orientation: Vector

    @property
    def normal(self) -> Vector:
        """The direction across the slice, of length 1 where the cosines are."""
        a, b = self.orientation[:3], self.orientation[3:]
        return (a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0])


@dataclass(frozen=True)
class Instance:
    """One file of the series."""

    path: Path
    sop_class: UID
    sop_instance: str
    series: str
    syntax: UID
    image_type: tuple[str, ...]
    manufacturer: str
    colour: bool
    size: tuple[int, int]  # rows, columns
    frames: int  # of a multi-frame; 1 of a classic image
    places: tuple[Frame, ...]  # of each frame; empty where the file does not say
    component: tuple[str | float | int, ...]  # echo and kind of a classic image: what makes two of one place differ
    acquisition: int | None
    number: int | None  # InstanceNumber
    slices: int | None  # of a volume, by what the scanner says
    volumes: int | None  # NumberOfTemporalPositions
    acquired: int | None  # ImagesInAcquisition
    weighted: bool  # whether a b-value above 0 is said; GE's is not looked at

    @property
    def is_mosaic(self) -> bool:
        """Whether the slices of a volume are tiles of one image (Siemens)."""
        return "MOSAIC" in self.image_type


def read(folder: Path) -> tuple[Instance, ...]:
    """Read the header of every file in a folder that holds nothing else.

    Raises
    ------
    Rejected
        There is no file, or one is not a readable DICOM file.
    """
    found = tuple(_instance(path) for path in sorted(folder.iterdir()))
    if not found:
        raise Rejected("the series holds no instance")
    return found


def tiles(path: Path) -> int | None:
    """Return how many slices a mosaic holds, from the private attribute or the CSA header; None if neither says."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from nibabel.nicom import csareader as module  # warns that it is experimental

        csareader: Any = module  # nibabel's functions have no types
        try:
            ds = dcmread(path, stop_before_pixels=True)
            count = _private(ds, 0x0019, 0x0A, "SIEMENS MR HEADER")
            if not count and (header := csareader.get_csa_header(ds)):
                count = csareader.get_n_mosaic(header)
        except Exception:  # noqa: BLE001  # a broken header raises many kinds: the number is not known
            return None
    return count or None


def along(frames: Sequence[Frame]) -> list[float]:
    """Return how far each frame is along the normal of the first, in mm."""
    normal = frames[0].normal
    return [sum(a * b for a, b in zip(normal, frame.position, strict=True)) for frame in frames]


def distinct(distances: Sequence[float]) -> list[float]:
    """Return the distances without repeats, ascending."""
    ordered = sorted(distances)
    return ordered[:1] + [b for a, b in pairwise(ordered) if b - a > SAME_PLACE_MM]


def _instance(path: Path) -> Instance:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a library's warning may hold a value
            tags: list[Any] = [*_TAGS, *_private_tags()]
            ds = dcmread(path, stop_before_pixels=True, specific_tags=tags)
            return _of(path, ds)
    except Exception as error:  # noqa: BLE001  # pydicom raises many kinds for broken files, and says what it read
        raise Rejected(f"an instance is not readable as DICOM ({type(error).__name__})") from None


def _private_tags() -> Iterator[int]:
    """Yield the private attributes above in each of the first blocks of their group, and the blocks' names."""
    for group, offset, _ in (*_LOCATIONS, *_B_VALUES):
        for block in (0x10, 0x11, 0x12):
            yield (group << 16) | block
            yield (group << 16) | (block << 8) | offset


def _of(path: Path, ds: Dataset) -> Instance:
    size = (int(ds.get("Rows") or 0), int(ds.get("Columns") or 0))
    return Instance(
        path=path,
        sop_class=UID(ds.get("SOPClassUID", "")),
        sop_instance=str(ds.get("SOPInstanceUID", "")),
        series=str(ds.get("SeriesInstanceUID", "")),
        syntax=UID(ds.file_meta.get("TransferSyntaxUID", "")),
        image_type=tuple(str(value).strip().upper() for value in _many(ds.get("ImageType"))),
        manufacturer=str(ds.get("Manufacturer") or "").upper(),
        colour=(ds.get("SamplesPerPixel") or 1) != 1 or "PALETTE" in str(ds.get("PhotometricInterpretation")),
        size=size,
        frames=int(ds.get("NumberOfFrames") or 1),
        places=tuple(_places(ds)),
        component=(float(ds.get("EchoTime") or 0), *(v.upper() for v in map(str, _many(ds.get("ImageType"))))),
        acquisition=_number(ds.get("AcquisitionNumber")),
        number=_number(ds.get("InstanceNumber")),
        slices=_number(ds.get("NumberOfSlices")) or next(filter(None, (_private(ds, *at) for at in _LOCATIONS)), None),
        volumes=_number(ds.get("NumberOfTemporalPositions")),
        acquired=_number(ds.get("ImagesInAcquisition")),
        weighted=bool(ds.get("DiffusionBValue") or any(_private(ds, *at) for at in _B_VALUES)),
    )


def _places(ds: Dataset) -> Iterator[Frame]:
    frames = ds.get("PerFrameFunctionalGroupsSequence")
    if not frames:
        if ds.get("ImagePositionPatient") and ds.get("ImageOrientationPatient"):
            yield _frame(ds.ImagePositionPatient, ds.ImageOrientationPatient)
        return
    shared = (ds.get("SharedFunctionalGroupsSequence") or [Dataset()])[0]
    for frame in frames:
        position = _group(frame, shared, "PlanePositionSequence", "ImagePositionPatient")
        orientation = _group(frame, shared, "PlaneOrientationSequence", "ImageOrientationPatient")
        if position and orientation:
            yield _frame(position, orientation)


def _group(frame: Dataset, shared: Dataset, sequence: str, keyword: str) -> Any:  # noqa: ANN401  # pydicom's value
    items = frame.get(sequence) or shared.get(sequence)
    return items[0].get(keyword) if items else None


def _frame(position: Sequence[float], orientation: Sequence[float]) -> Frame:
    place = Frame(tuple(map(float, position)), tuple(map(float, orientation)))
    lengths = math.hypot(*place.orientation[:3]), math.hypot(*place.orientation[3:]), math.hypot(*place.normal)
    if len(place.position) != 3 or len(place.orientation) != 6 or any(abs(length - 1) > 0.01 for length in lengths):  # noqa: PLR2004  # three axes
        raise ValueError
    return place


def _many(value: Any) -> list[Any]:  # noqa: ANN401  # one value or several, as pydicom has it
    if value is None or value == "":
        return []
    return [value] if isinstance(value, str) else list(value)


def _number(value: Any) -> int | None:  # noqa: ANN401  # pydicom's IS, or nothing
    return None if value is None or value == "" else int(value)


def _private(ds: Dataset, group: int, offset: int, creator: str) -> int | None:
    try:
        return _number(ds.private_block(group, creator)[offset].value)
    except (KeyError, ValueError, TypeError):  # no such block, or a value of a VR that nobody knows
        return None
