"""Series of scanners become the same volumes before and after de-identification, by both converters."""

import gzip
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread

from objects import RESEARCH, VERSION, pseudonyms
from orthanc_deid.confidentiality.deidentify import deidentify
from orthanc_deid.confidentiality.identifiers import Identifiers
from orthanc_deid.errors import Rejected
from orthanc_deid.formats.nifti import NiftiOptions, convert

DATA = Path(os.environ.get("ORTHANC_DEID_TEST_DATA", "/nonexistent")) / "dcm_qa_nih" / "In"

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="ORTHANC_DEID_TEST_DATA holds no dcm_qa_nih")

SERIES = {
    "20180918Si/mr_0003": (72, 72, 5, 2),  # mosaics
    "20180918Si/mr_0004": (72, 72, 5, 2),
    "20180918Si/mr_0005": (72, 72, 5, 2),
    "20180918Si/mr_0006": (72, 72, 5, 2),
    "20180918GE/mr_0004": (64, 64, 15, 10),
    "20180918GE/mr_0005": (64, 64, 15, 10),
    "20180918GE/mr_0006": (64, 64, 15, 10),
    "20180918GE/mr_0007": (64, 64, 15, 10),
}
# What stands in these files beside the images: names, places, serial numbers, dates, words of the site.
SECRETS = (
    b"Regression",
    b"DEV",
    b"1970",
    b"2018",
    b"NIH",
    b"nih_",
    b"Bethesda",
    b"45160",
    b"000301496",
    b"fmrif",
    b"QA",
)


def original(name: str, tmp_path: Path) -> Path:
    return shutil.copytree(DATA / name, tmp_path / "original", ignore=shutil.ignore_patterns("*.txt"))


def deidentified(source: Path, tmp_path: Path) -> Path:
    target = tmp_path / "deidentified"
    target.mkdir()
    for number, path in enumerate(sorted(source.iterdir())):
        done = deidentify(path.read_bytes(), RESEARCH, pseudonyms(), Identifiers(), version=VERSION)
        (target / f"{number}.dcm").write_bytes(done.data)
    return target


def image(folder: Path) -> bytes:
    return gzip.decompress((folder / "image.nii.gz").read_bytes())


def sidecar(folder: Path) -> dict[str, Any]:
    found = json.loads((folder / "image.json").read_text())
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("series", SERIES)
def test_a_series_of_a_scanner_converts_to_the_same_after_deidentification(series: str, tmp_path: Path) -> None:
    source = original(series, tmp_path)
    before = convert(source, tmp_path / "a", "image", NiftiOptions())
    after = convert(deidentified(source, tmp_path), tmp_path / "b", "image", NiftiOptions())
    assert before.shape == after.shape == SERIES[series]
    assert before.remarks == after.remarks
    assert all("differ" in remark for remark in before.remarks)
    assert image(tmp_path / "a") == image(tmp_path / "b")
    one, other = sidecar(tmp_path / "a"), sidecar(tmp_path / "b")
    assert {key for key in one.keys() | other.keys() if one.get(key) != other.get(key)} <= {
        "BidsGuess", "ProtocolName", "SeriesDescription",
    }  # fmt: skip
    assert {"SliceTiming", "PhaseEncodingDirection", "TotalReadoutTime", "RepetitionTime"} <= other.keys()


@pytest.mark.parametrize("series", ["20180918Si/mr_0003", "20180918GE/mr_0004"])
def test_both_converters_agree_on_a_series_of_a_scanner(series: str, tmp_path: Path) -> None:
    source = original(series, tmp_path)
    done = convert(source, tmp_path / "a", "image", NiftiOptions(cross_check=True))
    second = convert(source, tmp_path / "b", "image", NiftiOptions(engine="dicom2nifti", cross_check=True))
    assert done.remarks == second.remarks == ()
    assert second.shape == SERIES[series]


@pytest.mark.parametrize("series", ["20180918Si/mr_0003", "20180918GE/mr_0004"])
def test_even_the_identified_source_leaves_nothing_but_numbers(series: str, tmp_path: Path) -> None:
    done = convert(original(series, tmp_path), tmp_path / "a", "image", NiftiOptions(text=False))
    for path in done.files:
        data = path.read_bytes()
        data = gzip.decompress(data)[:352] if path.suffix == ".gz" else data
        assert [secret for secret in SECRETS if secret in data] == []


def test_a_mosaic_without_the_scanners_header_is_refused(tmp_path: Path) -> None:
    source = original("20180918Si/mr_0003", tmp_path)
    for path in source.iterdir():
        ds = dcmread(path)
        ds.remove_private_tags()
        ds.save_as(path)
    with pytest.raises(Rejected, match="number of slices is not known"):
        convert(source, tmp_path / "a", "image", NiftiOptions())
    assert not (tmp_path / "a").exists()


def test_a_volume_that_lacks_an_image_is_refused(tmp_path: Path) -> None:
    source = original("20180918GE/mr_0004", tmp_path)
    sorted(source.iterdir())[70].unlink()
    with pytest.raises(Rejected, match="incomplete: from 9 to 10 images"):
        convert(source, tmp_path / "a", "image", NiftiOptions())
