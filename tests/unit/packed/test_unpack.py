import zipfile
from pathlib import Path

import pytest

from instances import instance
from orthanc_deid.errors import Rejected
from orthanc_deid.packed import unpack
from orthanc_deid.packed.unpack import Source

LARGEST = 2**20


def archive(path: Path, files: dict[str, bytes]) -> Source:
    """Write a ZIP file."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        for name, data in files.items():
            made.writestr(name, data)
    return Source(path.name, size=path.stat().st_size, stamp="1:2")


def encrypted(path: Path) -> None:
    """Say in both places that the first file is encrypted; its bytes do not matter."""
    data = bytearray(path.read_bytes())
    data[6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)


def test_a_file_in_folders_of_a_zip_is_read(tmp_path: Path) -> None:
    found = list(unpack.members(tmp_path, archive(tmp_path / "a.zip", {"x/": b"", "x/y/z": b"12345"}), LARGEST))
    assert [each.shown if isinstance(each, Source) else each for each in found] == ["a.zip/x/y/z"]
    assert isinstance(found[0], Source)
    assert unpack.read(tmp_path, found[0]) == b"12345"


def test_two_files_of_one_name_in_a_zip_are_two(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as made:
        made.writestr("x", b"first")
        with pytest.warns(UserWarning, match="Duplicate name"):
            made.writestr("x", b"other")
    found = [s for s in unpack.members(tmp_path, Source("a.zip", size=200), LARGEST) if isinstance(s, Source)]
    assert [unpack.read(tmp_path, source) for source in found] == [b"first", b"other"]


def test_an_encrypted_file_is_told_and_the_others_are_read(tmp_path: Path) -> None:
    source = archive(tmp_path / "a.zip", {"secret": b"12345", "open": b"67890"})
    encrypted(tmp_path / "a.zip")
    told, found = unpack.members(tmp_path, source, LARGEST)
    assert told == ("a.zip", "an encrypted ZIP file: 1 of its 2 files cannot be read")
    assert isinstance(found, Source)
    assert found.member == "open"


def test_a_zip_that_unpacks_to_too_much_is_refused_by_what_it_announces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unpack, "MOST_BYTES", 2**20)
    source = archive(tmp_path / "bomb.zip", {"x": bytes(2**22)})
    assert source.size < 2**14
    told = list(unpack.members(tmp_path, source, 2**30))
    assert told == [("bomb.zip", "a ZIP file that unpacks to more than 200 times its size")]


def test_a_large_file_in_a_zip_is_refused(tmp_path: Path) -> None:
    source = archive(tmp_path / "a.zip", {"x": bytes(2000), "y": b"1"})
    found = list(unpack.members(tmp_path, source, 1000))
    assert found[0] == ("a.zip/x", "larger than 1000 bytes")
    assert isinstance(found[1], Source)


def test_no_more_is_read_than_was_announced(tmp_path: Path) -> None:
    source = archive(tmp_path / "a.zip", {"x": bytes(100_000)})
    data = bytearray((tmp_path / "a.zip").read_bytes())
    central = data.index(b"PK\x01\x02")
    data[central + 24 : central + 28] = (10).to_bytes(4, "little")  # the unpacked size, in the directory
    (tmp_path / "a.zip").write_bytes(data)
    (found,) = unpack.members(tmp_path, source, LARGEST)
    assert isinstance(found, Source)
    with pytest.raises(Rejected, match="cannot be read"):
        unpack.read(tmp_path, found)


def test_a_broken_zip_is_told(tmp_path: Path) -> None:
    whole = archive(tmp_path / "a.zip", {"x": bytes(2000)})
    (tmp_path / "a.zip").write_bytes((tmp_path / "a.zip").read_bytes()[:-30])
    assert list(unpack.members(tmp_path, whole, LARGEST)) == [("a.zip", "a ZIP file that cannot be read (BadZipFile)")]


def test_a_damaged_member_is_rejected_without_its_name(tmp_path: Path) -> None:
    source = archive(tmp_path / "a.zip", {"Zyxwvut.dcm": instance()})
    data = bytearray((tmp_path / "a.zip").read_bytes())
    data[100] ^= 0xFF
    (tmp_path / "a.zip").write_bytes(data)
    (found,) = unpack.members(tmp_path, source, LARGEST)
    assert isinstance(found, Source)
    with pytest.raises(Rejected) as caught:
        unpack.read(tmp_path, found)
    assert "Zyxwvut" not in str(caught.value)


def test_a_file_that_grew_since_it_was_looked_at_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"12345")
    with pytest.raises(Rejected, match="changed while it was read"):
        unpack.read(tmp_path, Source("x", size=4))
    with pytest.raises(Rejected, match="cannot be read"):
        unpack.read(tmp_path, Source("gone", size=4))
