"""Made series through both real converters: what becomes a volume, what is refused, and what never gets out."""

import gzip
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.data import get_testdata_file
from pydicom.uid import DeflatedExplicitVRLittleEndian, RLELossless

from made_volumes import B_VALUES, SIZE, SLICES, ct, diffusion, enhanced_mr, mr, pet, two_echoes, voxels, write
from objects import MARKER, ROOT
from orthanc_deid.errors import Rejected, Retriable
from orthanc_deid.formats.nifti import NiftiOptions, convert

PLAIN = NiftiOptions()
KEEP = NiftiOptions(resampled="keep")
BOTH = NiftiOptions(cross_check=True)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def values(path: Path) -> Any:  # noqa: ANN401  # an array of numpy's
    image: Any = nibabel.loadsave.load(path)
    return np.asarray(image.dataobj)


def sidecar(folder: Path) -> dict[str, Any]:
    found = json.loads((folder / "image.json").read_text())
    assert isinstance(found, dict)
    return found


def nothing_left(tmp_path: Path) -> bool:
    """No temporary folder stays beside, and no file where the result would be."""
    out = tmp_path / "out"
    return (not out.exists() or not names(out)) and not list(tmp_path.glob(".nifti-*"))


def expected(at: int) -> Any:  # noqa: ANN401  # an array of numpy's
    return np.frombuffer(voxels(at), "<u2").reshape(SIZE, SIZE).astype(float)


def test_a_ct_keeps_its_values_and_its_place(tmp_path: Path) -> None:
    done = convert(write(tmp_path / "in"), tmp_path / "out", "image", BOTH)
    assert names(tmp_path / "out") == ["image.json", "image.nii.gz"]
    assert (done.shape, done.remarks) == ((SIZE, SIZE, SLICES), ())
    assert done.engine.startswith("dcm2niix v1.0.2026")
    image: Any = nibabel.loadsave.load(done.files[1])
    for at in range(SLICES):
        index = np.linalg.inv(image.affine) @ [10, 20 - 1.2 * at, 5 + 1.6 * at, 1]
        column, row, place = (round(float(each)) for each in index[:3])
        assert np.allclose(index[:3], [column, row, place], atol=1e-3)
        assert image.dataobj[column, row, place] == expected(at)[0, 0] - 1024


def test_a_pet_whose_scale_differs_by_slice_keeps_its_values(tmp_path: Path) -> None:
    done = convert(write(tmp_path / "in", pet), tmp_path / "out", "image", BOTH)
    found = values(done.files[1])
    for at in range(SLICES):
        assert np.isclose(found[..., at].max(), expected(at).max() * (1.5 + at), rtol=1e-6)


@pytest.mark.parametrize("make", [mr, lambda _at: enhanced_mr()], ids=["classic", "enhanced"])
def test_an_mr_becomes_a_volume_by_both_converters(make: Callable[[int], Dataset], tmp_path: Path) -> None:
    source = write(tmp_path / "in", make, count=SLICES if make is mr else 1)
    first = convert(source, tmp_path / "out", "image", BOTH)
    second = convert(source, tmp_path / "second", "image", NiftiOptions(engine="dicom2nifti", cross_check=True))
    assert (first.shape, first.remarks, second.remarks) == ((SIZE, SIZE, SLICES), (), ())
    assert second.engine == "dicom2nifti 2.6.2"
    assert sidecar(tmp_path / "second")["EchoTime"] == 0.005


def test_a_3d_series_that_the_converter_turns_is_still_recognised(tmp_path: Path) -> None:
    def sagittal(ds: Dataset, at: int) -> None:
        ds.ImageOrientationPatient, ds.ImagePositionPatient = [0, 1, 0, 0, 0, -1], [2 * at - 6, -10, 10]

    done = convert(write(tmp_path / "in", mr, sagittal), tmp_path / "out", "image", BOTH)
    assert sorted(done.shape) == [SLICES, SIZE, SIZE]
    assert done.remarks == ()


def test_echoes_are_a_set(tmp_path: Path) -> None:
    source = write(tmp_path / "in", two_echoes, count=2 * SLICES)
    convert(source, tmp_path / "out", "image", PLAIN)
    assert names(tmp_path / "out") == ["image_e1.json", "image_e1.nii.gz", "image_e2.json", "image_e2.nii.gz"]
    first, second = (json.loads((tmp_path / "out" / f"image_e{n}.json").read_text()) for n in (1, 2))
    assert (first["EchoTime"], second["EchoTime"]) == (0.005, 0.008)


def test_phase_and_magnitude_are_a_set(tmp_path: Path) -> None:
    def make(at: int) -> Dataset:
        ds = two_echoes(at)
        ds.EchoTime, ds.EchoNumbers = 5, 1
        ds.ImageType = ["ORIGINAL", "PRIMARY", "P" if at >= SLICES else "M", "ND"]
        return ds

    convert(write(tmp_path / "in", make, count=2 * SLICES), tmp_path / "out", "image", PLAIN)
    assert [name for name in names(tmp_path / "out") if name.endswith("gz")] == ["image.nii.gz", "image_ph.nii.gz"]


@pytest.mark.parametrize("engine", ["dcm2niix", "dicom2nifti"])
def test_diffusion_keeps_b_values_and_directions(engine: str, tmp_path: Path) -> None:
    source = write(tmp_path / "in", diffusion, count=SLICES * len(B_VALUES))
    done = convert(source, tmp_path / "out", "image", NiftiOptions(engine=engine, cross_check=True))
    assert names(tmp_path / "out") == ["image.bval", "image.bvec", "image.json", "image.nii.gz"]
    assert done.shape == (SIZE, SIZE, SLICES, len(B_VALUES))
    assert [float(word) for word in (tmp_path / "out" / "image.bval").read_text().split()] == list(B_VALUES)
    rows = [
        [float(word) for word in line.split()] for line in (tmp_path / "out" / "image.bvec").read_text().splitlines()
    ]
    assert np.allclose(np.linalg.norm(rows, axis=0), [0, 1, 1, 1], atol=1e-3)


def test_a_converter_that_finds_no_directions_says_so(tmp_path: Path) -> None:
    def other(ds: Dataset, _at: int) -> None:
        ds.Manufacturer = "Philips"
        ds.remove_private_tags()
        ds.DiffusionBValue = 1000

    source = write(tmp_path / "in", diffusion, other, SLICES * len(B_VALUES))
    done = convert(source, tmp_path / "out", "image", NiftiOptions(engine="dicom2nifti"))
    assert done.remarks == ("the headers tell b-values, but the converter wrote no diffusion directions",)


def test_a_second_conversion_takes_the_place_of_the_first(tmp_path: Path) -> None:
    out = tmp_path / "out"
    convert(write(tmp_path / "a", two_echoes, count=2 * SLICES), out, "image", PLAIN)
    (out / "image_other.nii.gz").write_bytes(b"somebody else's")
    source = write(tmp_path / "b", two_echoes)
    convert(source, out, "image", PLAIN)
    first = {path.name: path.read_bytes() for path in out.iterdir()}
    time.sleep(1.1)  # a gzip header would count seconds
    convert(source, out, "image", PLAIN)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == first
    assert names(out) == ["image.json", "image.nii.gz", "image_other.nii.gz"]


def drop(number: int) -> Callable[[Path], None]:
    return lambda folder: sorted(folder.iterdir())[number].unlink()


def twice(folder: Path) -> None:
    path = sorted(folder.iterdir())[2]
    (folder / "again.dcm").write_bytes(path.read_bytes())


def twice_under_another_uid(folder: Path) -> None:
    ds = dcmread(sorted(folder.iterdir())[2])
    ds.SOPInstanceUID += ".9"
    ds.save_as(folder / "again.dcm")


def cut(folder: Path) -> None:
    path = sorted(folder.iterdir())[2]
    path.write_bytes(path.read_bytes()[:-1])


def no_dicom(folder: Path) -> None:
    (folder / "README").write_text(f"about {MARKER}")


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (drop(2), "slices are not at equal distances: one or more may be missing"),
        (twice, "the same instance twice"),
        (twice_under_another_uid, "the same slice twice"),
        (cut, "pixel data are cut off"),
        (no_dicom, "an instance is not readable as DICOM"),
        (lambda folder: [path.unlink() for path in folder.iterdir()], "the series holds no instance"),
    ],
)
def test_a_broken_series_is_refused_with_its_reason(
    fault: Callable[[Path], object], reason: str, tmp_path: Path
) -> None:
    source = write(tmp_path / "in")
    fault(source)
    with pytest.raises(Rejected, match=reason):
        convert(source, tmp_path / "out", "image", PLAIN)
    assert nothing_left(tmp_path)


def test_cut_compressed_pixel_data_are_refused(tmp_path: Path) -> None:
    def compress(ds: Dataset, _at: int) -> None:
        ds.BitsStored, ds.HighBit = 16, 15
        ds.compress(RLELossless, generate_instance_uid=False)

    source = write(tmp_path / "in", change=compress)
    assert convert(source, tmp_path / "good", "image", PLAIN).shape == (SIZE, SIZE, SLICES)
    path = sorted(source.iterdir())[2]
    path.write_bytes(path.read_bytes()[:-60])
    with pytest.raises(Rejected, match="cannot read the series"):
        convert(source, tmp_path / "out", "image", PLAIN)
    assert nothing_left(tmp_path)


@pytest.mark.parametrize("name", ["MR_small_RLE", "MR_small_jp2klossless", "MR_small_jpeg_ls_lossless"])
def test_compressed_pixel_data_have_the_values_of_native_ones(name: str, tmp_path: Path) -> None:
    made = {}
    for kind in ("MR_small", name):
        path = get_testdata_file(f"{kind}.dcm", download=False)
        assert isinstance(path, str)
        (tmp_path / kind).mkdir()
        for at in range(4):
            ds = dcmread(path)
            ds.SOPInstanceUID, ds.InstanceNumber = f"{ROOT}.5.{at}", at + 1
            ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
            ds.ImagePositionPatient = [-80, -80, 2.5 * at]
            ds.save_as(tmp_path / kind / f"{at}.dcm")
        convert(tmp_path / kind, tmp_path / f"out-{kind}", "image", PLAIN)
        made[kind] = gzip.decompress((tmp_path / f"out-{kind}" / "image.nii.gz").read_bytes())
    assert made["MR_small"] == made[name]


def test_a_deflated_series_is_inflated_first(tmp_path: Path) -> None:
    def deflate(ds: Dataset, _at: int) -> None:
        ds.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian

    convert(write(tmp_path / "a", change=deflate), tmp_path / "out", "image", PLAIN)
    convert(write(tmp_path / "b"), tmp_path / "plain", "image", PLAIN)
    assert (tmp_path / "out" / "image.nii.gz").read_bytes() == (tmp_path / "plain" / "image.nii.gz").read_bytes()


def test_images_that_were_sent_twice_under_other_numbers_are_said(tmp_path: Path) -> None:
    def again(at: int) -> Dataset:
        ds = ct(at % SLICES)
        ds.SOPInstanceUID, ds.InstanceNumber = f"{ROOT}.1.1.{at + 1}", at + 1
        return ds

    done = convert(write(tmp_path / "in", again, count=2 * SLICES), tmp_path / "out", "image", PLAIN)
    assert done.remarks == ("1 of 2 volumes repeat another",)


def tilted(ds: Dataset, at: int) -> None:
    ds.ImageOrientationPatient, ds.ImagePositionPatient = [1, 0, 0, 0, 1, 0], [-10, -20 + 0.5 * at, 2 * at]
    ds.GantryDetectorTilt = 14


def uneven(ds: Dataset, at: int) -> None:
    ds.ImageOrientationPatient, ds.ImagePositionPatient = [1, 0, 0, 0, 1, 0], [-10, -20, 2 * at + 0.6 * (at > 2)]


@pytest.mark.parametrize(
    ("change", "reason"), [(tilted, "gantry tilt"), (uneven, "not at equal distances: only resampling")]
)
def test_resampled_volumes_are_made_only_where_that_is_allowed_and_said(
    change: Callable[[Dataset, int], None], reason: str, tmp_path: Path
) -> None:
    source = write(tmp_path / "in", change=change)
    with pytest.raises(Rejected, match=reason):
        convert(source, tmp_path / "out", "image", PLAIN)
    assert nothing_left(tmp_path)
    done = convert(source, tmp_path / "out", "image", KEEP)
    assert names(tmp_path / "out") == ["image.json", "image.nii.gz"]
    assert "slices were resampled to equal distances along their normal" in done.remarks
    again = convert(source, tmp_path / "out", "image", NiftiOptions(resampled="keep", cross_check=True))
    assert "not cross-checked: the other converter does not resample" in again.remarks


# What identifies, planted in the source: none of it in any byte that gets out.

SECRETS = (MARKER, "2020", "10:20", "102001", "10:19", ROOT, "MRN-770001", "1963")


@pytest.mark.parametrize("make", [ct, pet, mr, lambda _at: enhanced_mr()], ids=["ct", "pet", "mr", "enhanced"])
@pytest.mark.parametrize("engine", ["dcm2niix", "dicom2nifti"])
def test_planted_identity_is_in_no_byte_and_no_name(
    make: Callable[[int], Dataset], engine: str, tmp_path: Path
) -> None:
    source = write(tmp_path / "in", make, count=1 if make not in {ct, pet, mr} else SLICES)
    done = convert(source, tmp_path / "out", "image", NiftiOptions(engine=engine, text=False))
    assert names(tmp_path / "out") == ["image.json", "image.nii.gz"]
    packed = done.files[1].read_bytes()
    # No name, no comment, no time: flags and MTIME of RFC 1952.
    assert packed[3:8] == bytes(5)
    texts = [packed, gzip.decompress(packed)[:352], done.files[0].read_bytes().replace(b"1.0.20260724", b"")]
    assert [(secret, at) for at, text in enumerate(texts) for secret in SECRETS if secret.encode() in text] == []


def test_texts_times_and_dates_stand_in_the_sidecar_where_they_are_asked_for(tmp_path: Path) -> None:
    source = write(tmp_path / "in", mr)
    convert(source, tmp_path / "out", "image", PLAIN)
    assert sidecar(tmp_path / "out")["SeriesDescription"] == f"for {MARKER}"
    assert not {"AcquisitionTime", "AcquisitionDateTime"} & sidecar(tmp_path / "out").keys()
    convert(source, tmp_path / "out", "image", NiftiOptions(times=True, dates=True))
    found = sidecar(tmp_path / "out")
    assert (found["AcquisitionTime"], found["AcquisitionDateTime"]) == ("10:20:01.500000", "2020-06-15T10:20:01.500000")
    assert {"InstitutionName", "DeviceSerialNumber", "StationName", "PatientID", "StudyDescription"}.isdisjoint(found)


# Converters that misbehave, in place of dcm2niix.


def program(tmp_path: Path, script: str) -> Path:
    path = tmp_path / "converter"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o700)
    return path


def test_a_converter_that_hangs_is_ended_with_what_it_started(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    stuck = program(tmp_path, f"sleep 600 & echo $! > {pid}; wait")
    with pytest.raises(Retriable, match="longer than"):
        convert(write(tmp_path / "in"), tmp_path / "out", "image", NiftiOptions(timeout_s=1, program=stuck))
    assert nothing_left(tmp_path)
    state = Path(f"/proc/{int(pid.read_text())}/stat")
    for _ in range(50):
        if not state.exists() or ") Z" in state.read_text():
            break
        time.sleep(0.1)
    else:
        pytest.fail("the child of the converter is still there")


@pytest.mark.parametrize(
    ("script", "kind", "reason"),
    [
        ("kill -SEGV $$", Retriable, "ended by signal 11"),
        ("exit 2", Rejected, "exit code 2"),
        ("exit 0", Rejected, "made nothing"),
        (f"echo 'Error: {MARKER} is odd'", Rejected, "an error that is not known here"),
        (f"echo 'Warning: Guessing {MARKER}'", Rejected, "the converter guessed"),
        (f"echo 'Error: Unable to write 5 bytes to output {MARKER}'; exit 1", Retriable, "room on the disk"),
        ('for last; do :; done; eval "echo junk > $(dirname $last)/made/x.nii"', Rejected, "no NIfTI file"),
        ('for last; do :; done; eval "echo junk > $(dirname $last)/made/x_Odd.nii"', Rejected, "split the series"),
    ],
)
def test_a_converter_that_fails_gives_a_reason_without_its_words(
    script: str, kind: type[Exception], reason: str, tmp_path: Path
) -> None:
    options = NiftiOptions(program=program(tmp_path, script))
    with pytest.raises(kind, match=reason) as caught:
        convert(write(tmp_path / "in"), tmp_path / "out", "image", options)
    assert MARKER not in str(caught.value)
    assert nothing_left(tmp_path)


def test_the_converter_is_called_without_options_of_its_home_folder_and_reads_nothing(tmp_path: Path) -> None:
    said = tmp_path / "said"
    spy = program(tmp_path, f'{{ echo "$HOME"; read line && echo read; echo "$@"; }} > {said}')
    with pytest.raises(Rejected):
        convert(write(tmp_path / "in"), tmp_path / "out", "image", NiftiOptions(program=spy))
    home, words = said.read_text().splitlines()
    assert home != os.environ.get("HOME")
    assert "-g i" in words
    assert MARKER not in words


@pytest.mark.parametrize("stem", ["", "a/b", "..%2f", "x" * 101, "a b"])
def test_a_stem_that_is_no_plain_name_is_an_error(stem: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="a stem has"):
        convert(write(tmp_path / "in"), tmp_path / "out", stem, PLAIN)
