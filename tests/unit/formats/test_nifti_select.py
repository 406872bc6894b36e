"""What is refused before a converter sees it, and with which words."""

from collections.abc import Callable
from pathlib import Path

import pytest
from pydicom import Dataset
from pydicom.uid import (
    MPEG2MPML,
    NuclearMedicineImageStorage,
    RTDoseStorage,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
    UltrasoundImageStorage,
    XRayRadiationDoseSRStorage,
)

from made_volumes import SLICES, ct, enhanced_mr, mr, nothing, pet, two_echoes, write
from objects import MARKER
from orthanc_deid.errors import Rejected
from orthanc_deid.formats import series
from orthanc_deid.formats.nifti_select import Expected, select

Change = Callable[[Dataset, int], None]


def put(**attributes: object) -> Change:
    def change(ds: Dataset, _at: int) -> None:
        for keyword, value in attributes.items():
            setattr(ds, keyword, value)

    return change


def chosen(
    folder: Path, make: Callable[[int], Dataset] = ct, change: Change = nothing, count: int = SLICES, minimum: int = 3
) -> Expected:
    return select(series.read(write(folder / "in", make, change, count)), minimum, resampled=False)


def other_direction(ds: Dataset, at: int) -> None:
    if at > 2:
        ds.ImageOrientationPatient = [0, 1, 0, 0, 0, -1]


def other_series(ds: Dataset, at: int) -> None:
    if at > 2:
        ds.SeriesInstanceUID += ".9"


def other_size(ds: Dataset, at: int) -> None:
    if at > 2:
        ds.Rows, ds.PixelData = 8, ds.PixelData[:256]


def nowhere(ds: Dataset, at: int) -> None:
    if at > 2:
        del ds.ImagePositionPatient


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (put(ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]), "not a volume: a localizer"),
        (put(ImageType=["DERIVED", "SECONDARY", "SCREEN SAVE"]), "not a volume: a screen save"),
        (put(ImageType=["DERIVED", "SECONDARY", "OTHER", "CT_SOM5 PROT"]), "not a volume: a protocol page"),
        (put(SOPClassUID=SecondaryCaptureImageStorage), "not a volume: a screen shot or another secondary capture"),
        (put(SOPClassUID=UltrasoundImageStorage), "not a volume: ultrasound"),
        (put(SOPClassUID=SegmentationStorage), "not a volume: a segmentation"),
        (put(SOPClassUID=XRayRadiationDoseSRStorage), "not a volume: a dose report"),
        (put(SOPClassUID=RTDoseStorage), "not a volume: a dose distribution or report"),
        (put(SOPClassUID=NuclearMedicineImageStorage), "not a volume: nuclear medicine"),
        (put(SOPClassUID="1.2.3"), "not a volume: no CT, MR or PET image"),
        (put(PhotometricInterpretation="PALETTE COLOR"), "not a volume: a colour image"),
        (other_direction, "not a volume: mixed orientations"),
        (other_size, "not a volume: mixed sizes"),
        (nowhere, "not a volume: images without a position"),
        (other_series, "instances of more than one series"),
        (put(ImagesInAcquisition=SLICES + 1), "images are missing: 6 of 7"),
        (put(NumberOfSlices=SLICES + 2), "slices are missing: 6 of 8"),
    ],
)
def test_what_cannot_be_a_volume_is_refused_by_its_header(change: Change, reason: str, tmp_path: Path) -> None:
    with pytest.raises(Rejected, match=reason) as caught:
        chosen(tmp_path, change=change)
    assert MARKER not in str(caught.value)


def test_a_transfer_syntax_of_videos_is_refused(tmp_path: Path) -> None:
    found = series.read(write(tmp_path / "in"))
    from dataclasses import replace

    with pytest.raises(Rejected, match="transfer syntax"):
        select([replace(each, syntax=MPEG2MPML) for each in found], 3, resampled=False)


def test_fewer_slices_than_the_minimum_are_refused(tmp_path: Path) -> None:
    with pytest.raises(Rejected, match="fewer than 3 slices"):
        chosen(tmp_path, count=2)
    assert select(series.read(tmp_path / "in"), 2, resampled=False).slices == 2


@pytest.mark.parametrize("make", [ct, mr, pet])
def test_slices_of_each_kind_are_counted(make: Callable[[int], Dataset], tmp_path: Path) -> None:
    expected = chosen(tmp_path, make)
    assert (expected.images, expected.slices, expected.remarks) == (SLICES, SLICES, ())


def test_frames_are_counted_as_slices(tmp_path: Path) -> None:
    expected = chosen(tmp_path, lambda _at: enhanced_mr(), count=1)
    assert (expected.images, expected.slices) == (SLICES, SLICES)


def test_echoes_share_their_slices(tmp_path: Path) -> None:
    expected = chosen(tmp_path, two_echoes, count=2 * SLICES)
    assert (expected.images, expected.slices) == (2 * SLICES, SLICES)


def test_an_echo_that_lacks_a_slice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Rejected, match="from 1 to 2 images at one place"):
        chosen(tmp_path, two_echoes, count=2 * SLICES - 1)


def test_gaps_in_the_numbers_are_a_remark_and_so_are_volumes_that_never_came(tmp_path: Path) -> None:
    def gap(ds: Dataset, at: int) -> None:
        ds.InstanceNumber = at + 1 + (at > 2)
        ds.NumberOfTemporalPositions = 4

    assert chosen(tmp_path, change=gap).remarks == (
        "instance numbers run over 7 but there are 6 instances",
        "1 of 4 volumes",
    )


def test_derived_images_may_repeat_the_counts_of_their_source(tmp_path: Path) -> None:
    change = put(ImageType=["DERIVED", "SECONDARY", "REFORMATTED", "AVERAGE"], ImagesInAcquisition=400)
    assert chosen(tmp_path, change=change).slices == SLICES
