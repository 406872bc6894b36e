import zipfile
from io import BytesIO
from pathlib import Path

import pytest
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

import objects
from orthanc_deid.folder import sources
from orthanc_deid.folder.scan import Scan, Scanned, joined, scan
from orthanc_deid.folder.sources import Left, Why
from orthanc_deid.packed.unpack import Source
from studies import Person, ct_instance

LARGEST = 2**30


@pytest.fixture(autouse=True)
def _interruptible(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this process listen to Ctrl-C, which a child ignores."""
    monkeypatch.setattr("signal.signal", lambda *_: None)


def scanned(folder: Path) -> Scanned:
    found = [each for each in sources.walk(sources.place(folder, LARGEST)) if isinstance(each, Source)]
    return scan(Scan(folder, tuple(sorted(found)), frozenset()))


def test_each_study_has_the_identifiers_of_all_its_files(tmp_path: Path) -> None:
    (tmp_path / "1").write_bytes(objects.written(objects.image(ReferringPhysicianName="Alpha^Anna")))
    (tmp_path / "2").write_bytes(objects.written(objects.image(ReferringPhysicianName="Beta^Bert")))
    (tmp_path / "3").write_bytes(objects.written(objects.image(StudyInstanceUID="1.2.3", OperatorsName="Gamma^Gerd")))
    found = scanned(tmp_path)
    assert found.known.keys() == {f"{objects.ROOT}.1", "1.2.3"}
    assert {"Anna", "Bert"} <= found.known[f"{objects.ROOT}.1"].names
    assert "Gerd" not in found.known[f"{objects.ROOT}.1"].names
    assert "Gerd" in found.known["1.2.3"].names


def test_the_chunks_are_joined_in_the_order_of_the_paths(tmp_path: Path) -> None:
    for name in ("1", "2", "3"):
        (tmp_path / name).write_bytes(ct_instance(Person(int(name))))
    whole = scanned(tmp_path)
    parts = [scan(Scan(tmp_path, (header.source,), frozenset())) for header in reversed(whole.headers)]
    assert joined(parts).headers == whole.headers
    assert joined(parts).known == whole.known


def test_pixels_are_not_read(tmp_path: Path) -> None:
    data = objects.written(objects.image(PixelData=bytes(2**20)))
    (tmp_path / "cut").write_bytes(data[: len(data) - 2**19])
    assert len(scanned(tmp_path).headers) == 1


def test_a_dicomdir_is_ignored_under_any_name(tmp_path: Path) -> None:
    ds = objects.image()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SOPClassUID = "1.2.840.10008.1.3.10"
    for name in ("DICOMDIR", "other"):
        (tmp_path / name).write_bytes(objects.written(ds))
    found = scanned(tmp_path)
    assert found.headers == []
    assert found.left == [Left(name, "a DICOMDIR", Why.IGNORED) for name in ("DICOMDIR", "other")]


def test_a_zip_is_searched_and_one_inside_it_is_told(tmp_path: Path) -> None:
    inner = BytesIO()
    with zipfile.ZipFile(inner, "w") as made:
        made.writestr("x", b"1")
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("d/e.dcm", ct_instance(Person(1)))
        made.writestr("inner.zip", inner.getvalue())
        made.writestr("readme", b"hello")
    found = scanned(tmp_path)
    assert [header.source.shown for header in found.headers] == ["a.zip/d/e.dcm"]
    assert {left.path: left.why for left in found.left} == {
        "a.zip/inner.zip": Why.QUARANTINED,
        "a.zip/readme": Why.NOT_DICOM,
    }


def test_a_header_that_cannot_be_read_is_told_without_a_value(tmp_path: Path) -> None:
    deflated = objects.sample("image_dfl.dcm")
    (tmp_path / "garbage").write_bytes(deflated[:400] + b"Zyxwvut" * 100)
    found = scanned(tmp_path)
    assert found.headers == []
    assert found.left == [Left("garbage", "its header cannot be read (error)", Why.QUARANTINED)]


def test_a_cut_header_goes_on_to_the_pass_which_says_what_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "cut").write_bytes(ct_instance(Person(1))[:150])
    (found,) = scanned(tmp_path).headers
    assert found.SOPInstanceUID == found.StudyInstanceUID == ""
