"""Nothing half-written has its name."""

import os
from pathlib import Path

import pytest

from orthanc_deid.formats import atomic


def half_a_file(path: Path) -> None:
    with atomic.file(path) as temporary:
        temporary.write_bytes(b"ne")
        raise KeyboardInterrupt


def half_a_folder(path: Path) -> None:
    with atomic.folder(path) as temporary:
        (temporary / "half").write_text("half")
        raise KeyboardInterrupt


def test_a_file_keeps_its_old_content_when_the_new_fails(tmp_path: Path) -> None:
    path = tmp_path / "a"
    atomic.write(path, b"old")
    with pytest.raises(KeyboardInterrupt):
        half_a_file(path)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_is_replaced_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "tree"
    for word in ("old", "new"):
        with atomic.folder(path) as temporary:
            (temporary / word).write_text(word)
    assert [each.name for each in path.iterdir()] == ["new"]
    with pytest.raises(KeyboardInterrupt):
        half_a_folder(path)
    assert [each.name for each in path.iterdir()] == ["new"]
    assert list(tmp_path.iterdir()) == [path]


def test_what_is_written_can_be_read_by_those_whom_the_umask_allows(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        atomic.write(tmp_path / "a", b"")
        with atomic.folder(tmp_path / "tree"):
            pass
    finally:
        os.umask(before)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o644
    assert (tmp_path / "tree").stat().st_mode & 0o777 == 0o755
