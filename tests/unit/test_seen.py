import os
import sqlite3
import stat
from pathlib import Path

import pytest

from orthanc_deid.seen import HEAD, Seen, Sight

ONE, OTHER = b"PAT|1.2|1.2.3|1.2.3.4", b"PAT|1.2|1.2.3|1.2.3.5"
KEY = b"k" * 32


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "home" / "seen.sqlite"


@pytest.fixture
def seen(path: Path) -> Seen:
    return Seen(path, KEY)


def test_an_instance_is_new_once_and_then_the_same(seen: Seen) -> None:
    assert [seen.judge(ONE, b"a") for _ in range(3)] == [Sight.NEW, Sight.SAME, Sight.SAME]
    assert seen.judge(OTHER, b"b") is Sight.NEW


def test_another_content_is_a_change_until_it_was_put_aside(seen: Seen) -> None:
    seen.judge(ONE, b"a")
    assert [seen.judge(ONE, b"b"), seen.judge(ONE, b"b")] == [Sight.CHANGED, Sight.CHANGED]
    seen.put_aside(ONE, b"b")
    assert seen.judge(ONE, b"b") is Sight.ASIDE
    assert seen.judge(ONE, b"c") is Sight.CHANGED
    assert seen.judge(ONE, b"a") is Sight.SAME


def test_what_is_expected_is_let_in_and_what_was_there_before_is_a_change(seen: Seen) -> None:
    seen.judge(ONE, b"a")
    seen.expect(ONE, b"b")
    assert (seen.judge(ONE, b"b"), seen.judge(ONE, b"a")) == (Sight.SAME, Sight.CHANGED)


def test_it_is_remembered_by_another_process(seen: Seen, path: Path) -> None:
    seen.judge(ONE, b"a")  # still open, as in Orthanc's process
    Seen(path, KEY).expect(ONE, b"b")
    assert seen.judge(ONE, b"b") is Sight.SAME


def test_a_file_that_somebody_deletes_is_begun_anew(seen: Seen, path: Path) -> None:
    seen.judge(ONE, b"a")
    path.unlink()
    assert [seen.judge(ONE, b"b"), seen.judge(ONE, b"b")] == [Sight.NEW, Sight.SAME]
    assert path.exists()


def test_a_file_that_is_broken_is_begun_anew_after_one_failure(seen: Seen, path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"no database at all, " * 500)
    with pytest.raises(sqlite3.DatabaseError):
        seen.judge(ONE, b"a")
    assert seen.judge(ONE, b"a") is Sight.NEW


def test_a_file_that_another_process_has_locked_is_kept(seen: Seen, path: Path) -> None:
    seen.judge(ONE, b"a")
    with sqlite3.connect(path, isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(sqlite3.OperationalError):
            seen.judge(OTHER, b"b")
        other.execute("ROLLBACK")
    assert (seen.judge(ONE, b"a"), seen.judge(OTHER, b"b")) == (Sight.SAME, Sight.NEW)


def test_nobody_but_the_owner_reads_it_and_it_holds_no_identity(seen: Seen, path: Path) -> None:
    seen.judge(b"Vorgelmund|1.2.826.77", seen.content(b"Vorgelmund" * 9, 0))
    seen.close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    told = b"".join(file.read_bytes() for file in path.parent.iterdir())
    assert b"Vorgelmund" not in told
    assert b"1.2.826.77" not in told


def test_the_digests_of_another_key_are_others(seen: Seen, tmp_path: Path) -> None:
    assert seen.content(b"x" * 100, 0) != Seen(tmp_path / "b", b"other").content(b"x" * 100, 0)


@pytest.mark.parametrize("at", [10, HEAD - 1, HEAD, HEAD + 5, 99_999])
def test_any_byte_that_differs_behind_the_file_meta_information_counts(seen: Seen, at: int) -> None:
    first = bytearray(os.urandom(100_000))
    content = seen.content(bytes(first), 10)
    assert seen.content(b"a" * 10 + bytes(first[10:]), 10) == content
    first[at] ^= 1
    assert seen.content(bytes(first), 10) != content


def test_a_content_that_is_only_longer_differs(seen: Seen) -> None:
    assert len({seen.content(bytes(size), 0) for size in (0, 1, HEAD, HEAD + 1, HEAD + 2)}) == 5
