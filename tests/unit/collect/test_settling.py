"""When a file is taken to be whole."""

import time

import pytest

from orthanc_deid.collect import settling
from orthanc_deid.collect.settling import Settling, is_ignored
from orthanc_deid.settings.sources import Incoming
from orthanc_deid.stores.store import Listed

PATTERNS = Incoming().ignore


@pytest.mark.parametrize(
    "name", ["acc.tmp", "x.tmp123", ".hidden", "a.part", "a.partial", "a.filepart", "a.crdownload", "a~", ".deid"]
)
def test_names_of_what_is_still_written_are_ignored(name: str) -> None:
    assert is_ignored(name, PATTERNS)


@pytest.mark.parametrize("name", ["IM0001", "tmp", "part", "1.2.840", "a.dcm", "study.zip"])
def test_other_names_are_not(name: str) -> None:
    assert not is_ignored(name, PATTERNS)


def test_a_file_is_settled_after_a_while_without_change(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    watched = Settling(10.0)

    def look(stamp: str) -> tuple[bool, float | None]:
        watched.begin()
        settled = watched.is_settled(Listed("a", 1, stamp))
        return settled, watched.end()

    assert look("1") == (False, 10.0)
    now = 106.0
    assert look("1") == (False, 4.0)
    now = 109.0
    assert look("2") == (False, 10.0)
    now = 119.0
    assert look("2") == (True, None)


def test_what_is_remembered_is_bounded_and_nobody_starves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settling, "_WATCHED_MOST", 3)
    now = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    watched = Settling(1.0)
    left = {f"{number}" for number in range(10)}
    for _ in range(12):
        watched.begin()
        left -= {key for key in sorted(left) if watched.is_settled(Listed(key, 1, "s"))}
        watched.end()
        now += 1.0
    assert not left
