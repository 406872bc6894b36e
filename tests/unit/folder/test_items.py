from dataclasses import replace

import pytest

import objects
from orthanc_deid.confidentiality.identifiers import Identifiers
from orthanc_deid.errors import ConfigurationError
from orthanc_deid.folder import items
from orthanc_deid.folder.instances import Item, Made
from orthanc_deid.folder.journal import Digests, entry
from orthanc_deid.folder.scan import Header, Scanned
from orthanc_deid.packed.unpack import Source

DIGESTS = Digests(objects.KEY)
MADE = Made("P/1/2/3.dcm", 1, "", {})


def header(path: str, study: str = "1.1", sop: str | None = None, size: int = 1) -> Header:
    return Header(
        Source(path, size=size, stamp=path), "MRN", study, f"{study}.1", f"{study}.1.{path}" if sop is None else sop
    )


def scanned(*headers: Header) -> Scanned:
    return Scanned(list(headers), [], {each.StudyInstanceUID: Identifiers() for each in headers})


def grouped(found: Scanned, *before: Header, known: str = "k") -> list[Item]:
    entries = [entry(DIGESTS, each.source, "k", MADE) for each in before]
    return items.of(found, entries, DIGESTS, dict.fromkeys(found.known, known))


def test_files_of_one_sop_instance_uid_are_one_item_in_the_order_of_their_paths() -> None:
    a, b, c = header("a", sop="1"), header("b"), header("c", study="1.2", sop="1")
    assert grouped(scanned(a, b, c)) == [Item((a, c), None), Item((b,), None)]


def test_files_without_a_uid_are_not_one_item() -> None:
    assert len(grouped(scanned(header("a", sop=""), header("b", sop="")))) == 2


def test_what_was_made_counts_unless_more_is_known_or_another_file_comes_first() -> None:
    a, b = header("a", sop="1"), header("b", sop="1")
    assert [item.made for item in grouped(scanned(b), b)] == [MADE]
    assert [item.made for item in grouped(scanned(b), b, known="more")] == [None]
    assert [item.made for item in grouped(scanned(a, b), b)] == [None]


@pytest.mark.parametrize("now", [[], [replace(header("a"), source=Source("a", size=2, stamp="other"))]])
def test_a_source_that_was_changed_or_removed_stops_the_run(now: list[Header]) -> None:
    before = [entry(DIGESTS, header(path).source, "k", MADE) for path in ("a", "b")]
    items.demand_unchanged(scanned(header("a"), header("b"), header("new")), before, DIGESTS)
    with pytest.raises(ConfigurationError, match="1 of the 2 files"):
        items.demand_unchanged(scanned(*now, header("b")), before, DIGESTS)


def test_chunks_hold_one_study_and_are_bounded_in_number_and_bytes() -> None:
    small = [header(f"{n:03}") for n in range(2 * items.AT_ONCE)]
    large = [header(f"x{n}", size=items.BYTES_AT_ONCE // 2) for n in range(3)]
    other = [header("y", study="1.2")]
    parts = list(items.parts(grouped(scanned(*small, *large, *other))))
    assert [len(part) for part in parts] == [items.AT_ONCE, items.AT_ONCE, 2, 1, 1]
    assert [len({item.headers[0].StudyInstanceUID for item in part}) for part in parts] == [1] * 5
