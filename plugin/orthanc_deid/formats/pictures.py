"""PNG and JPEG of an instance, contact sheets of a series; a picture holds no text and no metadata."""

import base64
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pydicom
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_color_lut
from pydicom.pixels.utils import iter_pixels
from pydicom.uid import DeflatedExplicitVRLittleEndian

from ..errors import Rejected
from . import atomic, grey
from .unreadable import UNREADABLE

_SUFFIXES = {"png": ".png", "jpeg": ".jpg"}
_LONGEST_PX = 65_000  # of a side: JPEG can hold no more


@dataclass(frozen=True)
class PictureOptions:
    """How pictures are made."""

    kind: Literal["png", "jpeg"] = "png"
    frames: Literal["all", "middle"] | tuple[int, ...] = "middle"  # numbers count from 1
    window: Literal["file", "percentiles"] = "file"  # of the file: VOI LUT or window, percentiles where it has none
    window_number: int = 1  # of the windows of the file; the last one where there are fewer
    own_window: tuple[float, float] | None = None  # centre and width instead of the file's
    percentiles: tuple[float, float] = (0.5, 99.5)
    bits: Literal[8, 16] = 8  # 16: stored values of a monochrome image as PNG, no window
    quality: int = 90  # of JPEG, 1 to 95


@dataclass(frozen=True)
class Drawn:
    """Pictures of one instance, and what made each."""

    files: tuple[Path, ...]
    remarks: tuple[str, ...]


@dataclass(frozen=True)
class SheetOptions:
    """How a contact sheet is laid out."""

    tiles: int = 20  # at most; evenly spaced over the series
    columns: int = 5
    tile_px: int = 192  # of each side
    picture: PictureOptions = field(default_factory=PictureOptions)


def draw(instance: Path, out: Path, options: PictureOptions) -> tuple[Path, ...]:
    """Draw the chosen frames; `out` is the name of the picture without suffix, to which a frame adds its number."""
    return render(instance, out, options).files


def render(instance: Path, out: Path, options: PictureOptions) -> Drawn:
    """Draw as `draw` does, and tell what made each picture.

    Raises
    ------
    Rejected
        The instance has no pixels, they cannot be decoded, or it has no such frame.
    """
    if options.bits == 16 and options.kind != "png":  # noqa: PLR2004  # bits
        raise Rejected("only PNG holds 16 bits")
    header = _header(instance)
    chosen = _frames(header, options.frames)
    single = _count(header) == 1 or options.frames == "middle"
    suffix = _SUFFIXES[options.kind]
    files, remarks = [], []
    for frame, pixels in _pixels(instance, chosen):
        picture, remark = _picture(pixels, header, frame, options)
        path = out.with_name(f"{out.name}{suffix}" if single else f"{out.name}-{frame + 1:04d}{suffix}")
        _save(picture, path, options)
        files.append(path)
        remarks.append(remark)
    return Drawn(tuple(files), tuple(remarks))


def contact_sheet(files: Sequence[Path], out: Path, options: SheetOptions | None = None) -> Path:
    """Draw evenly spaced slices of one series on one sheet, each as wide and high as its pixels are in space.

    Raises
    ------
    Rejected
        No slice can be drawn.
    """
    options = options or SheetOptions()
    slices = _in_order(files)
    count = min(options.tiles, len(slices))
    chosen = [slices[(2 * k + 1) * len(slices) // (2 * count)] for k in range(count)]
    tiles, reason = [], "the series holds no image"
    for path, frame in chosen:
        try:
            tiles.append(_tile(path, frame, options))
        except Rejected as error:
            reason = str(error)
    if not tiles:
        raise Rejected(f"no slice can be drawn: {reason}")
    columns = min(options.columns, len(tiles))
    side = options.tile_px
    mode = "RGB" if any(tile.mode == "RGB" for tile in tiles) else "L"
    sheet = Image.new(mode, (columns * side, -(-len(tiles) // columns) * side))
    for at, tile in enumerate(tiles):
        left, top = at % columns * side, at // columns * side
        sheet.paste(tile, (left + (side - tile.width) // 2, top + (side - tile.height) // 2))
    _save(sheet, out, options.picture)
    return out


def as_base64(path: Path) -> str:
    """Return a picture as text."""
    return base64.b64encode(path.read_bytes()).decode("ascii")


@contextmanager
def _refusing(what: str) -> Iterator[None]:
    """Turn what pydicom and the decoders raise into a reason; their own words quote values."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        except UNREADABLE as error:
            raise Rejected(f"{what} ({type(error).__name__})") from None


def _header(instance: Path) -> Dataset:
    with _refusing("the instance cannot be read"):
        header = pydicom.dcmread(instance, stop_before_pixels=True)
        if not (header.get("Rows") and header.get("Columns")):
            raise Rejected("the instance has no image")
        if max(header.Rows, header.Columns) > _LONGEST_PX:
            raise Rejected("the image is too large for a picture")
    return header


def _count(header: Dataset) -> int:
    with _refusing("the number of frames cannot be read"):
        return max(1, int(header.get("NumberOfFrames") or 1))


def _frames(header: Dataset, wanted: Literal["all", "middle"] | tuple[int, ...]) -> list[int]:
    count = _count(header)
    if wanted == "all":
        return list(range(count))
    if wanted == "middle":
        return [count // 2]
    if not wanted or min(wanted) < 1 or max(wanted) > count:
        raise Rejected(f"the instance has {count} frames: there is none of another number")
    return [number - 1 for number in wanted]


def _pixels(instance: Path, frames: Sequence[int]) -> Iterator[tuple[int, NDArray[Any]]]:
    """Decode one frame after the other; colour becomes RGB."""
    with _refusing("the instance cannot be read"):
        syntax = pydicom.filereader.read_file_meta_info(instance).get("TransferSyntaxUID")
        # A deflated file has no place where a frame begins: it is read as a whole.
        source = pydicom.dcmread(instance) if syntax == DeflatedExplicitVRLittleEndian else instance
        decoded = iter_pixels(source, indices=frames)
    for frame in frames:
        with _refusing("the pixel data cannot be decoded"):
            pixels = next(decoded, None)
        if pixels is None:
            raise Rejected("the pixel data holds fewer frames than it says")
        yield frame, pixels


def _picture(pixels: NDArray[Any], header: Dataset, frame: int, options: PictureOptions) -> tuple[Image.Image, str]:
    with _refusing("the pixels cannot be shown"):
        colours = str(header.get("PhotometricInterpretation", ""))
        if colours not in {"MONOCHROME1", "MONOCHROME2"} or pixels.ndim != 2:  # noqa: PLR2004  # rows and columns
            if options.bits == 16:  # noqa: PLR2004  # bits
                raise Rejected("16 bits are for monochrome images")
            return Image.fromarray(_colour(pixels, header, colours)), f"colour ({colours})"
        if options.bits == 16:  # noqa: PLR2004  # bits
            levels, remark = grey.stored(pixels, header)
            return Image.fromarray(np.rint(levels * np.float64(65535)).astype(np.uint16)), remark
        view = grey.View(options.window == "file", options.window_number, options.own_window, options.percentiles)
        levels, remark = grey.levels(pixels, header, frame, view)
        return Image.fromarray(np.rint(levels * 255).astype(np.uint8)), remark


def _colour(pixels: NDArray[Any], header: Dataset, colours: str) -> NDArray[np.uint8]:
    bits = int(header.BitsStored)
    if colours == "PALETTE COLOR":
        pixels = apply_color_lut(pixels, header)
        bits = pixels.dtype.itemsize * 8
    elif not (colours == "RGB" or colours.startswith("YBR_")):
        raise Rejected("the image is of a kind of colour that has no picture")
    if pixels.ndim != 3 or pixels.shape[2] != 3:  # noqa: PLR2004  # rows, columns and red, green, blue
        raise Rejected("the image has not three colours")
    if bits == 8:  # noqa: PLR2004  # bits
        return pixels.astype(np.uint8, copy=False)
    return np.rint(np.clip(pixels / np.float32(2**bits - 1), 0, 1) * 255).astype(np.uint8)


def _save(picture: Image.Image, path: Path, options: PictureOptions) -> None:
    with atomic.file(path) as temporary:
        if options.kind == "png":
            picture.save(temporary, "PNG")
        else:
            picture.save(temporary, "JPEG", quality=options.quality)


def _in_order(files: Sequence[Path]) -> list[tuple[Path, int]]:
    """Return (file, frame from 0) of every slice along the normal of the image, or by number where that is unknown."""
    found: list[tuple[tuple[float | None, int, int], Path, int]] = []
    for path in files:
        try:
            header = _header(path)
            found += [(_place(header, frame), path, frame) for frame in range(_count(header))]
        except Rejected:
            continue
    if any(place[0] is None for place, _, _ in found):
        found = [((None, *place[1:]), path, frame) for place, path, frame in found]
    return [(path, frame) for _, path, frame in sorted(found, key=lambda each: (*_key(each[0]), each[1].name))]


def _key(place: tuple[float | None, int, int]) -> tuple[float, int, int]:
    return (place[0] or 0.0, place[1], place[2])


def _place(header: Dataset, frame: int) -> tuple[float | None, int, int]:
    """Return position along the normal in mm, InstanceNumber and frame."""
    with _refusing("the place of a slice cannot be read"):
        number = int(header.get("InstanceNumber") or 0)
        plane = grey.group(header, frame, "PlanePositionSequence") or header
        turned = grey.group(header, frame, "PlaneOrientationSequence") or header
        position, orientation = plane.get("ImagePositionPatient"), turned.get("ImageOrientationPatient")
        if not position or not orientation:
            return None, number, frame
        normal = np.cross(np.array(orientation[:3], float), np.array(orientation[3:], float))
        return round(float(normal @ np.array(position, float)), 3), number, frame


def _tile(path: Path, frame: int, options: SheetOptions) -> Image.Image:
    header = _header(path)
    how = replace(options.picture, bits=8)
    [(_, pixels)] = _pixels(path, [frame])
    picture, _ = _picture(pixels, header, frame, how)
    down, across = _pixel_size(header, frame)
    height, width = picture.height * down, picture.width * across
    scale = options.tile_px / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return picture.resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0)


def _pixel_size(header: Dataset, frame: int) -> tuple[float, float]:
    """Return distance of rows and of columns; 1 and 1 where it is unknown."""
    with _refusing("the size of the pixels cannot be read"):
        measures = grey.group(header, frame, "PixelMeasuresSequence") or header
        for keyword in ("PixelSpacing", "ImagerPixelSpacing", "PixelAspectRatio"):
            value = measures.get(keyword)
            if value and len(value) == 2 and min(map(float, value)) > 0:  # noqa: PLR2004  # down, across
                return float(value[0]), float(value[1])
    return 1.0, 1.0
