"""Whether two NIfTI files are the same image, however their axes are turned."""

from pathlib import Path
from typing import Any

import numpy as np
from nibabel import nifti1, orientations

from ..errors import Rejected
from .nifti_header import Matrix

_AFFINE_MM = 1e-3
# Both round to 32 bit floats where the scale of values differs between slices.
_RELATIVE = 1e-5


def compare(one: Path, other: Path) -> None:
    """Compare shape, affine (mm) and rescaled voxels, one slice at a time.

    Raises
    ------
    Rejected
        They differ.
    """
    first, second = _Turned(one), _Turned(other)
    if first.shape != second.shape:
        raise Rejected("the two converters disagree on the shape")
    if not np.allclose(first.affine, second.affine, rtol=0, atol=_AFFINE_MM):
        raise Rejected("the two converters disagree on the place in space")
    for at in range(first.shape[2]):
        a, b = first.slice(at), second.slice(at)
        if not np.allclose(a, b, rtol=_RELATIVE, atol=_RELATIVE * max(1.0, float(np.abs(a).max()))):
            raise Rejected("the two converters disagree on values")


class _Turned:
    """An uncompressed image with its axes to right, anterior and superior; the voxels stay on disk."""

    def __init__(self, path: Path) -> None:
        turned: Any = orientations  # nibabel's functions have no types
        image: Any = nifti1.Nifti1Image.from_filename(path, mmap="r")
        turn = turned.io_orientation(image.affine)
        voxels = np.asanyarray(image.dataobj.get_unscaled())
        if voxels.ndim > 3 and voxels.shape[3:] == (1,) * (voxels.ndim - 3):  # noqa: PLR2004  # one volume
            voxels = voxels.reshape(voxels.shape[:3])
        self._voxels = turned.apply_orientation(voxels, turn)
        self._slope, self._intercept = image.dataobj.slope, image.dataobj.inter
        self.affine: Matrix = image.affine @ turned.inv_ornt_aff(turn, voxels.shape[:3])
        self.shape: tuple[int, ...] = self._voxels.shape

    def slice(self, at: int) -> Matrix:
        """Return the rescaled values of all volumes at one place."""
        values: Matrix = np.asarray(self._voxels[:, :, at], np.float64) * self._slope + self._intercept
        return values
