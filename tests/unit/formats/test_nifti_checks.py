"""Results that are not what the series was, texts of converters, and two images that differ."""

import gzip
import os
import struct
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from objects import MARKER
from orthanc_deid.errors import Rejected
from orthanc_deid.formats import nifti_checks, nifti_compare, nifti_header, nifti_words
from orthanc_deid.formats.nifti_run import Said
from orthanc_deid.formats.nifti_select import Expected

AFFINE = np.diag([2.0, 2.0, 3.0, 1.0])


def image(path: Path, shape: tuple[int, ...] = (4, 5, 6), affine: Any = AFFINE, factor: int = 1) -> Path:  # noqa: ANN401  # an array
    voxels = (np.arange(np.prod(shape)).reshape(shape) * factor).astype(np.int16)
    made: Any = nibabel.nifti1.Nifti1Image(voxels, affine)  # type: ignore[no-untyped-call]
    made.header["descrip"] = f"of {MARKER}"
    made.header["aux_file"] = made.header["intent_name"] = made.header["db_name"] = MARKER
    made.header.extensions.append(nibabel.nifti1.Nifti1Extension(6, f"about {MARKER}".encode()))
    made.to_filename(path)
    return path


def expected(*, slices: int = 6, images: int = 6, step: float = 3.0) -> Expected:
    corners = tuple((0.0, 0.0, step * at) for at in range(slices))
    return Expected(images, slices, corners, (0.0, 0.0, 1.0), (5, 4), philips=False)


def found(folder: Path, *, resampled: bool = False) -> tuple[nifti_checks.Image, ...]:
    return nifti_checks.images(folder, resampled=resampled)


def test_texts_and_extensions_are_taken_away_and_voxels_stay(tmp_path: Path) -> None:
    source = image(tmp_path / "x.nii")
    assert MARKER.encode() in source.read_bytes()
    nifti_header.compress(source, tmp_path / "new.nii.gz")
    data = gzip.decompress((tmp_path / "new.nii.gz").read_bytes())
    before: Any = nibabel.loadsave.load(source)
    after: Any = nibabel.loadsave.load(tmp_path / "new.nii.gz")
    assert MARKER.encode() not in data
    assert (after.affine == before.affine).all()
    assert (np.asarray(after.dataobj) == np.asarray(before.dataobj)).all()
    assert struct.unpack_from("<f", data, 108) == (352.0,)


def test_a_file_that_is_too_short_is_refused(tmp_path: Path) -> None:
    source = image(tmp_path / "x.nii")
    os.truncate(source, source.stat().st_size - 1)
    with pytest.raises(Rejected, match="fewer voxels"):
        nifti_header.read(source)


@pytest.mark.parametrize(
    ("wanted", "reason"),
    [
        (expected(slices=7, images=7), "made 6 slices of 7"),
        (expected(images=12), "made 6 images of 12"),
    ],
)
def test_slices_and_volumes_must_be_the_images_of_the_series(wanted: Expected, reason: str, tmp_path: Path) -> None:
    image(tmp_path / "x.nii")
    with pytest.raises(Rejected, match=reason):
        nifti_checks.counted(found(tmp_path), wanted)


def test_an_image_out_of_its_place_is_refused(tmp_path: Path) -> None:
    image(tmp_path / "x.nii")
    nifti_checks.counted(found(tmp_path), expected())
    nifti_checks.placed(found(tmp_path), expected())
    with pytest.raises(Rejected, match="where the series has none"):
        nifti_checks.placed(found(tmp_path), expected(step=3.1))


@pytest.mark.parametrize("name", ["x_ROI1.nii", "xa.nii", "x_Crop_1.nii", "x_MoCo.nii", "x_c1.nii"])
def test_a_file_that_belongs_to_no_set_is_refused(name: str, tmp_path: Path) -> None:
    image(tmp_path / "x.nii")
    image(tmp_path / name)
    with pytest.raises(Rejected, match="split the series"):
        found(tmp_path, resampled=True)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("Warning: Guessing this is a mosaic up to 9 slices (issue 337).", "number of slices of a mosaic was guessed"),
        ("Warning: Mosaic inferred without CSA header (check number of slices)", "mosaic was guessed"),
        ("Warning: Missing images. Found 39 images, expected 40 slices per volume", "images are missing"),
        ("Warning: DICOM images may be missing, expected 5 spatial locations", "images are missing"),
        ("Warning: Unable to determine slice direction: please check", "direction of the slices is not known"),
        (f"Error: Corrupt frame header of {MARKER}", "pixel data are broken"),
    ],
)
def test_a_guess_of_the_converter_is_refused_though_it_ends_well(text: str, reason: str) -> None:
    with pytest.raises(Rejected, match=reason) as caught:
        nifti_words.first(Said(0, f"Chris\n{text}\nConvert 5 DICOM as {MARKER}"))
    assert MARKER not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "remarks"),
    [
        ("Warning: Empty protocol name(s) (0018,1030)", ()),
        ("Warning: Seconds between volumes varies", ("the time between volumes varies",)),
        ("Warning: Slice timing appears corrupted (range 1..2)", ("slice timing is missing or uncertain",)),
        ("Warning: XA PhysioLogging payload could not be decompressed.", ()),
        ("Warning: Image Decompression is new: please validate conversions", ()),
        (f"Warning: {MARKER} is odd", ("the converter gave a warning that is not known here",)),
    ],
)
def test_other_warnings_are_told_in_words_of_ours(text: str, remarks: tuple[str, ...]) -> None:
    assert nifti_words.first(Said(0, text)) == remarks


def test_the_second_converter_may_not_take_a_kind() -> None:
    with pytest.raises(nifti_words.NotOfItsKind):
        nifti_words.second(Said(3, MARKER))
    with pytest.raises(Rejected, match="exit code 1"):
        nifti_words.second(Said(1, MARKER))


def test_the_same_image_with_turned_axes_is_the_same(tmp_path: Path) -> None:
    source = image(tmp_path / "x.nii")
    loaded: Any = nibabel.loadsave.load(source)
    turned: Any = loaded.as_reoriented(np.array([[1, -1], [0, 1], [2, -1]]))
    turned.to_filename(tmp_path / "y.nii")
    nifti_compare.compare(source, tmp_path / "y.nii")


@pytest.mark.parametrize(
    ("other", "what"),
    [
        ({"shape": (4, 5, 7)}, "the shape"),
        ({"affine": np.diag([2.0, 2.0, 3.01, 1.0])}, "the place in space"),
        ({"factor": 2}, "values"),
    ],
)
def test_images_that_differ_are_refused(other: dict[str, Any], what: str, tmp_path: Path) -> None:
    with pytest.raises(Rejected, match=f"disagree on {what}"):
        nifti_compare.compare(image(tmp_path / "x.nii"), image(tmp_path / "y.nii", **other))


@pytest.mark.parametrize(
    ("name", "text"),
    [("x.bval", "0 1000"), ("x.bval", f"0 1 {MARKER}"), ("x.bvec", "0 0 0\n1 1 1"), ("x.bval", "0 nan 1")],
)
def test_diffusion_tables_are_numbers_for_each_volume(name: str, text: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(Rejected, match="diffusion directions") as caught:
        nifti_checks.numbers(tmp_path / name, 3)
    assert MARKER not in str(caught.value)
    (tmp_path / name).write_text("\n".join(["0 1 2"] * (1 if name == "x.bval" else 3)))
    assert nifti_checks.numbers(tmp_path / name, 3).startswith("0 1 2\n")


def test_b_values_that_differ_are_refused(tmp_path: Path) -> None:
    for name, text in (("x", "0 1000"), ("y", "0.0 1000.4"), ("z", "0 2000")):
        (tmp_path / f"{name}.bval").write_text(text)
    nifti_checks.same_b_values(tmp_path / "x.nii", tmp_path / "y.nii")
    nifti_checks.same_b_values(tmp_path / "x.nii", tmp_path / "none.nii")
    with pytest.raises(Rejected, match="disagree on b-values"):
        nifti_checks.same_b_values(tmp_path / "x.nii", tmp_path / "z.nii")
