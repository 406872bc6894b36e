import os
from pathlib import Path

import pytest

from instances import instance
from orthanc_deid.folder import sources
from orthanc_deid.folder.sources import Left, Why
from orthanc_deid.packed.unpack import Source

LARGEST = 2**20


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "in"
    made.mkdir()
    return made


def walked(path: Path, instance_bytes: int = LARGEST) -> tuple[list[str], dict[str, Left]]:
    found = list(sources.walk(sources.place(path, instance_bytes)))
    files = [each.shown for each in found if isinstance(each, Source)]
    return sorted(files), {each.path: each for each in found if isinstance(each, Left)}


def test_a_file_is_found_at_any_depth(folder: Path) -> None:
    deep = folder.joinpath(*["d"] * 300)
    deep.mkdir(parents=True)
    (deep / "x").write_bytes(instance())
    (folder / "y").write_bytes(instance())
    assert walked(folder)[0] == ["d/" * 300 + "x", "y"]


def test_a_single_file_may_be_named_instead_of_a_folder(folder: Path) -> None:
    (folder / "y").write_bytes(instance())
    (folder / "z").write_bytes(instance())
    assert walked(folder / "y") == (["y"], {})


def test_what_is_no_dicom_is_listed_with_the_reason(folder: Path) -> None:
    (folder / "notes.txt").write_text("hello, this is a text that is long enough")
    (folder / "nothing.dcm").touch()
    os.mkfifo(folder / "pipe")
    files, left = walked(folder)
    assert files == []
    assert left["notes.txt"] == Left("notes.txt", "not a DICOM file", Why.NOT_DICOM)
    assert left["nothing.dcm"] == Left("nothing.dcm", "an empty file", Why.NOT_DICOM)
    assert left["pipe"] == Left("pipe", "not a regular file", Why.IGNORED)


def test_no_link_is_followed(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "x").write_bytes(instance())
    (folder / "y").write_bytes(instance())
    (folder / "to-folder").symlink_to(tmp_path / "outside")
    (folder / "to-file").symlink_to("../outside/x")
    (folder / "inside").symlink_to("y")
    (folder / "circle").symlink_to(".")
    (folder / "nowhere").symlink_to("gone")
    files, left = walked(folder)
    assert files == ["y"]
    assert {name: each.why for name, each in left.items()} == {
        "to-folder": Why.QUARANTINED,
        "to-file": Why.QUARANTINED,
        "inside": Why.IGNORED,
        "circle": Why.IGNORED,
        "nowhere": Why.IGNORED,
    }
    assert left["nowhere"].reason == "a symbolic link that leads nowhere"
    assert left["inside"].reason == "a symbolic link to something in the folder itself"


def test_the_folder_itself_may_be_named_by_a_link(folder: Path, tmp_path: Path) -> None:
    (folder / "y").write_bytes(instance())
    (folder / "same").symlink_to("y")
    (tmp_path / "link").symlink_to(folder)
    files, left = walked(tmp_path / "link")
    assert files == ["y"]
    assert left["same"].why is Why.IGNORED


def test_a_larger_instance_than_the_limit_is_for_a_person(folder: Path) -> None:
    (folder / "y").write_bytes(instance())
    assert walked(folder, 100) == ([], {"y": Left("y", "larger than 100 bytes", Why.QUARANTINED)})


def test_a_name_that_is_no_text_is_no_obstacle(folder: Path) -> None:
    (folder / os.fsdecode(b"a\xff\xfe")).write_bytes(instance())
    assert walked(folder)[0] == [os.fsdecode(b"a\xff\xfe")]
