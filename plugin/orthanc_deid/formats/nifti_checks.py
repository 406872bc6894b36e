"""Whether a conversion is what it should be: its files, their shape and place."""

import hashlib
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import BinaryIO

import numpy as np

from ..errors import Rejected
from . import nifti_header
from .nifti_header import Header, Matrix
from .nifti_select import Expected

# DICOM writes positions as decimal strings; a slice that is out of place is so by far more.
_SAME_CORNER_MM = 0.05

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
        axis = _across(image, expected)
        if image.shape[axis] != expected.slices:
            raise Rejected(f"the converter made {image.shape[axis]} slices of {expected.slices}")
        if expected.size and sorted(image.shape[at] for at in range(3) if at != axis) != sorted(expected.size):
            raise Rejected("the converter made slices of another size")
    images = sum(expected.slices * image.header.volumes for image in measured)
    if images != expected.images:
        raise Rejected(f"the converter made {images} images of {expected.images}")


def placed(found: Sequence[Image], expected: Expected) -> None:
    """Refuse unless the corner of each slice is where an image of the series has it."""
    if not expected.corners:
        return
    corners = np.unique(np.asarray(expected.corners, np.float64), axis=0)
    replaced = {image.part for image in found if image.resampled}
    for image in found:
        if image.part in replaced:
            continue
        if min(_farthest(way, corners) for way in _corners(image, expected)) > _SAME_CORNER_MM:
            raise Rejected("the converter put slices where the series has none")


def _across(image: Image, expected: Expected) -> int:
    """Return the axis of the voxels that goes across the slices: 3D acquisitions are turned to the patient's axes."""
    if len(image.shape) < 3:  # noqa: PLR2004  # of three dimensions
        raise Rejected(f"the converter made 1 slice of {expected.slices}")
    axes = image.header.affine[:3, :3]
    lengths = np.maximum(np.linalg.norm(axes, axis=0), 1e-9)
    return int(np.argmax(np.abs(np.asarray(expected.normal) * (-1, -1, 1) @ (axes / lengths))))


def _corners(image: Image, expected: Expected) -> Iterator[Matrix]:
    """Yield the positions (mm, as in DICOM) of each corner of all slices: one of the four is the first voxel."""
    axis = _across(image, expected)
    rest = [at for at in range(3) if at != axis]
    for ends in product(*((0, image.shape[at] - 1) for at in rest)):
        index = np.ones((4, image.shape[axis]))
        index[axis] = np.arange(image.shape[axis])
        for at, end in zip(rest, ends, strict=True):
            index[at] = end
        place = image.header.affine @ index
        yield np.stack([-place[0], -place[1], place[2]], 1)


def _farthest(made: Matrix, corners: Matrix) -> float:
    return max(float(np.min(np.linalg.norm(corners - each, axis=1))) for each in made)


def repeated(image: Image) -> tuple[str, ...]:
    """Return a remark where two volumes hold the same bytes: images that were sent twice look like volumes."""
    if image.header.volumes == 1:
        return ()
    size = (image.path.stat().st_size - image.header.offset) // image.header.volumes
    seen = set()
    with image.path.open("rb") as file:
        file.seek(image.header.offset)
        for _ in range(image.header.volumes):
            seen.add(_hashed(file, size))
    twice = image.header.volumes - len(seen)
    return (f"{twice} of {image.header.volumes} volumes repeat another",) if twice else ()


def _hashed(file: BinaryIO, size: int) -> bytes:
    digest = hashlib.blake2b(digest_size=16)
    while size > 0 and (piece := file.read(min(size, 1 << 20))):
        digest.update(piece)
        size -= len(piece)
    return digest.digest()


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


def same_b_values(one: Path, other: Path) -> None:
    """Refuse where two converters found different b-values; not every converter finds any."""
    tables = [path.with_suffix(".bval") for path in (one, other)]
    if all(table.exists() for table in tables):
        first, second = ([float(word) for word in table.read_text("utf-8", "replace").split()] for table in tables)
        if not np.allclose(first, second, rtol=0, atol=1):
            raise Rejected("the two converters disagree on b-values")
