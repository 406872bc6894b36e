"""What the archive tells of a series, in a file of one row; and all of them moved elsewhere."""

import csv
from pathlib import Path

import pytest

from orthanc_deid.batches.lists import dumps
from orthanc_deid.errors import ConfigurationError

HEADER = (
    "StudyDate,StudyTime,SeriesDescription,PatientID,ProtocolName,StudyInstanceUID,PatientName,PatientBirthDate,"
    "SeriesInstanceUID,DeviceSerialNumber,Modality,ImageType,SeriesNumber,StudyDescription,AccessionNumber,SequenceName"
)
SERIES = {"PatientID": "12 34", "PatientName": "O'Hara^Ann", "SeriesDescription": "T1 a/b", "Modality": "MR"}


def files(root: Path) -> dict[str, str]:
    return {str(path.relative_to(root)): path.read_text() for path in sorted(root.rglob("*")) if path.is_file()}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for path in ("sub-1/ses-1/00001-a", "sub-1/ses-2/00001-a", "sub-2/00002-b", "logs"):
        (tmp_path / "data" / path).mkdir(parents=True)
        (tmp_path / "data" / f"{path}.csv").write_text(path)
        (tmp_path / "data" / path / "1.dcm").write_text("image")
    (tmp_path / "data" / "mapper.json").write_text("{}")
    return tmp_path / "data"


def test_a_dump_has_the_columns_and_the_clean_ups_of_pacsifier() -> None:
    head, row = dumps.dump(SERIES).split("\r\n")[:2]
    assert head == HEADER
    told = dict(zip(head.split(","), row.split(","), strict=True))
    assert {key: value for key, value in told.items() if value} == {
        "PatientID": "1234",
        "PatientName": "O_Hara^Ann",
        "SeriesDescription": "T1ab",
        "Modality": "MR",
    }


def test_the_acquisition_date_has_a_column_where_it_is_told() -> None:
    head, row = dumps.dump(SERIES | {"AcquisitionDate": "20200101"}).split("\r\n")[:2]
    assert (head, row.rpartition(",")[2]) == (f"{HEADER},AcquisitionDate", "20200101")
    assert dumps.dump(SERIES | {"AcquisitionDate": ""}).split("\r\n")[0] == HEADER


def test_a_dump_stands_beside_the_folder_of_its_series(tmp_path: Path) -> None:
    path = dumps.write(tmp_path / "00001-T1.5", SERIES | {"ProtocolName": '=HYPERLINK("x")', "SequenceName": "é,"})
    assert (path.name, path.stat().st_mode & 0o777) == ("00001-T1.5.csv", 0o600)
    with path.open(encoding="utf-8", newline="") as file:
        [row] = csv.DictReader(file)
    assert (row["ProtocolName"], row["SequenceName"]) == ('\'=HYPERLINK("x")', "é,")
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


def test_dumps_are_moved_and_images_stay(data: Path, tmp_path: Path) -> None:
    info = tmp_path / "a" / "info"
    assert dumps.move(data, info) == dumps.Moved(4, ())
    assert files(info) == {
        "mapper.json": "{}",
        "sub-1/ses-1/00001-a.csv": "sub-1/ses-1/00001-a",
        "sub-1/ses-2/00001-a.csv": "sub-1/ses-2/00001-a",
        "sub-2/00002-b.csv": "sub-2/00002-b",
    }
    assert {Path(name).suffix for name in files(data) if name != "logs.csv"} == {".dcm"}
    assert (info / "sub-1" / "ses-1").stat().st_mode & 0o777 == 0o700
    assert dumps.move(data, info) == dumps.Moved(0, ())


def test_a_move_that_was_stopped_is_finished(data: Path, tmp_path: Path) -> None:
    there = tmp_path / "info" / "sub-1" / "ses-1" / "00001-a.csv"
    there.parent.mkdir(parents=True)
    there.write_text("sub-1/ses-1/00001-a")
    assert dumps.move(data, tmp_path / "info").moved == 4
    assert not (data / "sub-1/ses-1/00001-a.csv").exists()


def test_another_file_of_that_name_is_not_replaced(data: Path, tmp_path: Path) -> None:
    (tmp_path / "info").mkdir()
    (tmp_path / "info" / "mapper.json").write_text("other")
    assert dumps.move(data, tmp_path / "info") == dumps.Moved(3, ("mapper.json",))
    assert (data / "mapper.json").read_text() == "{}"
    assert (tmp_path / "info" / "mapper.json").read_text() == "other"


def test_links_are_left_alone(data: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "x.csv").write_text("not ours")
    (data / "sub-9").symlink_to(outside)
    (data / "sub-1" / "ses-1" / "link.csv").symlink_to(outside / "x.csv")
    assert dumps.move(data, tmp_path / "info").moved == 4
    assert (outside / "x.csv").exists()


def test_folders_that_stand_in_each_others_way_are_refused(data: Path, tmp_path: Path) -> None:
    for from_, to in ((data, data), (data, data / "sub-1"), (tmp_path / "none", data)):
        with pytest.raises(ConfigurationError):
            dumps.move(from_, to)
    assert dumps.move(data, data / "info").moved == 4
