"""Archives: the same bytes for the same files, and never a half one."""

import hashlib
import os
import re
import resource
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from orthanc_deid.errors import Rejected
from orthanc_deid.formats import archives

PLUGIN = Path(archives.__file__).parents[2]
MAKERS: list[Callable[[Mapping[str, Path], Path], Path]] = [archives.zip_files, archives.tar_gz]
by_maker = pytest.mark.parametrize("make", MAKERS)


def some(folder: Path) -> dict[str, Path]:
    folder.mkdir()
    for name in ("b.dcm", "a/one.dcm", "a/two.dcm"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(name.encode() * 1000)
    return archives.files_of(folder)


@by_maker
def test_the_same_files_make_the_same_bytes_whoever_and_whenever(
    make: Callable[[Mapping[str, Path], Path], Path], tmp_path: Path
) -> None:
    one, two = some(tmp_path / "x"), some(tmp_path / "y")
    for path in two.values():
        os.utime(path, (10**9, 10**9))
        path.chmod(0o600)
    first, second = make(one, tmp_path / "1"), make(dict(reversed(two.items())), tmp_path / "2")
    assert hashlib.sha256(first.read_bytes()).digest() == hashlib.sha256(second.read_bytes()).digest()


@pytest.mark.parametrize("deflated", [False, True])
def test_a_zip_holds_the_files_in_order(deflated: bool, tmp_path: Path) -> None:  # noqa: FBT001  # a parameter
    files = some(tmp_path / "x")
    with zipfile.ZipFile(archives.zip_files(files, tmp_path / "z.zip", deflated=deflated)) as archive:
        assert archive.namelist() == sorted(files)
        assert archive.testzip() is None
        assert all(archive.read(name) == path.read_bytes() for name, path in files.items())
        assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_a_tar_holds_the_files_and_no_owner(tmp_path: Path) -> None:
    files = some(tmp_path / "x")
    with tarfile.open(archives.tar_gz(files, tmp_path / "t.tar.gz")) as archive:
        members = archive.getmembers()
        assert [member.name for member in members] == sorted(files)
        assert {(m.uid, m.gid, m.uname, m.gname, m.mtime) for m in members} == {(0, 0, "", "", 0)}
        for member in members:
            content = archive.extractfile(member)
            assert content is not None
            assert content.read() == files[member.name].read_bytes()


@by_maker
@pytest.mark.parametrize("name", ["/etc/x", "../x", "a/../../x", "a//b", "", "a\\b", "./a"])
def test_a_name_that_leads_out_is_refused_and_leaves_no_file(
    make: Callable[[Mapping[str, Path], Path], Path], name: str, tmp_path: Path
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x")
    with pytest.raises(Rejected, match="relative path"):
        make({name: path}, tmp_path / "out")
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


@by_maker
def test_two_names_that_one_system_takes_for_one_are_refused(
    make: Callable[[Mapping[str, Path], Path], Path], tmp_path: Path
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x")
    with pytest.raises(Rejected, match="case"):
        make({"A.dcm": path, "a.dcm": path}, tmp_path / "out")


@by_maker
def test_a_full_disk_is_no_half_archive(make: Callable[[Mapping[str, Path], Path], Path], tmp_path: Path) -> None:
    files = some(tmp_path / "x")
    (tmp_path / "x/b.dcm").write_bytes(os.urandom(200_000))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            make(files, tmp_path / "out")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert [each.name for each in tmp_path.iterdir()] == ["x"]


def test_a_file_beyond_the_old_limit_takes_the_zip64_form(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 5000)  # 2 GB would take seconds
    files = some(tmp_path / "x")
    with zipfile.ZipFile(archives.zip_files(files, tmp_path / "z.zip")) as archive:
        assert archive.testzip() is None
        assert archive.getinfo("a/one.dcm").file_size == 9000


@by_maker
def test_a_large_file_needs_no_memory(make: Callable[[Mapping[str, Path], Path], Path], tmp_path: Path) -> None:
    hole = tmp_path / "hole"
    with hole.open("wb") as file:
        file.truncate(200_000_000)
    script = (
        "import sys; from pathlib import Path; from orthanc_deid.formats import archives\n"
        "getattr(archives, sys.argv[1])({'hole': Path(sys.argv[2])}, Path(sys.argv[3]))\n"
        "print(Path('/proc/self/status').read_text())"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, make.__name__, str(hole), str(tmp_path / "out")],
        capture_output=True, text=True, check=True, timeout=60, env={**os.environ, "PYTHONPATH": str(PLUGIN)},
    )  # fmt: skip
    most = re.search(r"VmHWM:\s*(\d+) kB", done.stdout)
    assert most
    assert int(most[1]) < 60_000
