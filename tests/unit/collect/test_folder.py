import os
from pathlib import Path

import pytest

from orthanc_deid.collect.folder import FolderDepot
from orthanc_deid.errors import ConfigurationError
from orthanc_deid.settings.sources import FolderSource


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    return folder


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    folder = tmp_path / "elsewhere"
    (folder / "2020-01-01").mkdir(parents=True)
    (folder / "2020-01-01" / "x").write_text("of another")
    return folder


def depot(root: Path) -> FolderDepot:
    return FolderDepot(FolderSource(kind="folder", name="inbox", path=root), None)


def test_a_link_in_place_of_our_folder_is_refused(root: Path, elsewhere: Path) -> None:
    (root / ".deid").symlink_to(elsewhere)
    with pytest.raises(ConfigurationError, match="link"):
        depot(root).demand_writable()


def test_nothing_is_moved_or_deleted_through_a_link(root: Path, elsewhere: Path) -> None:
    (root / ".deid").mkdir()
    (root / ".deid" / "taken").symlink_to(elsewhere)
    (root / "a").write_text("mine")
    (item,) = depot(root).walk()
    with pytest.raises(ConfigurationError, match="link"):
        depot(root).move(item, ".deid/taken/2026-11-21", "why")
    with pytest.raises(ConfigurationError, match="link"):
        depot(root).tidy(".deid/taken", 1)
    assert [path.name for path in elsewhere.rglob("*")] == ["2020-01-01", "x"]
    assert (root / "a").exists()


@pytest.mark.parametrize("swapped", ["file", "folder", "pipe"])
def test_what_was_put_in_place_of_a_listed_file_is_not_read(root: Path, elsewhere: Path, swapped: str) -> None:
    (root / "2020-01-01").mkdir()
    (root / "2020-01-01" / "x").write_text("mine")
    (item,) = depot(root).walk()
    (root / "2020-01-01" / "x").unlink()
    if swapped == "folder":
        (root / "2020-01-01").rmdir()
        (root / "2020-01-01").symlink_to(elsewhere / "2020-01-01")
    elif swapped == "file":
        (root / "2020-01-01" / "x").symlink_to(elsewhere / "2020-01-01" / "x")
    else:
        os.mkfifo(root / "2020-01-01" / "x")
    with pytest.raises(OSError), depot(root).local(item):  # noqa: PT011  # the errno differs from system to system
        pass


def test_a_listed_file_is_read_and_moved_with_its_reason(root: Path) -> None:
    (root / "b").mkdir()
    (root / "b" / "x").write_text("mine")
    one = depot(root)
    one.demand_writable()
    (item,) = one.walk()
    with one.local(item) as path:
        assert path.read_text() == "mine"
    one.move(item, ".deid/refused/not-dicom/2026-11-21", "no DICOM\n")
    moved = root / ".deid/refused/not-dicom/2026-11-21/b/x"
    assert (moved.read_text(), Path(f"{moved}.reason.txt").read_text()) == ("mine", "no DICOM\n")
