"""Archives, whole and broken, and bombs."""

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from orthanc_deid.packed.members import HEAD, form_of, members
from orthanc_deid.packed.refused import Refused, Word

FILES = {"a/1": b"one" * 400, "a/2": b"", "b/3": b"three" * 300}
PACK: dict[str, Callable[[bytes], bytes]] = {
    "tar": bytes,
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
}


def tar(files: dict[str, bytes] = FILES, form: str = "tar", kind: int = tarfile.PAX_FORMAT) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=kind) as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return PACK[form](made.getvalue())


def zipped(files: dict[str, bytes] = FILES) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return made.getvalue()


def unpacked(tmp_path: Path, content: bytes, most: int = 10**6) -> list[bytes | Word]:
    path = tmp_path / "archive"
    path.write_bytes(content)
    found: list[bytes | Word] = []
    try:
        for member in members(path, form_of(content[:HEAD]), most, tmp_path / "work"):
            if isinstance(member, Refused):
                found.append(member.word)
            else:
                with member:
                    found.append(member.read())
    except Refused as error:
        found.append(error.word)
    return found


@pytest.mark.parametrize("form", PACK)
def test_a_tar_is_unpacked_however_it_is_compressed(tmp_path: Path, form: str) -> None:
    assert unpacked(tmp_path, tar(form=form)) == list(FILES.values())


@pytest.mark.parametrize("kind", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_long_names_are_no_matter(tmp_path: Path, kind: int) -> None:
    name = "/".join(["folder" * 5] * 3 if kind == tarfile.USTAR_FORMAT else ["folder" * 20] * 9)
    assert unpacked(tmp_path, tar({name: b"content"}, kind=kind)) == [b"content"]


def test_a_zip_is_unpacked(tmp_path: Path) -> None:
    assert unpacked(tmp_path, zipped()) == list(FILES.values())


def test_two_xz_streams_in_a_row_are_one(tmp_path: Path) -> None:
    whole = tar()
    assert unpacked(tmp_path, lzma.compress(whole[:1000]) + lzma.compress(whole[1000:])) == list(FILES.values())


@pytest.mark.parametrize("form", PACK)
def test_a_tar_that_ends_too_early_says_so_after_what_is_whole(tmp_path: Path, form: str) -> None:
    whole = tar({"1": b"\x01" * 512, "2": bytes(range(256)) * 40})
    found = unpacked(tmp_path, PACK[form](whole[: 512 * 3 + 700]))
    assert found == [b"\x01" * 512, Word.TRUNCATED]


def test_a_compressed_tar_that_is_cut_says_so(tmp_path: Path) -> None:
    for form in ("gz", "bz2", "xz"):
        assert unpacked(tmp_path, tar(form=form)[:-20])[-1] == Word.TRUNCATED, form


def test_a_tar_without_its_end_mark_says_so(tmp_path: Path) -> None:
    assert unpacked(tmp_path, tar({"1": b"x" * 512})[:1024]) == [b"x" * 512, Word.TRUNCATED]


def test_a_broken_header_is_not_taken_for_the_end(tmp_path: Path) -> None:
    content = bytearray(tar({"1": b"x" * 512, "2": b"y" * 512}, kind=tarfile.USTAR_FORMAT))
    content[1024 + 150] ^= 1
    assert unpacked(tmp_path, bytes(content)) == [b"x" * 512, Word.DAMAGED]


def test_a_member_of_a_zip_with_a_wrong_checksum_is_damaged_and_the_next_is_not(tmp_path: Path) -> None:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("1", b"one" * 10)
        archive.writestr("2", b"two" * 10)
    content = made.getvalue().replace(b"oneone", b"onEone", 1)
    assert unpacked(tmp_path, content) == [Word.DAMAGED, b"two" * 10]


def test_an_encrypted_member_is_told(tmp_path: Path) -> None:
    content = bytearray(zipped({"1": b"one"}))
    content[6] |= 1
    content[content.index(b"PK\x01\x02") + 8] |= 1
    assert unpacked(tmp_path, bytes(content)) == [Word.ENCRYPTED]


@pytest.mark.parametrize("make", [zipped, *(lambda files, form=form: tar(files, form) for form in PACK)])
def test_an_archive_that_unpacks_to_more_than_the_limit_is_refused(
    tmp_path: Path, make: Callable[[dict[str, bytes]], bytes]
) -> None:
    found = unpacked(tmp_path, make({"1": b"x", "2": bytes(300_000)}), most=200_000)
    assert found[-1] == Word.TOO_LARGE
    assert bytes(300_000) not in found


def test_headers_of_a_tar_cannot_fill_the_memory(tmp_path: Path) -> None:
    info = tarfile.TarInfo("long")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 50_000_000
    content = gzip.compress(info.tobuf(tarfile.GNU_FORMAT) + bytes(60_000_000))
    assert unpacked(tmp_path, content, most=10**9) == [Word.TOO_LARGE]


def test_the_directory_of_a_zip_cannot_fill_the_memory(tmp_path: Path) -> None:
    content = bytearray(zipped({"1": b"x"}))
    at = content.rindex(b"PK\x05\x06")
    content[at + 12 : at + 16] = (2**30).to_bytes(4, "little")
    assert unpacked(tmp_path, bytes(content)) == [Word.TOO_LARGE]


@pytest.mark.parametrize(
    "content",
    [b"PK\x03\x04" + bytes(600), gzip.compress(b"no archive" * 200, mtime=0), b"BZh" + bytes(600)],
    ids=["zip", "gzip", "bzip2"],
)
def test_what_only_looks_like_an_archive_is_damaged(tmp_path: Path, content: bytes) -> None:
    assert unpacked(tmp_path, content)[0] in {Word.DAMAGED, Word.TRUNCATED}


def test_links_and_folders_are_not_files(tmp_path: Path) -> None:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        for kind in (tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE):
            info = tarfile.TarInfo("odd")
            info.type, info.linkname = kind, "/etc/passwd"
            archive.addfile(info)
    assert unpacked(tmp_path, made.getvalue()) == []
