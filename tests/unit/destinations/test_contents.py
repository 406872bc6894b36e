"""What is to be at a destination of files, and under which names: the same in every version, never one name twice."""

import io
import itertools
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pydicom
import pytest
from pydantic import ValidationError

from orthanc_deid.destinations.base import Converted, Shipment
from orthanc_deid.destinations.files.contents import Contents, Item
from orthanc_deid.destinations.files.folder import FolderDestination
from orthanc_deid.errors import Rejected
from orthanc_deid.orthanc_rest import Orthanc
from orthanc_deid.settings.files import Folder
from servers import OrthancServer
from shipments import FixedResults, make_shipment
from studies import Person, ct_instance

PERSONS = iter(range(1, 10_000))


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OrthancServer]:
    """Answer an Orthanc for studies."""
    server = OrthancServer(tmp_path_factory.mktemp("orthanc"))
    server.start()
    yield server
    server.kill()


def person() -> Person:
    """Return somebody whom no other test has."""
    return Person(next(PERSONS))


def load(orthanc: OrthancServer, person: Person, *slices: tuple[int, int], **values: str) -> str:
    """Store slices by series and number, each with the given values, and return the Orthanc id of their study."""
    study = ""
    for series, number in slices:
        ds = pydicom.dcmread(io.BytesIO(ct_instance(person, series=series, number=number)))
        for keyword, value in values.items():
            setattr(ds, keyword, value)
        stream = io.BytesIO()
        ds.save_as(stream)
        study = str(orthanc.upload(stream.getvalue()).json()["ParentStudy"])
    return study


def settings(**more: object) -> Folder:
    """Return settings of a folder."""
    return Folder.model_validate({"name": "f", "kind": "folder", "path": "/", **more}, strict=False)


def items(shipment: Shipment, **more: object) -> list[Item]:
    """Return the items of a shipment."""
    return list(Contents(shipment, settings(**more)).items())


def keys(shipment: Shipment, **more: object) -> list[str]:
    """Return their names."""
    return [item.key for item in items(shipment, **more)]


def test_the_names_are_those_of_the_uids(orthanc: OrthancServer, tmp_path: Path) -> None:
    shipment = make_shipment(tmp_path, orthanc, load(orthanc, person(), (1, 1), (2, 1)))
    for item in items(shipment):
        tags = orthanc.get(f"/instances/{item.instance}/simplified-tags").json()
        fields = ("PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
        assert item.key == "/".join(tags[field] for field in fields) + ".dcm"
        assert item.unit == "/".join(tags[field] for field in fields[:2])
        assert item.ours


def test_the_order_is_that_of_series_and_instance_numbers(orthanc: OrthancServer, tmp_path: Path) -> None:
    somebody = person()
    study = load(orthanc, somebody, (10, 1), (2, 10), (2, 9))
    found = keys(make_shipment(tmp_path, orthanc, study), names="{StudyInstanceUID}/{SeriesNumber}-{InstanceNumber}")
    assert [key.rpartition("/")[2] for key in found] == ["2-9", "2-10", "10-1"]


def test_the_preset_of_the_older_retrieval_names_by_patient_session_and_series(
    orthanc: OrthancServer, tmp_path: Path
) -> None:
    somebody = person()
    study = load(orthanc, somebody, (7, 1), SeriesDescription="T1 w/ contrast: é")
    (key,) = keys(make_shipment(tmp_path, orthanc, study), names="pacsifier")
    folder, _, name = key.rpartition("/")
    assert folder == f"sub-{somebody.PatientID}/ses-20200615101112/00007-T1_w_contrast_"
    assert name.endswith(".dcm")


def test_two_instances_never_get_one_name_and_keep_theirs_when_more_come(
    orthanc: OrthancServer, tmp_path: Path
) -> None:
    somebody = person()
    names = "{StudyInstanceUID}/{Modality}.dcm"
    first = make_shipment(tmp_path, orthanc, load(orthanc, somebody, (2, 5), (2, 6)))
    before = {item.instance: item.key.rpartition("/")[2] for item in items(first, names=names)}
    assert list(before.values()) == ["CT.dcm", "CT_2.dcm"]
    load(orthanc, somebody, (1, 1), (2, 1))  # come late and sort first
    later = make_shipment(tmp_path, orthanc, first.output, version=2)
    after = {item.instance: item.key.rpartition("/")[2] for item in items(later, names=names)}
    assert before.items() <= after.items()
    assert sorted(after.values()) == ["CT.dcm", "CT_2.dcm", "CT_3.dcm", "CT_4.dcm"]
    assert keys(later, names=names) == keys(later, names=names)


def test_a_suffix_of_ours_does_not_meet_a_name_that_looks_like_one(orthanc: OrthancServer, tmp_path: Path) -> None:
    somebody = person()
    load(orthanc, somebody, (1, 1), (2, 1), SeriesDescription="a")
    study = load(orthanc, somebody, (3, 1), SeriesDescription="a_2")
    study = load(orthanc, somebody, (4, 1), SeriesDescription="a")
    found = keys(make_shipment(tmp_path, orthanc, study), names="{StudyInstanceUID}/{SeriesDescription}")
    assert [key.rpartition("/")[2] for key in found] == ["a", "a_2", "a_2_2", "a_3"]


def test_a_counter_counts_and_stays(orthanc: OrthancServer, tmp_path: Path) -> None:
    somebody = person()
    names = "{StudyInstanceUID}/{n:03d}.dcm"
    first = make_shipment(tmp_path, orthanc, load(orthanc, somebody, (2, 1), (2, 2)))
    assert [key[-7:] for key in keys(first, names=names)] == ["001.dcm", "002.dcm"]
    load(orthanc, somebody, (1, 1))
    later = make_shipment(tmp_path, orthanc, first.output, version=2)
    assert [key[-7:] for key in keys(later, names=names)] == ["003.dcm", "001.dcm", "002.dcm"]


def test_two_series_of_one_name_get_folders_of_their_own(orthanc: OrthancServer, tmp_path: Path) -> None:
    study = load(orthanc, person(), (1, 1), (2, 1), SeriesDescription="same", SeriesNumber="1")
    shipment = make_shipment(tmp_path, orthanc, study)
    made = []
    for number, series in enumerate(shipment.orthanc.series(study)):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "volume.nii.gz").write_bytes(b"x")
        made.append(Converted(series["ID"], (folder / "volume.nii.gz",)))
    shipment = replace(shipment, results=FixedResults(made))
    found = keys(shipment, content=["nifti"], names="pacsifier")
    assert [key.split("/", 2)[2] for key in found] == ["00001-same/volume.nii.gz", "00001-same_2/volume.nii.gz"]


def test_trees_keep_their_own_names(orthanc: OrthancServer, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "sub-1" / "anat").mkdir(parents=True)
    for name in ("dataset_description.json", ".bidsignore", "sub-1/anat/sub-1_T1w.nii.gz"):
        (tree / name).write_bytes(b"x")
    somebody = person()
    shipment = make_shipment(tmp_path, orthanc, load(orthanc, somebody, (1, 1)), results=FixedResults(bids_folder=tree))
    uid = shipment.facts()["MainDicomTags"]["StudyInstanceUID"]
    prefix = f"{somebody.PatientID}/{uid}/bids/"
    assert [key.removeprefix(prefix) for key in keys(shipment, content=["bids"], bids="each")] == [
        ".bidsignore",
        "dataset_description.json",
        "sub-1/anat/sub-1_T1w.nii.gz",
    ]


def test_the_tree_of_the_etl_stands_below_the_prefix_as_it_is(orthanc: OrthancServer, tmp_path: Path) -> None:
    session = "CBTN/CHOP/NIfTIs/trial/C1/1234d_B_brain_09h15m"
    (tmp_path / session / "03 - AX T1").mkdir(parents=True)
    for name in (".study", "03 - AX T1/AX T1.nii.gz", "03 - AX T1/AX T1.json"):
        (tmp_path / session / name).write_bytes(b"x")
    results = FixedResults(etl_folder=tmp_path)
    shipment = make_shipment(tmp_path / "own", orthanc, load(orthanc, person(), (1, 1)), results=results)
    found = [key for key in keys(shipment, content=["etl"], names="shared/{project}") if "/own/" not in key]
    names = (".study", "03 - AX T1/AX T1.json", "03 - AX T1/AX T1.nii.gz")
    assert found == [f"shared/default/{session}/{name}" for name in names]


def test_what_was_not_converted_or_only_with_a_remark_is_told(orthanc: OrthancServer, tmp_path: Path) -> None:
    study = load(orthanc, person(), (1, 1), (2, 1))
    shipment = make_shipment(tmp_path, orthanc, study)
    made: list[Converted] = []
    for series in shipment.orthanc.series(study):
        path = tmp_path / f"{series['ID']}.nii.gz"
        path.write_bytes(b"x")
        made.append(
            Converted(series["ID"], (path,), ("slices 3 mm apart and 6 mm", "12 of 13 volumes")[: 1 + len(made)])
        )
    results = FixedResults(made, refused={"a localizer": 2})
    shipment = replace(shipment, results=results)
    (tmp_path / "out").mkdir()
    where = {"path": tmp_path / "out", "keep_free_bytes": 0, "content": ["dicom", "nifti"]}
    FolderDestination(settings(**where), Orthanc.__new__(Orthanc)).send(shipment)
    assert shipment.remarks == [
        "2 series without nifti: a localizer",
        "nifti of 2 series: slices 3 mm apart and 6 mm",
        "nifti of 1 series: 12 of 13 volumes",
    ]


def test_two_files_of_one_name_are_refused(orthanc: OrthancServer, tmp_path: Path) -> None:
    study = load(orthanc, person(), (1, 1))
    shipment = make_shipment(tmp_path, orthanc, study)
    with pytest.raises(Rejected, match="two files would get one name"):
        keys(
            shipment,
            content=["dicom", "zip"],
            names={"dicom": "{StudyInstanceUID}.zip", "zip": "{StudyInstanceUID}.zip"},
        )


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Answer a folder to send to."""
    path = tmp_path / "out"
    path.mkdir()
    return path


def sent(shipment: Shipment, out: Path, **more: object) -> FolderDestination:
    """Send to the folder and confirm."""
    values = settings(path=out, keep_free_bytes=0, **more)
    destination = FolderDestination(values, Orthanc.__new__(Orthanc))
    destination.send(shipment)
    assert destination.confirm(shipment) == len(shipment.all)
    return destination


def held(archive: Path) -> list[bytes]:
    """Return the files in an archive."""
    if archive.suffix == ".zip":
        with zipfile.ZipFile(archive) as opened:
            return sorted(opened.read(name) for name in opened.namelist())
    with tarfile.open(archive) as tar:
        return sorted(tar.extractfile(member).read() for member in tar)  # type: ignore[union-attr]  # all are files


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_a_later_archive_holds_only_what_is_new(orthanc: OrthancServer, tmp_path: Path, out: Path, kind: str) -> None:
    somebody = person()
    first = make_shipment(tmp_path, orthanc, load(orthanc, somebody, (1, 1), (1, 2)))
    sent(first, out, content=[kind])
    load(orthanc, somebody, (1, 3))
    later = make_shipment(tmp_path, orthanc, first.output, version=2)
    later = replace(later, new=[i for i in later.all if i not in first.all])
    sent(later, out, content=[kind])
    sent(later, out, content=[kind])
    archives = {path.name.removesuffix(f".{kind}")[-3:]: held(path) for path in out.rglob(f"*.{kind}")}
    assert len(archives) == 2
    assert archives.pop("_v2") == [later.orthanc.file(i) for i in later.new]
    assert next(iter(archives.values())) == sorted(first.orthanc.file(i) for i in first.all)


def test_a_later_archive_can_hold_all(orthanc: OrthancServer, tmp_path: Path, out: Path) -> None:
    somebody = person()
    first = make_shipment(tmp_path, orthanc, load(orthanc, somebody, (1, 1)))
    sent(first, out, content=["zip"], late_archives="replace")
    load(orthanc, somebody, (1, 2))
    later = make_shipment(tmp_path, orthanc, first.output, version=2)
    sent(later, out, content=["zip"], late_archives="replace")
    (path,) = out.rglob("*.zip")
    assert held(path) == sorted(later.orthanc.file(i) for i in later.all)


def test_an_archive_that_was_lost_is_made_again(orthanc: OrthancServer, tmp_path: Path, out: Path) -> None:
    somebody = person()
    first = make_shipment(tmp_path, orthanc, load(orthanc, somebody, (1, 1)))
    sent(first, out, content=["zip"])
    load(orthanc, somebody, (1, 2))
    later = make_shipment(tmp_path, orthanc, first.output, version=2)
    sent(later, out, content=["zip"])
    before = {path.name: path.read_bytes() for path in out.rglob("*.zip")}
    for path in out.rglob("*.zip"):
        path.unlink()
    sent(later, out, content=["zip"])
    assert {path.name: path.read_bytes() for path in out.rglob("*.zip")} == before


def test_members_of_one_name_stay_two(orthanc: OrthancServer, tmp_path: Path, out: Path) -> None:
    shipment = make_shipment(tmp_path, orthanc, load(orthanc, person(), (1, 1), (2, 1)))
    sent(shipment, out, content=["zip"], archive_names="{Modality}.dcm")
    (path,) = out.rglob("*.zip")
    with zipfile.ZipFile(path) as archive:
        assert [name.rpartition("/")[2] for name in archive.namelist()] == ["CT.dcm", "CT_2.dcm"]
    assert held(path) == sorted(shipment.orthanc.file(i) for i in shipment.all)


def test_what_has_left_orthanc_after_it_arrived_stays_confirmed(
    orthanc: OrthancServer, tmp_path: Path, out: Path
) -> None:
    somebody = person()
    first = make_shipment(tmp_path, orthanc, load(orthanc, somebody, (1, 1), (1, 2)))
    sent(first, out)
    orthanc.request("DELETE", f"/instances/{first.all[0]}")
    load(orthanc, somebody, (1, 3))
    every = [*first.all, *(i for i in first.orthanc.instance_ids(first.output) if i not in first.all)]
    later = make_shipment(tmp_path, orthanc, first.output, version=2, every=every, new=every[2:])
    sent(later, out)
    assert len(list(out.rglob("*.dcm"))) == 3


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"names": "{PatientIDD}/{SOPInstanceUID}.dcm"}, "PatientID"),
        ({"names": "{SOPInstanceUID}.zip", "content": ["zip"]}, "SOPInstanceUID"),
        ({"names": "nothing"}, "a preset"),
        ({"names": "starr"}, "starr has no names for dicom"),
        ({"names": "{StudyInstanceUID}", "content": ["nifti"]}, "name the series"),
        ({"names": "{StudyInstanceUID}.x", "content": ["zip", "dicom"]}, "one for each"),
        ({"manifest": "{PatientID}.json"}, "StudyInstanceUID"),
        ({"content": ["dicom", "dicom"]}, "each content once"),
        ({"content": []}, "at least 1"),
        ({"file_mode": "0999"}, "file_mode"),
    ],
)
def test_settings_that_cannot_be_are_refused_with_the_mend(more: dict[str, object], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        settings(**more)


def test_every_content_has_names_of_its_own_by_default() -> None:
    contents = ("dicom", "zip", "tar.gz", "nifti", "bids", "etl", "dicomdir", "png", "jpeg")
    templates = [settings(content=[content]).template(content) for content in contents]  # type: ignore[arg-type]
    assert not [pair for pair in itertools.combinations(templates, 2) if pair[0] == pair[1]]
