"""Conversions on disk: whole or not there, whoever is killed, and nothing of the dead stays."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from orthanc_deid.results import cache
from orthanc_deid.results.cache import Answer, Cache
from servers import CHECKOUT, wait_for

HALF = """
import sys, time
from pathlib import Path
from orthanc_deid.results.cache import Cache
folder = Cache(Path(sys.argv[1]), 7).new()
(folder / "slice.dcm").write_bytes(b"x" * 1000)
time.sleep(60)
"""


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "YOUNG_S", 0.0)


def make(made: Cache, name: str = "nifti-1", text: str = "voxels") -> cache.Made:
    def write(folder: Path) -> Answer:
        (folder / "a.nii").write_text(text)
        return Answer(("a.nii",), ("said",))

    return made.make(name, write)


def test_what_is_made_is_found_and_not_made_again(tmp_path: Path) -> None:
    made = make(Cache(tmp_path, 7))
    inode = made.folder.stat().st_ino
    again = make(Cache(tmp_path, 7), text="other")
    assert (again.folder.stat().st_ino, again.paths[0].read_text()) == (inode, "voxels")
    assert again.remarks == ("said",)
    assert [path.name for path in (tmp_path / "7").iterdir()] == ["nifti-1"]
    assert sorted(path.name for path in made.folder.iterdir()) == ["a.nii", "about.json"]


def test_only_the_owner_may_look(tmp_path: Path) -> None:
    made = make(Cache(tmp_path, 7))
    assert {path.stat().st_mode & 0o077 for path in (made.folder, made.folder.parent)} == {0}


def test_of_two_that_make_the_same_the_first_is_taken(tmp_path: Path) -> None:
    one, other = Cache(tmp_path, 7), Cache(tmp_path, 7)
    folders = one.new(), other.new()
    for folder, text in zip(folders, ("first", "second"), strict=True):
        (folder / "a.nii").write_text(text)
    assert one.keep(folders[0], "nifti-1", Answer(("a.nii",))).paths[0].read_text() == "first"
    assert other.keep(folders[1], "nifti-1", Answer(("a.nii",))).paths[0].read_text() == "first"
    assert [path.name for path in (tmp_path / "7").iterdir()] == ["nifti-1"]


@pytest.mark.parametrize("content", [b"", None])
def test_a_file_that_lost_its_content_is_made_again(tmp_path: Path, content: bytes | None) -> None:
    """After a power failure the name can be there without the bytes."""
    broken = make(Cache(tmp_path, 7)).paths[0]
    broken.unlink() if content is None else broken.write_bytes(content)
    assert Cache(tmp_path, 7).find("nifti-1") is None
    assert make(Cache(tmp_path, 7), text="again").paths[0].read_text() == "again"


def test_what_a_maker_could_not_end_leaves_nothing(tmp_path: Path) -> None:
    def fail(folder: Path) -> Answer:
        (folder / "half").write_text("x")
        raise NotADirectoryError

    with pytest.raises(NotADirectoryError):
        Cache(tmp_path, 7).make("nifti-1", fail)
    assert list((tmp_path / "7").iterdir()) == []


def test_what_a_killed_process_leaves_is_swept_and_what_is_at_work_stays(tmp_path: Path) -> None:
    environment = {"PYTHONPATH": str(CHECKOUT / "plugin"), "PATH": os.environ["PATH"]}
    maker = subprocess.Popen([sys.executable, "-c", HALF, str(tmp_path)], env=environment)
    try:
        wait_for(lambda: list(tmp_path.glob("7/.new-*/slice.dcm")), what="a conversion has begun")
        assert cache.sweep(tmp_path) == 0
        for entry in cache.entries(tmp_path):
            cache.remove(entry)
        assert list(tmp_path.glob("7/.new-*/slice.dcm"))
    finally:
        maker.send_signal(signal.SIGKILL)
        maker.wait(10)
    assert Cache(tmp_path, 7).find("nifti-1") is None
    assert cache.sweep(tmp_path) == 1
    assert list(tmp_path.iterdir()) == []


def test_what_has_just_begun_is_not_swept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "YOUNG_S", 60.0)
    (tmp_path / "7" / ".new-1").mkdir(parents=True)  # not locked yet
    assert cache.sweep(tmp_path) == 0


def test_a_folder_is_made_while_the_empty_one_above_it_is_removed(tmp_path: Path) -> None:
    end = time.monotonic() + 1
    while time.monotonic() < end:
        made = make(Cache(tmp_path, 7))
        (entry,) = cache.entries(tmp_path)
        assert (entry.study, entry.folder) == (7, made.folder)
        assert entry.size > 6
        cache.remove(entry)
        assert list(tmp_path.iterdir()) == []


def test_names_differ_by_kind_content_and_options() -> None:
    names = {cache.name("nifti", ["a"], {"x": 1}), cache.name("nifti", ["a"], {"x": 2}), cache.name("png", ["a"], {})}
    assert len(names | {cache.name("nifti", ["b"], {"x": 1})}) == 4
    assert cache.name("nifti", {"a": 1, "b": 2}) == cache.name("nifti", {"b": 2, "a": 1})
