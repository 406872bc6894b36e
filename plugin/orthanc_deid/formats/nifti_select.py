"""Which series can be volumes, and what a volume of one has to consist of."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    EnhancedCTImageStorage,
    EnhancedMRImageStorage,
    EnhancedPETImageStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    LegacyConvertedEnhancedCTImageStorage,
    LegacyConvertedEnhancedMRImageStorage,
    LegacyConvertedEnhancedPETImageStorage,
    MRImageStorage,
    PositronEmissionTomographyImageStorage,
    RLELossless,
)

from ..errors import Rejected
from . import series
from .series import SAME_PLACE_MM, Instance

VOLUMES = {
    CTImageStorage, MRImageStorage, PositronEmissionTomographyImageStorage, EnhancedCTImageStorage,
    EnhancedMRImageStorage, EnhancedPETImageStorage, LegacyConvertedEnhancedCTImageStorage,
    LegacyConvertedEnhancedMRImageStorage, LegacyConvertedEnhancedPETImageStorage,
}  # fmt: skip

# Part of a SOP class's keyword, and what it is called in a reason; the first that fits.
REASONS = (
    ("SecondaryCapture", "a screen shot or another secondary capture"),
    ("Ultrasound", "ultrasound"),
    ("RadiationDoseSR", "a dose report"),
    ("Dose", "a dose distribution or report"),
    ("Segmentation", "a segmentation"),
    ("RT", "an object of radiotherapy"),
    ("NuclearMedicine", "nuclear medicine"),
    ("PresentationState", "a presentation state"),
    ("Spectroscopy", "spectroscopy"),
    ("RawData", "raw data"),
    ("Encapsulated", "a document"),
    ("KeyObjectSelection", "a key object selection"),
    ("SR", "a structured report"),
    ("Waveform", "a waveform"),
    ("ECG", "a waveform"),
    ("Video", "a video"),
    ("Photographic", "photography"),
    ("Ophthalmic", "ophthalmology"),
    ("Microscopic", "microscopy"),
    ("Radio", "a radiograph"),
    ("XRay", "a radiograph"),
)

# Values of ImageType that no volume has, and what they are called in a reason.
IMAGE_TYPES = {
    "LOCALIZER": "a localizer",
    "SCOUT": "a localizer",
    "TOPOGRAM": "a localizer",
    "SCREEN SAVE": "a screen save",
    "SCREENSAVE": "a screen save",
    "SCREEN_SAVE": "a screen save",
    "DOSE": "a dose report",
    "DOSE_INFO": "a dose report",
    "DOSE REPORT": "a dose report",
    "CT_SOM5 PROT": "a protocol page",
    "CT_SOM7 PROT": "a protocol page",
    "CSA REPORT": "a report page",
    "PROJECTION IMAGE": "projections from several sides",
    "VOLUME RENDERED": "a rendered picture",
    "VOLUME_RENDER": "a rendered picture",
    "VRT": "a rendered picture",
    "SSD": "a rendered picture",
}

NATIVE = {ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian}
# What the converters read themselves.
READ = NATIVE | {
    RLELossless, JPEGBaseline8Bit, JPEGLossless, JPEGLosslessSV1, JPEGLSLossless, JPEGLSNearLossless,
    JPEG2000Lossless, JPEG2000,
}  # fmt: skip
# What is decoded for them.
DECODED = {DeflatedExplicitVRLittleEndian, JPEGExtended12Bit, HTJ2KLossless, HTJ2KLosslessRPCL, HTJ2K}

_SAME_DIRECTION = 0.01  # of a cosine
_MISSING = 1.5  # times the usual distance
_TILTED = 0.005  # mm sideways for each mm along the normal


@dataclass(frozen=True)
class Expected:
    """What the converted series has to consist of."""

    images: int  # slices of all volumes together
    slices: int  # of each volume
    corners: tuple[tuple[float, ...], ...]  # position in mm of the first voxel of each image; empty for mosaics
    normal: tuple[float, ...]  # across the slices
    size: tuple[int, ...]  # rows and columns; empty for mosaics
    philips: bool
    weighted: bool = False  # whether there is diffusion
    remarks: tuple[str, ...] = ()


def select(found: Sequence[Instance], minimum_slices: int, *, resampled: bool) -> Expected:
    """Decide by SOP class, ImageType and geometry; `resampled` allows tilted slices and unequal distances.

    Raises
    ------
    Rejected
        It cannot be a volume, or images of it are missing or double.
    """
    for instance in found:
        _kind(instance)
    _one_series(found)
    expected = _mosaics(found) if found[0].is_mosaic else _slices(found, resampled=resampled)
    if expected.slices < minimum_slices:
        raise Rejected(f"fewer than {minimum_slices} slices")
    return expected


def _kind(instance: Instance) -> None:
    if instance.sop_class not in VOLUMES:
        keyword = instance.sop_class.keyword if instance.sop_class.is_valid else ""
        known = next((words for part, words in REASONS if part in keyword), "no CT, MR or PET image")
        raise Rejected(f"not a volume: {known}")
    for value in instance.image_type:
        if value in IMAGE_TYPES:
            raise Rejected(f"not a volume: {IMAGE_TYPES[value]}")
    if instance.colour:
        raise Rejected("not a volume: a colour image")
    if instance.syntax not in READ | DECODED:
        raise Rejected("pixel data are of a transfer syntax that is not converted")
    if 0 in instance.size:
        raise Rejected("not a volume: without rows and columns")


def _one_series(found: Sequence[Instance]) -> None:
    if len({instance.series for instance in found}) > 1:
        raise Rejected("instances of more than one series")
    if len({instance.sop_instance for instance in found}) < len(found):
        raise Rejected("the same instance twice")
    if len({instance.sop_class for instance in found}) > 1:
        raise Rejected("not a volume: mixed kinds of image")
    if len({instance.size for instance in found}) > 1:
        raise Rejected("not a volume: mixed sizes")
    if len({instance.is_mosaic for instance in found}) > 1:
        raise Rejected("not a volume: some images are mosaics, some not")


def _mosaics(found: Sequence[Instance]) -> Expected:
    tiles = series.tiles(found[0].path)
    if tiles is None:
        raise Rejected("mosaics whose number of slices is not known: the header of the scanner is missing")
    if any(instance.frames > 1 for instance in found):
        raise Rejected("not a volume: mosaics in a multi-frame image")
    if not found[0].places:
        raise Rejected("not a volume: images without a position and direction in space")
    normal, weighted = found[0].places[0].normal, any(instance.weighted for instance in found)
    return Expected(tiles * len(found), tiles, (), normal, (), philips=False, weighted=weighted, remarks=_gaps(found))


def _slices(found: Sequence[Instance], *, resampled: bool) -> Expected:
    images = sum(instance.frames for instance in found)
    places = [place for instance in found for place in instance.places]
    if len(places) != images:
        raise Rejected("not a volume: images without a position and direction in space")
    if any(
        abs(a - b) > _SAME_DIRECTION
        for place in places
        for a, b in zip(place.orientation, places[0].orientation, strict=True)
    ):
        raise Rejected("not a volume: mixed orientations")
    distances = series.along(places)
    levels = series.distinct(distances)
    _duplicates(found)
    remarks = _gaps(found) + _complete(found, distances, levels)
    if not resampled:
        _equidistant(levels)
        _upright(places, distances)
    corners = tuple(place.position for place in places)
    philips, weighted = "PHILIPS" in found[0].manufacturer, any(instance.weighted for instance in found)
    return Expected(
        images,
        len(levels),
        corners,
        places[0].normal,
        found[0].size,
        philips=philips,
        weighted=weighted,
        remarks=remarks,
    )


def _gaps(found: Sequence[Instance]) -> tuple[str, ...]:
    """Slices missing at the end cannot be seen but in what the scanner counted."""
    numbers = {instance.number for instance in found if instance.number is not None}
    remarks = []
    if numbers and max(numbers) - min(numbers) + 1 > len(found):
        remarks.append(
            f"instance numbers run over {max(numbers) - min(numbers) + 1} but there are {len(found)} instances"
        )
    volumes = max((instance.volumes or 0 for instance in found), default=0)
    if found[0].is_mosaic and len(found) < volumes:
        remarks.append(f"{len(found)} of {volumes} volumes")
    return tuple(remarks)


def _duplicates(found: Sequence[Instance]) -> None:
    seen = Counter(
        (*instance.places[0].position, *instance.component, instance.acquisition, instance.number)
        for instance in found
        if instance.frames == 1 and instance.number is not None
    )
    if any(count > 1 for count in seen.values()):
        raise Rejected("the same slice twice")


def _complete(found: Sequence[Instance], distances: Sequence[float], levels: Sequence[float]) -> tuple[str, ...]:
    """Compare the images at each place with each other, and all with what the scanner counted."""
    counts = list(Counter(bisect_right(levels, distance + SAME_PLACE_MM) for distance in distances).values())
    if len(set(counts)) > 1:
        raise Rejected(f"volumes are incomplete: from {min(counts)} to {max(counts)} images at one place")
    if all("ORIGINAL" in instance.image_type for instance in found):  # what is derived repeats its source's counts
        said = max((instance.slices or 0 for instance in found), default=0)
        if len(levels) < said:
            raise Rejected(f"slices are missing: {len(levels)} of {said}")
        acquired = max((instance.acquired or 0 for instance in found), default=0)
        if len(distances) < acquired:
            raise Rejected(f"images are missing: {len(distances)} of {acquired}")
    volumes = max((instance.volumes or 0 for instance in found), default=0)
    return (f"{counts[0]} of {volumes} volumes",) if counts[0] < volumes else ()


def _equidistant(levels: Sequence[float]) -> None:
    gaps = [b - a for a, b in pairwise(levels)]
    if gaps and max(gaps) > _MISSING * median(gaps):
        raise Rejected("slices are not at equal distances: one or more may be missing")


def _upright(places: Sequence[series.Frame], distances: Sequence[float]) -> None:
    """Refuse unless the step from the first slice to the last is along the normal: else the gantry was tilted."""
    low = min(range(len(places)), key=distances.__getitem__)
    high = max(range(len(places)), key=distances.__getitem__)
    length = distances[high] - distances[low]
    normal = places[low].normal
    step = [b - a for a, b in zip(places[low].position, places[high].position, strict=True)]
    sideways = max(abs(s - length * n) for s, n in zip(step, normal, strict=True))
    if sideways > max(SAME_PLACE_MM * 10, _TILTED * length):
        raise Rejected("slices are tilted against their normal (gantry tilt)")
