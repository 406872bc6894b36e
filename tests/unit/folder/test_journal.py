import json
from dataclasses import replace
from pathlib import Path

import pytest

import objects
from orthanc_deid.confidentiality.identifiers import Identifiers
from orthanc_deid.errors import ConfigurationError
from orthanc_deid.folder.instances import Made
from orthanc_deid.folder.journal import Digests, Entry, Journal, Terms, entry, place_of
from orthanc_deid.packed.unpack import Source

DIGESTS = Digests(objects.KEY)
TERMS = Terms("research", "0123456789ab", DIGESTS.key(), "0.0.0")
SOURCE = Source("Zyxwvut/1.dcm", size=10, stamp="10:20200615")
MADE = Made("PAAA/2.25.1/2.25.2/2.25.3.dcm", 10, "00" * 32, {"a note": 2})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return place_of(tmp_path / "home", tmp_path / "out")


def made(number: int = 1) -> Entry:
    return entry(DIGESTS, replace(SOURCE, path=f"Zyxwvut/{number}.dcm"), "k", MADE)


def begun(path: Path, terms: Terms = TERMS, *, empty: bool = False) -> list[Entry]:
    with Journal(path) as journal:
        return journal.begin(terms, empty=empty)


def noted(path: Path, *entries: Entry) -> None:
    with Journal(path) as journal:
        journal.begin(TERMS, empty=True)
        journal.note(entries)


def test_what_was_noted_is_known_the_next_time(path: Path) -> None:
    noted(path, made(1), made(2))
    assert begun(path) == [made(1), made(2)]
    assert begun(path)[0].made == MADE


def test_the_last_note_of_a_file_counts(path: Path) -> None:
    newer = replace(made(1), known="more", sha256="11" * 32)
    noted(path, made(1), made(2), newer)
    assert begun(path) == [newer, made(2)]


def test_an_emptied_folder_begins_anew(path: Path) -> None:
    noted(path, made(1))
    assert begun(path, replace(TERMS, profile="basic"), empty=True) == []
    assert begun(path, replace(TERMS, profile="basic")) == []


def test_a_line_that_a_power_cut_left_unfinished_is_dropped(path: Path) -> None:
    noted(path, made(1), made(2))
    path.write_bytes(path.read_bytes()[:-20])
    assert begun(path) == [made(1)]
    with Journal(path) as journal:
        journal.begin(TERMS, empty=False)
        journal.note([made(3)])
    assert begun(path) == [made(1), made(3)]


def test_a_damaged_journal_is_told(path: Path) -> None:
    noted(path, made(1))
    path.write_bytes(b"\x00garbage\n" + path.read_bytes())
    with pytest.raises(ConfigurationError, match="damaged"):
        begun(path)


@pytest.mark.parametrize(
    ("terms", "told"),
    [
        (replace(TERMS, key="x"), "another key or project"),
        (replace(TERMS, profile="basic"), r"another profile \(research\)"),
        (replace(TERMS, profile_digest="x"), "another content of the profile research"),
        (replace(TERMS, software="9"), r"another version \(0.0.0\)"),
    ],
)
def test_other_terms_are_refused_with_what_differs(path: Path, terms: Terms, told: str) -> None:
    noted(path, made(1))
    with pytest.raises(ConfigurationError, match=f"{told}: choose an empty folder"):
        begun(path, terms)


def test_a_folder_with_files_but_without_a_journal_is_refused(path: Path) -> None:
    with pytest.raises(ConfigurationError, match="not written by this command"):
        begun(path)


def test_one_run_at_a_time_writes_into_a_folder(path: Path) -> None:
    with Journal(path), pytest.raises(ConfigurationError, match="another run"):
        Journal(path)
    Journal(path).__exit__(None, None, None)


def test_nothing_of_the_source_stands_in_the_journal_and_only_its_owner_reads_it(path: Path) -> None:
    known = Identifiers(names=frozenset({"Zyxwvut"}), dates=frozenset({"19630417"}))
    noted(path, entry(DIGESTS, SOURCE, DIGESTS.known(known), MADE))
    text = path.read_text()
    assert [word for word in ("Zyxwvut", "1.dcm", "1963", "20200615", str(path.parent)) if word in text] == []
    assert json.loads(text.splitlines()[1])["path"] == MADE.path
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)


def test_a_digest_differs_by_key_path_place_in_a_zip_and_what_is_known() -> None:
    other = Digests(b"another key of thirty-two bytes..")
    paths = [SOURCE, replace(SOURCE, path="b"), replace(SOURCE, index=0), replace(SOURCE, index=1)]
    assert len({digests.source(path) for path in paths for digests in (DIGESTS, other)}) == 8
    assert DIGESTS.stamp(SOURCE) != DIGESTS.stamp(replace(SOURCE, stamp="10:1"))
    assert DIGESTS.known(Identifiers()) != DIGESTS.known(Identifiers(names=frozenset({"a"})))
    assert DIGESTS.known(Identifiers()) == DIGESTS.known(Identifiers(uids=frozenset({"1.2"})))
