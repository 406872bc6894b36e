"""Imports into the crosswalk on both databases: what is there is compared, and nothing is written by a trial."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import func, select

from orthanc_deid.database import migrate, open_database
from orthanc_deid.database.crosswalk import Crosswalk, Identity, Known, Mapped
from orthanc_deid.database.crosswalk_tables import ACCESSION, STUDY, crosswalk
from orthanc_deid.database.imports import OTHER_PSEUDONYM, OTHER_VALUE, Offered, Taken, compare, take
from orthanc_deid.keyring import Keyring

ANNA, BEAT = Identity("", "MRN-1"), Identity("HOSPITAL", "MRN-2")
ROWS = [
    Offered(0, ANNA, "P1"),
    Offered(1, ANNA, "P1", mapped=Mapped(STUDY, "1.2", "2.25.1")),
    Offered(2, ANNA, "P1", mapped=Mapped(ACCESSION, "A1", "B1")),
    Offered(3, BEAT, "P2", -7),
]


@pytest.fixture
def walk(database_url: str, tmp_path: Path) -> Iterator[Crosswalk]:
    engine = open_database(database_url, bytes(32))
    migrate(engine)
    yield Crosswalk(engine, Keyring(tmp_path, {"ORTHANC_DEID_KEY": "5a" * 32}))
    engine.dispose()


def rows(walk: Crosswalk) -> int:
    with walk.engine.connect() as connection:
        return connection.scalar(select(func.count()).select_from(crosswalk)) or 0


def test_what_is_imported_twice_is_there_once(walk: Crosswalk) -> None:
    assert compare(walk, "trial", ROWS, actor="ada") == Taken(2, 0, 2, 0)
    assert rows(walk) == 0
    assert take(walk, "trial", ROWS, actor="ada") == Taken(2, 0, 2, 0)
    assert compare(walk, "trial", ROWS, actor="ada") == Taken(0, 2, 0, 2)
    assert take(walk, "trial", ROWS, actor="ada") == Taken(0, 2, 0, 2)
    assert rows(walk) == 4
    assert walk.patient("trial", Identity("hospital", "mrn-2 ")) == Known(rows_of(walk, BEAT), BEAT, "P2", -7)
    assert walk.has("trial", STUDY, "1.2")
    assert not walk.has("other", STUDY, "1.2")


def test_what_contradicts_is_told_and_stays_as_it_is(walk: Crosswalk) -> None:
    take(walk, "trial", ROWS, actor="ada")
    other = [
        Offered(5, ANNA, "P9"),
        Offered(6, ANNA, "P9", mapped=Mapped(STUDY, "1.3", "2.25.3")),
        Offered(7, ANNA, "p1", mapped=Mapped(STUDY, "1.2", "2.25.9")),
        Offered(8, Identity("", "NEW"), "P2"),
    ]
    for takes in (compare, take):
        taken = takes(walk, "trial", other, actor="ada")
        assert [row for row, _ in taken.conflicts] == [5, 6, 7, 8]
        assert [reason for _, reason in taken.conflicts][:3] == [OTHER_PSEUDONYM, OTHER_PSEUDONYM, OTHER_VALUE]
    assert rows(walk) == 4


def test_two_patients_of_one_import_never_share_a_pseudonym(walk: Crosswalk) -> None:
    taken = take(walk, "trial", [Offered(0, ANNA, "P1"), Offered(1, BEAT, "p1")], actor="ada")
    assert (taken.patients_new, [row for row, _ in taken.conflicts]) == (1, [1])


def rows_of(walk: Crosswalk, identity: Identity) -> int:
    found = walk.patient("trial", identity)
    assert found
    return found.row
