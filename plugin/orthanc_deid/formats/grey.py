"""Grey levels of a monochrome frame: modality LUT, then VOI LUT or window, percentiles where there is neither."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_modality_lut, apply_voi

from ..errors import Rejected

Floats = NDArray[np.float32]
_SAMPLED = 2**20  # pixels that percentiles are taken of: more change no grey level


@dataclass(frozen=True)
class View:
    """Which values become black and white."""

    from_file: bool = True  # else percentiles
    number: int = 1  # of the windows or VOI LUTs of the file; the last one where there are fewer
    window: tuple[float, float] | None = None  # centre and width instead of the file's
    percentiles: tuple[float, float] = (0.5, 99.5)


def levels(pixels: NDArray[Any], header: Dataset, frame: int, view: View) -> tuple[Floats, str]:
    """Return grey from 0 (black) to 1 for stored values, and what made it; frames count from 0."""
    values = _modality(pixels, header, frame)
    grey, made_by = _voi(values, pixels, header, frame, view)
    if header.get("PhotometricInterpretation") == "MONOCHROME1":
        grey = np.float32(1) - grey
        made_by += ", inverted (MONOCHROME1)"
    return grey, made_by


def stored(pixels: NDArray[Any], header: Dataset) -> tuple[Floats, str]:
    """Return grey from 0 to 1 for the whole range that stored values can have: the same in every frame of a series."""
    if pixels.dtype.kind == "f" or header.BitsStored > 16:  # noqa: PLR2004  # bits of the picture
        low, high = float(pixels.min()), float(pixels.max())
        made_by = "stored values from least to most"
    else:
        low = -(2 ** (header.BitsStored - 1)) if header.PixelRepresentation else 0
        high = low + 2**header.BitsStored - 1
        made_by = f"stored values, all {header.BitsStored} bits"
    grey = _stretched(pixels.astype(np.float64), low, high)
    if header.get("PhotometricInterpretation") == "MONOCHROME1":
        return np.float32(1) - grey, made_by + ", inverted (MONOCHROME1)"
    return grey, made_by


def _modality(pixels: NDArray[Any], header: Dataset, frame: int) -> Floats:
    """Apply PS3.3 C.11.1, or the Pixel Value Transformation of the frame."""
    transformation = group(header, frame, "PixelValueTransformationSequence") or header
    if transformation.get("ModalityLUTSequence"):
        return apply_modality_lut(pixels, transformation).astype(np.float32)
    slope, intercept = (_number(transformation, k) for k in ("RescaleSlope", "RescaleIntercept"))
    values = pixels.astype(np.float32)
    if slope is not None and intercept is not None:
        values *= np.float32(slope)
        values += np.float32(intercept)
    return values


def _voi(values: Floats, pixels: NDArray[Any], header: Dataset, frame: int, view: View) -> tuple[Floats, str]:
    if view.window:
        return window(values, *view.window, "LINEAR"), "the window asked for"
    source = group(header, frame, "FrameVOILUTSequence") or header
    if view.from_file and source.get("VOILUTSequence"):
        index = min(view.number, len(source.VOILUTSequence)) - 1
        _, _, bits = source.VOILUTSequence[index].LUTDescriptor
        integers = np.rint(values).astype(np.int32)
        return _stretched(apply_voi(integers, source, index), 0, 2**bits - 1), f"VOI LUT {index + 1} of the file"
    centres, widths = (_numbers(source, keyword) for keyword in ("WindowCenter", "WindowWidth"))
    function = str(source.get("VOILUTFunction") or "LINEAR")
    windows = [pair for pair in zip(centres, widths, strict=False) if usable(*pair, function)]
    if view.from_file and windows:
        index = min(view.number, len(windows)) - 1
        return window(values, *windows[index], function), f"window {index + 1} of the file"
    low, high = _percentiles(values, pixels, header, view.percentiles)
    return _stretched(values, low, high), "percentiles {} to {}".format(*view.percentiles)


def usable(centre: float, width: float, function: str) -> bool:
    """Tell whether a window is one by PS3.3 C.11.2.1.2 and C.11.2.1.3."""
    return math.isfinite(centre) and math.isfinite(width) and (width >= 1 if function == "LINEAR" else width > 0)


def window(values: Floats, centre: float, width: float, function: str) -> Floats:
    """Apply a window, PS3.3 C.11.2.1.2.1 and C.11.2.1.3; to 0..1."""
    if not usable(centre, width, function):
        raise Rejected("a window needs a width of at least 1")
    if function == "SIGMOID":
        with np.errstate(over="ignore"):
            bent: Floats = 1 / (1 + np.exp(np.float32(-4 / width) * (values - np.float32(centre))))
        return bent
    if function == "LINEAR_EXACT":
        return _stretched(values, centre - width / 2, centre + width / 2)
    return _stretched(values, centre - 0.5 - (width - 1) / 2, centre - 0.5 + (width - 1) / 2)


def _percentiles(
    values: Floats, pixels: NDArray[Any], header: Dataset, percentiles: tuple[float, float]
) -> tuple[float, float]:
    """Leave out the padding around the image: it is no tissue."""
    usual = np.isfinite(values)
    first = header.get("PixelPaddingValue")
    if isinstance(first, int):
        last = header.get("PixelPaddingRangeLimit", first)
        usual &= (pixels < min(first, last)) | (pixels > max(first, last))
    inside = values[usual]
    if not inside.size:
        return 0.0, 0.0
    low, high = np.percentile(inside[:: inside.size // _SAMPLED + 1], percentiles)
    if low == high:  # hardly anything is not background: a mask, a single bright spot
        low, high = inside.min(), inside.max()
    return float(low), float(high)


def _stretched(values: NDArray[Any], low: float, high: float) -> Floats:
    exact = values if values.dtype.kind == "f" else values.astype(np.float64)
    if high <= low:
        return (exact > low).astype(np.float32)
    grey = (exact - exact.dtype.type(low)) / exact.dtype.type(high - low)
    whole: Floats = np.nan_to_num(grey, nan=0.0, posinf=1.0, neginf=0.0).clip(0, 1).astype(np.float32, copy=False)
    return whole


def group(header: Dataset, frame: int, keyword: str) -> Dataset | None:
    """Return the functional group macro of a frame, PS3.3 C.7.6.16; None where the object has none."""
    for groups in _groups(header, frame):
        if groups.get(keyword):
            return cast("Dataset", groups[keyword].value[0])
    return None


def _groups(header: Dataset, frame: int) -> Iterator[Dataset]:
    per_frame = header.get("PerFrameFunctionalGroupsSequence")
    if per_frame and frame < len(per_frame):
        yield per_frame[frame]
    yield from (header.get("SharedFunctionalGroupsSequence") or [])[:1]


def _number(ds: Dataset, keyword: str) -> float | None:
    found = _numbers(ds, keyword)
    return found[0] if found else None


def _numbers(ds: Dataset, keyword: str) -> list[float]:
    value = ds.get(keyword)
    if value is None or value == "":
        return []
    return [float(each) for each in (value if isinstance(value, list | tuple) or hasattr(value, "append") else [value])]
