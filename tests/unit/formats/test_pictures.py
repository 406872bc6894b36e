"""Pictures show what DCMTK shows; what cannot be drawn is refused with its reason."""

import base64
import io
import subprocess
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.processing import apply_modality_lut, apply_windowing
from pydicom.uid import DeflatedExplicitVRLittleEndian, JPEG2000Lossless, JPEGLSLossless, RLELossless

from objects import MARKER, image, sample, written
from orthanc_deid.errors import Rejected
from orthanc_deid.formats import pictures
from orthanc_deid.formats.pictures import PictureOptions, SheetOptions

# A picture of DCMTK and the options that make it from the same rule.
SAME = [
    ("MR_small.dcm", "+Wi 1", "window 1 of the file"),
    ("MR_small_RLE.dcm", "+Wi 1", "window 1 of the file"),
    ("MR_small_bigendian.dcm", "+Wi 1", "window 1 of the file"),
    ("examples_overlay.dcm", "+Wi 1", "window 1 of the file"),
    ("examples_palette.dcm", "", "colour (PALETTE COLOR)"),
    ("examples_rgb_color.dcm", "", "colour (RGB)"),
    ("examples_ybr_color.dcm", "+F 16", "colour (YBR_FULL_422)"),
    ("SC_rgb_jpeg_dcmtk.dcm", "", "colour (YBR_FULL)"),
    ("SC_rgb_rle_16bit_2frame.dcm", "+F 2", "colour (RGB)"),
    ("SC_rgb_rle_32bit.dcm", "", "colour (RGB)"),
    ("SC_rgb_small_odd.dcm", "", "colour (RGB)"),
]


def put(folder: Path, data: bytes | Dataset, name: str = "i.dcm") -> Path:
    path = folder / name
    path.write_bytes(data if isinstance(data, bytes) else written(data))
    return path


def shown(path: Path) -> NDArray[Any]:
    with Image.open(path) as picture:
        return np.asarray(picture).astype(int)


def by_dcmtk(path: Path, out: Path, *options: str) -> NDArray[Any]:
    subprocess.run(["dcmj2pnm", "-q", "-O", *options, path, out], check=True, timeout=60)
    return shown(out)


def ramp(**values: object) -> Dataset:
    """Make an image of 64 x 64 with every value from 0 to 4095."""
    pixels = np.arange(4096, dtype="<u2").tobytes()
    ds = image(**{"Rows": 64, "Columns": 64, "PixelData": pixels, **values})
    ds["PixelData"].VR = "OW"
    return ds


@pytest.mark.parametrize(("name", "options", "remark"), SAME)
def test_a_picture_is_that_of_dcmtk(name: str, options: str, remark: str, tmp_path: Path) -> None:
    path = put(tmp_path, sample(name))
    made = pictures.render(path, tmp_path / "i", PictureOptions())
    assert made.remarks == (remark,)
    expected = by_dcmtk(path, tmp_path / "x.pnm", *options.split())
    assert shown(made.files[0]).shape == expected.shape
    assert np.abs(shown(made.files[0]) - expected).max() <= 1


@pytest.mark.parametrize(
    "values",
    [
        {"WindowCenter": "40", "WindowWidth": "400", "RescaleIntercept": "-1024", "RescaleSlope": "1"},
        {"WindowCenter": ["40", "600"], "WindowWidth": ["400", "1500"], "RescaleSlope": "1", "RescaleIntercept": "-9"},
        {"WindowCenter": "500", "WindowWidth": "1000", "PhotometricInterpretation": "MONOCHROME1"},
        {"WindowCenter": "1000", "WindowWidth": "700", "VOILUTFunction": "SIGMOID"},
        {"WindowCenter": "2000", "WindowWidth": "1"},
    ],
    ids=lambda values: "-".join(map(str, values.values())),
)  # fmt: skip
def test_a_window_is_applied_as_dcmtk_applies_it(values: dict[str, object], tmp_path: Path) -> None:
    path = put(tmp_path, ramp(**values))
    [file] = pictures.draw(path, tmp_path / "i", PictureOptions())
    difference = np.abs(shown(file) - by_dcmtk(path, tmp_path / "x.pnm", "+Wi", "1"))
    assert difference.max() <= 2


def test_a_window_of_fractions_is_applied_to_values_of_fractions(tmp_path: Path) -> None:
    # DCMTK rounds what the rescale gives to whole numbers, so pydicom is the reference here.
    ds = ramp(WindowCenter="7.5", WindowWidth="3.5", RescaleIntercept="2", RescaleSlope="0.01")
    [file] = pictures.draw(put(tmp_path, ds), tmp_path / "i", PictureOptions())
    expected = apply_windowing(apply_modality_lut(np.arange(4096), ds), ds)
    expected = (expected - expected.min()) / np.ptp(expected) * 255
    assert np.abs(shown(file).ravel() - expected).max() <= 1


def test_the_second_window_is_drawn_where_it_is_asked_for(tmp_path: Path) -> None:
    path = put(tmp_path, ramp(WindowCenter=["40", "2000"], WindowWidth=["400", "1500"]))
    made = pictures.render(path, tmp_path / "i", PictureOptions(window_number=2))
    assert made.remarks == ("window 2 of the file",)
    assert np.abs(shown(made.files[0]) - by_dcmtk(path, tmp_path / "x.pnm", "+Wi", "2")).max() <= 1


def test_a_window_of_ones_own_is_drawn(tmp_path: Path) -> None:
    path = put(tmp_path, ramp(WindowCenter="40", WindowWidth="400"))
    [file] = pictures.draw(path, tmp_path / "i", PictureOptions(own_window=(1000, 500)))
    assert np.abs(shown(file) - by_dcmtk(path, tmp_path / "x.pnm", "+Ww", "1000", "500")).max() <= 1
    with pytest.raises(Rejected, match="width"):
        pictures.draw(path, tmp_path / "i", PictureOptions(own_window=(1000, 0)))


def test_a_voi_lut_goes_before_a_window(tmp_path: Path) -> None:
    lut = Dataset()
    lut.LUTDescriptor, lut.LUTData = [4096, 0, 16], list(range(65535, -1, -16))[:4096]
    lut["LUTDescriptor"].VR, lut["LUTData"].VR = "US", "US"
    path = put(tmp_path, ramp(WindowCenter="40", WindowWidth="400", VOILUTSequence=[lut]))
    made = pictures.render(path, tmp_path / "i", PictureOptions())
    assert made.remarks == ("VOI LUT 1 of the file",)
    assert np.abs(shown(made.files[0]) - by_dcmtk(path, tmp_path / "x.pnm", "+Wl", "1")).max() <= 1


def test_without_a_window_percentiles_are_drawn(tmp_path: Path) -> None:
    made = pictures.render(put(tmp_path, ramp()), tmp_path / "i", PictureOptions())
    assert made.remarks == ("percentiles 0.5 to 99.5",)
    grey = shown(made.files[0]).ravel()
    assert (grey == 0).sum() == pytest.approx(4096 * 0.005 + 4, abs=8)
    assert (grey == 255).sum() == pytest.approx(4096 * 0.005 + 4, abs=8)


def test_padding_does_not_count_for_the_percentiles(tmp_path: Path) -> None:
    ds = ramp(PixelPaddingValue=4095)
    pixels = np.full(4096, 4095, "<u2")
    pixels[:1000] = np.arange(1000)
    ds.PixelData = pixels.tobytes()
    [file] = pictures.draw(put(tmp_path, ds), tmp_path / "i", PictureOptions())
    assert shown(file).ravel()[500] == pytest.approx(128, abs=2)


def test_a_window_that_is_none_falls_back_on_percentiles(tmp_path: Path) -> None:
    path = put(tmp_path, ramp(WindowCenter="40", WindowWidth="0"))
    assert pictures.render(path, tmp_path / "i", PictureOptions()).remarks == ("percentiles 0.5 to 99.5",)


@pytest.mark.parametrize("kind", ["png", "jpeg"])
def test_an_image_of_one_value_is_drawn(kind: Any, tmp_path: Path) -> None:  # noqa: ANN401  # a literal
    ds = ramp()
    ds.PixelData = bytes(8192)
    [file] = pictures.draw(put(tmp_path, ds), tmp_path / "i", PictureOptions(kind=kind))
    assert shown(file).max() == 0


def test_monochrome_1_is_inverted(tmp_path: Path) -> None:
    made = pictures.render(
        put(tmp_path, ramp(PhotometricInterpretation="MONOCHROME1")), tmp_path / "i", PictureOptions()
    )
    assert made.remarks == ("percentiles 0.5 to 99.5, inverted (MONOCHROME1)",)
    assert shown(made.files[0])[0, 0] == 255


def test_16_bits_hold_every_stored_value(tmp_path: Path) -> None:
    made = pictures.render(
        put(tmp_path, ramp(RescaleSlope="2", RescaleIntercept="-9")), tmp_path / "i", PictureOptions(bits=16)
    )
    assert made.remarks == ("stored values, all 12 bits",)
    values = shown(made.files[0]).ravel()
    assert values[0] == 0
    assert values[-1] == 65535
    assert np.array_equal(np.rint(values / 65535 * 4095), np.arange(4096))


def test_16_bits_hold_signed_values_too(tmp_path: Path) -> None:
    ds = ramp(PixelRepresentation=1)
    ds.PixelData = np.arange(-2048, 2048, dtype="<i2").tobytes()
    [file] = pictures.draw(put(tmp_path, ds), tmp_path / "i", PictureOptions(bits=16))
    assert np.array_equal(np.rint(shown(file).ravel() / 65535 * 4095) - 2048, np.arange(-2048, 2048))


def frames(count: int, **values: object) -> Dataset:
    """Make a multi-frame image whose frames have the values 0, 10, 20, ..."""
    pixels = np.repeat(np.arange(count, dtype="<u2") * 10, 16)
    ds = image(Rows=4, Columns=4, NumberOfFrames=count, WindowCenter="128", WindowWidth="256", **values)
    ds.PixelData = pixels.tobytes()
    return ds


@pytest.mark.parametrize(
    ("wanted", "names", "greys"),
    [
        ("middle", ["i.png"], [20]),
        ("all", [f"i-{n:04d}.png" for n in range(1, 6)], [0, 10, 20, 30, 40]),
        ((2, 5), ["i-0002.png", "i-0005.png"], [10, 40]),
    ],
)
def test_the_chosen_frames_are_drawn(wanted: Any, names: list[str], greys: list[int], tmp_path: Path) -> None:  # noqa: ANN401  # a literal
    files = pictures.draw(put(tmp_path, frames(5)), tmp_path / "i", PictureOptions(frames=wanted))
    assert [file.name for file in files] == names
    assert [shown(file)[0, 0] for file in files] == greys


def test_a_frame_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Rejected, match="5 frames"):
        pictures.draw(put(tmp_path, frames(5)), tmp_path / "i", PictureOptions(frames=(6,)))


def test_each_frame_has_the_window_of_its_functional_groups(tmp_path: Path) -> None:
    ds = frames(2)
    del ds.WindowCenter, ds.WindowWidth
    groups = []
    for centre in ("10", "100"):
        voi, scale, item = Dataset(), Dataset(), Dataset()
        voi.WindowCenter, voi.WindowWidth = centre, "20"
        scale.RescaleSlope, scale.RescaleIntercept, scale.RescaleType = "10", "0", "US"
        item.FrameVOILUTSequence, item.PixelValueTransformationSequence = [voi], [scale]
        groups.append(item)
    ds.PerFrameFunctionalGroupsSequence = groups
    files = pictures.draw(put(tmp_path, ds), tmp_path / "i", PictureOptions(frames="all"))
    assert shown(files[0])[0, 0] == 0
    assert shown(files[1])[0, 0] == pytest.approx(134, abs=1)  # half of a grey level above the middle


@pytest.mark.parametrize("name", ["MR_small_jp2klossless.dcm", "MR_small_jpeg_ls_lossless.dcm", "MR_small_RLE.dcm"])
def test_a_lossless_syntax_makes_the_same_picture(name: str, tmp_path: Path) -> None:
    [one] = pictures.draw(put(tmp_path, sample("MR_small.dcm"), "one.dcm"), tmp_path / "one", PictureOptions())
    [two] = pictures.draw(put(tmp_path, sample(name), "two.dcm"), tmp_path / "two", PictureOptions())
    assert one.read_bytes() == two.read_bytes()


def test_a_deflated_file_is_drawn(tmp_path: Path) -> None:
    ds = ramp(WindowCenter="40", WindowWidth="400")
    [one] = pictures.draw(put(tmp_path, ds, "one.dcm"), tmp_path / "one", PictureOptions())
    ds.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    [two] = pictures.draw(put(tmp_path, ds, "two.dcm"), tmp_path / "two", PictureOptions())
    assert one.read_bytes() == two.read_bytes()


@pytest.mark.parametrize("syntax", [JPEG2000Lossless, JPEGLSLossless, RLELossless])
def test_a_decoder_is_installed(syntax: str) -> None:
    assert get_decoder(syntax).is_available


@pytest.mark.parametrize("kind", ["png", "jpeg"])
def test_a_picture_holds_no_word_of_the_file(kind: Any, tmp_path: Path) -> None:  # noqa: ANN401  # a literal
    ds = ramp(ImageComments=MARKER, WindowCenterWidthExplanation=MARKER)
    path = put(tmp_path, ds)
    [file] = pictures.draw(path, tmp_path / "i", PictureOptions(kind=kind))
    sheet = pictures.contact_sheet([path], tmp_path / "sheet", SheetOptions(picture=PictureOptions(kind=kind)))
    for each in (file, sheet):
        assert MARKER.encode() not in each.read_bytes()
        with Image.open(each) as picture:
            assert not picture.getexif()
            assert set(picture.info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}


def without_pixels() -> Dataset:
    ds = ramp()
    del ds.PixelData
    return ds


def cut() -> Dataset:
    ds = ramp()
    ds.PixelData = ds.PixelData[:100]
    return ds


def of_colours(colours: str) -> Dataset:
    return ramp(PhotometricInterpretation=colours)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"no DICOM", "cannot be read"),
        (b"", "cannot be read"),
        (sample("test-SR.dcm"), "no image"),
        (sample("rtplan.dcm"), "no image"),
        (without_pixels(), "cannot be decoded"),
        (cut(), "cannot be decoded"),
        (of_colours("HSV"), "cannot be decoded|kind of colour"),
        (of_colours(MARKER.upper()), "cannot be decoded|kind of colour"),
        (ramp(WindowCenter="40", WindowWidth="400", Rows=0), "no image"),
    ],
)
def test_what_cannot_be_drawn_is_refused_without_a_value(data: bytes | Dataset, reason: str, tmp_path: Path) -> None:
    path = put(tmp_path, data)
    with pytest.raises(Rejected, match=reason) as error:
        pictures.draw(path, tmp_path / "i", PictureOptions())
    assert MARKER.casefold() not in str(error.value).casefold()
    assert list(tmp_path.iterdir()) == [path]


def test_16_bits_of_colour_or_jpeg_are_refused(tmp_path: Path) -> None:
    with pytest.raises(Rejected, match="monochrome"):
        pictures.draw(put(tmp_path, sample("examples_rgb_color.dcm")), tmp_path / "i", PictureOptions(bits=16))
    with pytest.raises(Rejected, match="PNG"):
        pictures.draw(put(tmp_path, ramp()), tmp_path / "i", PictureOptions(bits=16, kind="jpeg"))


def test_a_picture_as_text_is_the_picture(tmp_path: Path) -> None:
    [file] = pictures.draw(put(tmp_path, ramp()), tmp_path / "i", PictureOptions())
    assert base64.b64decode(pictures.as_base64(file)) == file.read_bytes()


def test_a_second_drawing_is_the_same_file(tmp_path: Path) -> None:
    path = put(tmp_path, ramp())
    first = [file.read_bytes() for file in pictures.draw(path, tmp_path / "i", PictureOptions())]
    assert [file.read_bytes() for file in pictures.draw(path, tmp_path / "i", PictureOptions())] == first


def a_series(folder: Path, count: int, **values: object) -> list[Path]:
    """Write slices whose grey grows with their place; names and numbers tell another order."""
    files = []
    for at in range(count):
        ds = image(Rows=8, Columns=8, WindowCenter="128", WindowWidth="256", InstanceNumber=count - at, **values)
        ds.ImagePositionPatient, ds.ImageOrientationPatient = [0, 0, at * 3.0], [1, 0, 0, 0, 1, 0]
        ds.PixelData = np.full(64, at * 10, "<u2").tobytes()
        files.append(put(folder, ds, f"{(at * 7) % count:03d}.dcm"))
    return files


def test_a_sheet_shows_evenly_spaced_slices_in_their_order(tmp_path: Path) -> None:
    files = a_series(tmp_path, 20)
    sheet = shown(pictures.contact_sheet(files, tmp_path / "s.png", SheetOptions(tiles=4, columns=2, tile_px=20)))
    assert sheet.shape == (40, 40)
    assert [sheet[y, x] for y in (10, 30) for x in (10, 30)] == [20, 70, 120, 170]


def test_a_tile_is_as_wide_and_high_as_its_pixels_are(tmp_path: Path) -> None:
    files = a_series(tmp_path, 2, PixelSpacing=["2", "1"])
    sheet = shown(pictures.contact_sheet(files, tmp_path / "s.png", SheetOptions(tiles=2, columns=2, tile_px=32)))
    assert list(np.flatnonzero(sheet[16, 32:])) == list(range(8, 24))
    assert np.count_nonzero(sheet[:, 48]) == 32


def test_a_slice_that_cannot_be_drawn_leaves_the_others(tmp_path: Path) -> None:
    files = a_series(tmp_path, 3)
    files[0].write_bytes(b"broken")
    sheet = shown(pictures.contact_sheet(files, tmp_path / "s.png", SheetOptions(tiles=3, columns=3, tile_px=16)))
    assert sheet.shape == (16, 32)
    with pytest.raises(Rejected, match="no image"):
        pictures.contact_sheet(files[:1], tmp_path / "s.png")


def test_a_file_with_odd_values_is_no_warning(tmp_path: Path) -> None:
    ds = pydicom.dcmread(io.BytesIO(written(ramp())))
    data = written(ds).replace(b"057Y", b"57 Y")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pictures.draw(put(tmp_path, data), tmp_path / "i", PictureOptions())
