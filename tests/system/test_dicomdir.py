"""Media of a study: DCMTK reads the directory, dciodvfy finds no fault, no instance is lost and no byte differs."""

import hashlib
import io
import re
import shutil
import subprocess
from collections import Counter
from functools import cache
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.fileset import FileInstance, FileSet

from conformance import errors, refusals
from made_objects import everything
from objects import (
    BASIC,
    MARKER,
    PATIENT,
    PROFILES,
    RESEARCH,
    SAMPLES,
    VERSION,
    image,
    pseudonyms,
    sample,
    written,
)
from orthanc_deid.confidentiality.deidentify import deidentify
from orthanc_deid.confidentiality.identifiers import Identifiers
from orthanc_deid.confidentiality.profile import Profile
from orthanc_deid.errors import Rejected
from orthanc_deid.formats.dicomdir import media

pytestmark = [
    pytest.mark.skipif(not shutil.which("dciodvfy"), reason="dicom3tools is not installed"),
    pytest.mark.filterwarnings("ignore"),  # pydicom on the values of its own samples
]
NAME = re.compile(r"[A-Z0-9]{1,8}")


@cache
def outputs(profile: Profile) -> dict[str, bytes]:
    """De-identify every kind of object that there is, as one study and some more."""
    sources = {name: written(ds) for name, ds in everything().items()}
    for name in SAMPLES:
        ds = pydicom.dcmread(io.BytesIO(sample(name)))
        ds.PatientID = ds.get("PatientID") or PATIENT.patient_id
        sources[name] = written(ds)
    made = (
        (name, deidentify(data, profile, pseudonyms(), Identifiers(), version=VERSION).data)
        for name, data in sources.items()
    )
    # Some samples are one instance in several syntaxes.
    return dict({pydicom.dcmread(io.BytesIO(data)).SOPInstanceUID: (name, data) for name, data in made}.values())


def put(folder: Path, contents: dict[str, bytes]) -> list[Path]:
    folder.mkdir()
    for name, data in contents.items():
        (folder / name).write_bytes(data)
    return [folder / name for name in contents]


def files_on(media_folder: Path) -> list[Path]:
    return sorted(path for path in media_folder.rglob("*") if path.is_file() and path.name != "DICOMDIR")


def listed(media_folder: Path) -> list[FileInstance]:
    directory = FileSet(media_folder / "DICOMDIR")
    directory._stage["t"].cleanup()  # noqa: SLF001  # a folder that it makes for changes
    return list(directory)


def digests(files: list[Path]) -> Counter[str]:
    return Counter(hashlib.sha256(path.read_bytes()).hexdigest() for path in files)


@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.name)
def test_every_instance_is_listed_and_every_file_is_the_same(profile: Profile, tmp_path: Path) -> None:
    contents = outputs(profile)
    files = put(tmp_path / "in", contents)
    out = media(files, tmp_path / "out")
    assert digests(files_on(out)) == digests(files)
    uids = {Path(instance.path): instance.SOPInstanceUID for instance in listed(out)}
    assert sorted(uids) == files_on(out)
    assert all(pydicom.dcmread(path).SOPInstanceUID == uid for path, uid in uids.items())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "out"]


@pytest.mark.parametrize("profile", [BASIC, RESEARCH], ids=lambda profile: profile.name)
def test_the_directory_is_read_by_dcmtk_and_found_valid(profile: Profile, tmp_path: Path) -> None:
    out = media(put(tmp_path / "in", outputs(profile)), tmp_path / "out")
    directory = (out / "DICOMDIR").read_bytes()
    of_the_sources = {message for data in outputs(profile).values() for message in errors(data)}
    assert set(errors(directory)) <= of_the_sources
    assert "dcmdump" not in refusals(directory)
    dump = subprocess.run(
        ["dcmdump", "-q", out / "DICOMDIR"], capture_output=True, text=True, errors="replace", check=True, timeout=60
    ).stdout
    references = re.findall(r"ReferencedFileID|refFileID=\"([^\"]*)\"", dump)
    paths = {Path(*reference.split("\\")) for reference in references if reference}
    assert paths == {path.relative_to(out) for path in files_on(out)}
    assert MARKER not in dump


def test_names_have_at_most_8_characters_that_media_allow(tmp_path: Path) -> None:
    out = media(put(tmp_path / "in", outputs(RESEARCH)), tmp_path / "out")
    for path in files_on(out):
        parts = path.relative_to(out).parts
        assert len(parts) <= 8
        assert all(NAME.fullmatch(part) for part in parts)


def slices(count: int) -> dict[str, bytes]:
    return {
        f"{n}": written(image(SOPInstanceUID=f"1.2.3.{n}", SeriesNumber=3, InstanceNumber=count - n))
        for n in range(count)
    }


def test_slices_are_listed_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    out = media(put(tmp_path / "in", slices(12)), tmp_path / "out")
    numbers = [instance.InstanceNumber for instance in listed(out)]
    assert numbers == list(range(1, 13))


def test_the_same_files_make_the_same_media(tmp_path: Path) -> None:
    files = put(tmp_path / "in", slices(5))
    one, two = media(files, tmp_path / "one"), media(files[::-1], tmp_path / "two")
    assert digests([*one.rglob("DICOMDIR")]) == digests([*two.rglob("DICOMDIR")])
    assert [path.relative_to(one) for path in files_on(one)] == [path.relative_to(two) for path in files_on(two)]
    assert media(files, tmp_path / "one") == one  # a second time over the first


@pytest.mark.parametrize(
    "keyword", ["PatientID", "StudyDate", "StudyTime", "StudyID", "SeriesNumber", "InstanceNumber", "Modality"]
)
@pytest.mark.parametrize("empty", [True, False], ids=["empty", "missing"])
def test_a_key_that_is_missing_is_filled_in_the_directory_alone(
    keyword: str,
    empty: bool,  # noqa: FBT001  # a parameter
    tmp_path: Path,
) -> None:
    ds = image(SeriesNumber=3, InstanceNumber=4)
    setattr(ds, keyword, None)
    if not empty:
        delattr(ds, keyword)
    [file] = put(tmp_path / "in", {"x": written(ds)})
    out = media([file], tmp_path / "out")
    [copy] = files_on(out)
    assert copy.read_bytes() == file.read_bytes()
    [instance] = listed(out)
    assert instance[keyword].value
    assert errors((out / "DICOMDIR").read_bytes()) == {}


def without(keyword: str) -> Dataset:
    ds = image()
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    delattr(ds, keyword)
    return ds


@pytest.mark.parametrize(
    ("contents", "reason"),
    [
        ([b"no DICOM"], "file 1 cannot be read"),
        ([written(image()), b""], "file 2 cannot be read"),
        ([written(image()), written(image())], "files 1 and 2 are the same instance"),
        ([written(without("SeriesInstanceUID"))], "file 1 has no SeriesInstanceUID"),
        ([], "no file"),
    ],
)
def test_what_cannot_be_listed_is_refused_by_number(contents: list[bytes], reason: str, tmp_path: Path) -> None:
    files = put(tmp_path / "in", {f"{n}": data for n, data in enumerate(contents)})
    with pytest.raises(Rejected, match=reason) as error:
        media(files, tmp_path / "out")
    assert "1.2.826" not in str(error.value)
    assert list(tmp_path.iterdir()) == [tmp_path / "in"]
