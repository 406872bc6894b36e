import os
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from orthanc_deid.service_socket import SocketFolder, remove_left_folders

PLUGIN = Path(__file__).parents[2] / "plugin"


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


def age(path: Path, seconds: float = 3600) -> None:
    then = time.time() - seconds
    os.utime(path, (then, then))


def test_only_its_owner_can_enter_the_folder() -> None:
    folder = SocketFolder()
    assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700
    folder.remove()
    folder.remove()
    assert not folder.path.exists()


def test_the_folder_of_an_orthanc_that_was_killed_is_removed_by_the_next(tmp_path: Path) -> None:
    code = (
        f"import os, sys, tempfile; sys.path.insert(0, {str(PLUGIN)!r}); tempfile.tempdir = {str(tmp_path)!r}; "
        "from orthanc_deid.service_socket import SocketFolder; folder = SocketFolder(); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", code], timeout=20, check=False)
    [left] = tmp_path.iterdir()
    age(left)
    folder = SocketFolder()
    assert list(tmp_path.iterdir()) == [folder.path]


def test_the_folder_of_an_orthanc_that_lives_stays(tmp_path: Path) -> None:
    folder = SocketFolder()
    age(folder.path)
    remove_left_folders(tmp_path)
    assert folder.path.exists()


def test_a_young_folder_and_a_link_stay(tmp_path: Path) -> None:
    (tmp_path / "orthanc-deid-young").mkdir()
    (tmp_path / "elsewhere").mkdir()
    age(tmp_path / "elsewhere")
    (tmp_path / "orthanc-deid-link").symlink_to(tmp_path / "elsewhere")
    remove_left_folders(tmp_path)
    assert len(list(tmp_path.iterdir())) == 3
