"""Headers of a folder: places, counts of scanners, tiles of mosaics."""

import struct
from pathlib import Path

import pytest
from pydicom import Dataset

from made_volumes import ct, mr, write
from objects import MARKER
from orthanc_deid.errors import Rejected
from orthanc_deid.formats import series


def test_places_are_along_the_normal_of_the_slices(tmp_path: Path) -> None:
    places = [each.places[0] for each in series.read(write(tmp_path / "in"))]
    assert places[0].normal == pytest.approx((0, 0.6, 0.8))
    assert [b - a for a, b in zip(series.along(places), series.along(places)[1:], strict=False)] == pytest.approx(
        [2] * 5
    )
    assert series.distinct([3, 1, 1.001, 2, 3]) == [1, 2, 3]


@pytest.mark.parametrize(
    ("group", "creator", "offset"), [(0x2001, "Philips Imaging DD 001", 0x18), (0x0021, "GEMS_RELA_01", 0x4F)]
)
def test_the_count_of_slices_is_found_behind_another_block(
    group: int, creator: str, offset: int, tmp_path: Path
) -> None:
    def change(ds: Dataset, _at: int) -> None:
        ds.private_block(group, f"MAKER {MARKER}", create=True).add_new(offset, "LO", MARKER)
        ds.private_block(group, creator, create=True).add_new(offset, "SL", 24)

    assert {each.slices for each in series.read(write(tmp_path / "in", mr, change))} == {24}


@pytest.mark.parametrize(("good", "bad"), [(b"\\-20.0", b"\\ten.0"), (b"\\-0.6", b"\\0.80"), (b"\\-0.6", b"\\ten ")])
def test_a_position_of_the_wrong_form_refuses_the_file_without_showing_it(
    good: bytes, bad: bytes, tmp_path: Path
) -> None:
    source = write(tmp_path / "in", count=1)
    (path,) = source.iterdir()
    data = path.read_bytes()
    assert data.count(good) == 1
    path.write_bytes(data.replace(good, bad))
    with pytest.raises(Rejected, match=r"not readable as DICOM \(\w+\)$"):
        series.read(source)


def mosaic(ds: Dataset, at: int) -> None:
    ds.ImageType = ["ORIGINAL", "PRIMARY", "M", "MOSAIC"]
    if at == 0:
        ds.private_block(0x0019, "SIEMENS MR HEADER", create=True).add_new(0x0A, "US", 36)
    elif at == 1:
        ds.private_block(0x0029, "SIEMENS CSA HEADER", create=True).add_new(0x10, "OB", csa(25))
    elif at == 2:
        ds.private_block(0x0029, "SIEMENS CSA HEADER", create=True).add_new(0x10, "OB", b"SV10\4\3\2\1broken")


def csa(tiles: int) -> bytes:
    text = f"{tiles}".encode() + b"\0\0"
    item = struct.pack("<4i", len(text), len(text), 77, len(text)) + text
    tag = struct.pack("<64si4s3i", b"NumberOfImagesInMosaic", 1, b"US\0\0", 6, 1, 77)
    return b"SV10\4\3\2\1" + struct.pack("<2I", 1, 77) + tag + item


def test_tiles_of_a_mosaic_come_from_the_attribute_or_the_csa_header_and_are_never_guessed(tmp_path: Path) -> None:
    found = series.read(write(tmp_path / "in", mr, mosaic))
    assert all(each.is_mosaic for each in found)
    assert [series.tiles(each.path) for each in found[:4]] == [36, 25, None, None]


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Rejected, match="no instance"):
        series.read(tmp_path)


def test_a_slice_is_read_without_its_pixels(tmp_path: Path) -> None:
    (found,) = series.read(write(tmp_path / "in", ct, count=1))
    assert (found.size, found.frames, found.number, found.acquisition) == ((16, 16), 1, 1, 1)
