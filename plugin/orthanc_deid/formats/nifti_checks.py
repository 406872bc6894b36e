"""Whether a conversion is what it should be: the converter's warnings, its files, their shape and place."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import Rejected, Retriable
from . import nifti_header
from .nifti_header import Header, Matrix
from .nifti_run import REFUSED as REFUSED_CODE
from .nifti_run import Said
from .nifti_select import Expected

# Part of a warning of dcm2niix in small letters, and the reason that it makes; the first that fits.
REFUSED = (
    ("guessing this is a mosaic", "the number of slices of a mosaic was guessed"),
    ("mosaic inferred without csa", "the number of slices of a mosaic was guessed"),
    ("number of slices not specified", "the number of slices of a mosaic is not known"),
    ("mosaics are not primary images", "mosaics of a software that leaves out what they need"),
    ("guessing temporal order", "the order of the volumes was guessed"),
    ("invalid dimensionindexvalues", "the order of the frames is not known"),
    ("invalid enhanced dicom", "the order of the frames is not known"),
    ("are at different locations", "the order of the frames is not known"),
    ("dicom images may be missing", "images are missing"),
    ("missing images. found", "images are missing"),
    ("missing dicoms", "images are missing"),
    ("partial volume", "a volume is incomplete"),
    ("not divisible by", "a volume is incomplete"),
    ("spatial position repeats", "a volume is incomplete"),
    ("images not stacked", "images do not belong together"),
    ("image position not sequential", "slices are not in order"),
    ("re-ordered slice out-of-volume", "slices are not in order"),
    ("unable to equalize slice distances", "slices are not at equal distances"),
    ("only able to make equidistant", "slices are not at equal distances"),
    ("unable to determine slice direction", "the direction of the slices is not known"),
    ("bogus spatial matrix", "the position in space is not known"),
    ("segami coordinates", "the position in space is not known"),
    ("unable to determine spatial orientation", "the position in space is not known"),
    ("appear to be a single slice", "all images are of one slice"),
    ("slice orientation varies", "mixed orientations"),
    ("unable to determine slice thickness", "the distance of the slices is not known"),
    ("variance of dicom slope/intercept is being ignored", "the scale of values differs between slices"),
    ("intensity slope/intercept varies", "the scale of values differs between slices"),
    ("only able to correct gantry tilt", "slices are tilted against their normal (gantry tilt)"),
    ("tilt correction skipped", "slices are tilted against their normal (gantry tilt)"),
    ("csa image header corrupted", "the scanner's header is broken"),
    ("(corrupt) csa", "the scanner's header is broken"),
    ("unable to convert dti", "the diffusion directions cannot be read"),
    ("vectors may have been removed", "the diffusion directions are missing"),
    ("naming conflict", "the same images twice"),
    ("overlay", "overlays cannot be read"),
    ("only loaded", "pixel data are cut off"),
    ("not large enough to store", "pixel data are cut off"),
    ("corrupt", "pixel data are broken"),
    ("decompress", "pixel data cannot be decoded"),
    ("decode", "pixel data cannot be decoded"),
    ("failed to read", "pixel data cannot be decoded"),
    ("offset table", "pixel data cannot be decoded"),
    ("bit-depth", "pixel data are of a kind that is not converted"),
    ("bits is experimental", "pixel data are of a kind that is not converted"),
    ("too large for nifti", "too large for NIfTI"),
    ("recompile with increased", "too many images for the converter"),
    ("exceed capacity", "too many images for the converter"),
    ("too many slices", "too many images for the converter"),
    ("too many dimensions", "too many images for the converter"),
    ("unsupported transfer syntax", "pixel data are of a transfer syntax that is not converted"),
    ("guessing", "the converter guessed"),
)

# Part of a warning that the result can live with, and the remark that it makes; nothing where it says nothing new.
ACCEPTED = (
    ("image decompression is new", ""),
    ("empty protocol name", ""),
    ("patient position (0018,5100) not specified", ""),
    ("unable to determine manufacturer", ""),
    ("compression will be faster", ""),
    ("exported as classic not enhanced", ""),
    ("should be exported as enhanced", "slice times of this software may be inaccurate"),
    ("validate slicetiming", "slices are numbered in reverse: slice timing and diffusion directions want a look"),
    ("slice timing", "there is no slice timing"),
    ("slice times", "there is no slice timing"),
    ("slicetiming", "there is no slice timing"),
    ("slice order", "there is no slice timing"),
    ("seconds between volumes varies", "the time between volumes varies"),
    ("repetition time", "the repetition time is uncertain"),
    ("assuming tr", "the repetition time is uncertain"),
    ("suggests a different order", "the order of volumes by number is not that by time"),
    ("not sorted in ascending", "instance numbers are not in order"),
    ("missing images?", "instance numbers have gaps"),
    ("without bvector", "diffusion directions are incomplete"),
    ("interpolated protocol", ""),
    ("gantry tilt correction is new", ""),
    ("interslice distance varies", ""),
    ("re-ordering resolved", ""),
    ("slices not stacked", ""),
    ("volumes not stacked", ""),
    ("check number of slices, discrepancy", ""),
    ("uint16->int16", ""),
    ("see pmc3998685", ""),
    ("bids", ""),
    ("physio", ""),
)

_NAME = re.compile(
    r"x(?P<part>(_e[0-9]+)?(_real|_imaginary|_ph)?(_ADC)?)(?P<resampled>((_Tilt|_Eq)(_[0-9]+)?)*)(?P<other>.*)\.nii"
)


@dataclass(frozen=True)
class Image:
    """One NIfTI file of the converter's."""

    path: Path
    part: str  # of a declared set: `_e2`, `_ph`, `_e1_real`; empty otherwise
    header: Header
    resampled: bool

    @property
    def shape(self) -> tuple[int, ...]:
        """Columns, rows, slices, volumes."""
        return self.header.shape


def warnings(said: Said) -> tuple[str, ...]:
    """Judge the converter's text; return remarks.

    Raises
    ------
    Rejected
        It guessed, or could not read something.
    Retriable
        The disk is full.
    """
    remarks: list[str] = []
    for line in said.text.splitlines():
        text = line.strip().lower()
        if not text.startswith(("warning", "error")):
            continue
        if "unable to write" in text or "unable to open output" in text:
            raise Retriable("the converter could not write: is there room on the disk?")
        for part, reason in (*_QUIET, *REFUSED):
            if part in text:
                if reason:
                    raise Rejected(f"not converted: {reason}")
                break
        else:
            remarks.append(_remark(text))
    if said.code:
        raise Rejected(f"the converter cannot read the series (exit code {said.code})")
    return tuple(dict.fromkeys(filter(None, remarks)))


class NotOfItsKind(Rejected):
    """The second converter says that it does not take series of this kind."""


def second(said: Said) -> tuple[str, ...]:
    """Judge how the second converter ended."""
    if said.code == REFUSED_CODE:
        raise NotOfItsKind("dicom2nifti does not convert series of this kind")
    if said.code:
        raise Rejected(f"the converter cannot read the series (exit code {said.code})")
    return ()


# Warnings whose words would fit a refused one.
_QUIET = (("image decompression is new", ""),)


def _remark(text: str) -> str:
    known = next((remark for part, remark in ACCEPTED if part in text), None)
    if known is not None:
        return known
    if text.startswith("error"):
        raise Rejected("not converted: the converter reports an error that is not known here")
    return "the converter gave a warning that is not known here"


def images(folder: Path, *, resampled: bool) -> tuple[Image, ...]:
    """Return the files of one series or a declared set; what was resampled only where that is allowed.

    Raises
    ------
    Rejected
        There is none, one was resampled and must not be, or the series was split into what belongs to no set.
    """
    found: list[Image] = []
    for path in sorted(folder.glob("*.nii")):
        name = _NAME.fullmatch(path.name)
        if name is None or name["other"]:
            raise Rejected("the converter split the series: its images are not of one kind")
        made = bool(name["resampled"])
        if made and not resampled:
            tilted = "_Tilt" in name["resampled"]
            reason = (
                "slices are tilted against their normal (gantry tilt)"
                if tilted
                else "slices are not at equal distances"
            )
            raise Rejected(f"{reason}: only resampling makes a volume of them")
        found.append(Image(path, name["part"], nifti_header.read(path), made))
    if not found:
        raise Rejected("the converter made nothing of the series")
    return tuple(found)


def counted(found: Sequence[Image], expected: Expected) -> None:
    """Refuse unless slices times volumes of all files are the images of the series."""
    measured = [image for image in found if not image.resampled]
    for image in measured:
        if len(image.shape) < 3 or image.shape[2] != expected.slices:  # noqa: PLR2004  # of three dimensions
            slices = image.shape[2] if len(image.shape) > 2 else 1  # noqa: PLR2004  # of three dimensions
            raise Rejected(f"the converter made {slices} slices of {expected.slices}")
    images = sum(image.shape[2] * image.header.volumes for image in measured)
    if images != expected.images:
        raise Rejected(f"the converter made {images} images of {expected.images}")


def placed(found: Sequence[Image], expected: Expected) -> None:
    """Refuse unless the corner of each slice is where an image of the series has it."""
    if not expected.corners:
        return
    corners = np.unique(np.asarray(expected.corners, np.float64), axis=0)
    for image in found:
        if image.resampled:
            continue
        affine = image.header.affine
        slices = np.arange(image.shape[2])
        # The first row of DICOM may be the last of NIfTI, and x and y point the other way.
        ways = [
            affine @ np.stack([slices * 0, slices * 0 + row, slices, slices * 0 + 1]) for row in (0, image.shape[1] - 1)
        ]
        if min(_farthest(np.stack([-way[0], -way[1], way[2]], 1), corners) for way in ways) > _SAME_CORNER_MM:
            raise Rejected("the converter put slices where the series has none")


_SAME_CORNER_MM = 0.05


def _farthest(
    made: Matrix,
    corners: Matrix,
) -> float:
    return max(float(np.min(np.linalg.norm(corners - each, axis=1))) for each in made)


def numbers(table: Path, volumes: int) -> str:
    """Return the text of b-values or b-vectors: a column for each volume, nothing but numbers."""
    rows = [line.split() for line in table.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    try:
        finite = all(math.isfinite(float(word)) for row in rows for word in row)
    except ValueError:
        finite = False
    if not finite or len(rows) != (1 if table.suffix == ".bval" else 3):
        raise Rejected("diffusion directions are not numbers")
    if any(len(row) != volumes for row in rows):
        raise Rejected(f"diffusion directions of {len(rows[0])} volumes, but there are {volumes}")
    return "".join(" ".join(row) + "\n" for row in rows)
