import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from orthanc_deid.arrived import Arrived, Came
from orthanc_deid.database import migrate, open_database
from orthanc_deid.database.crosswalk import Crosswalk, Identity
from orthanc_deid.database.crosswalk_tables import INSTANCE, STUDY
from orthanc_deid.intake.take_up import take_up
from orthanc_deid.keyring import Keyring

MASTER = {"ORTHANC_DEID_KEY": "5a" * 32}


class Door:
    """What the door writes to, and what the service takes up from it."""

    def __init__(self, engine: Engine, home: Path) -> None:
        self.home = home
        self.keyring = Keyring(home, MASTER)
        self.crosswalk = Crosswalk(engine, self.keyring)
        self.arrived = Arrived(home / "arrived.sqlite", self.keyring)

    def note(self, number: int, patient: str = "MRN-1", pseudonym: str = "P1", project: str = "trial") -> None:
        uids = [("1.2.1", "2.25.1"), ("1.2.1.1", "2.25.11"), (f"1.2.1.1.{number}", f"2.25.11{number}")]
        self.arrived.note(project, Came("HOSPITAL", patient, pseudonym, "ACC-7", uids))

    def take_up(self) -> None:
        take_up(Arrived(self.home / "arrived.sqlite", self.keyring), self.crosswalk)

    def left(self) -> int:
        return len(self.arrived.take(100))


@pytest.fixture
def door(database_url: str, tmp_path: Path) -> Iterator[Door]:
    engine = open_database(database_url)
    migrate(engine)
    yield Door(engine, tmp_path)
    engine.dispose()


def test_who_was_deidentified_on_arrival_is_in_the_crosswalk(door: Door) -> None:
    for number in range(3):
        door.note(number)
    door.take_up()
    known = door.crosswalk.patient("trial", Identity("hospital", "mrn-1 "))
    assert known
    assert known.pseudonym == "P1"
    assert door.crosswalk.has("trial", STUDY, "1.2.1")
    assert all(door.crosswalk.has("trial", INSTANCE, f"1.2.1.1.{number}") for number in range(3))
    assert door.left() == 0


def test_what_is_taken_up_twice_after_a_kill_is_there_once(door: Door) -> None:
    door.note(1)
    door.take_up()
    door.note(1)
    door.take_up()
    assert door.left() == 0
    assert door.crosswalk.has("trial", INSTANCE, "1.2.1.1.1")


def test_two_patients_of_one_pseudonym_are_not_mixed_and_the_others_go_on(door: Door) -> None:
    door.note(1, "MRN-1", "P1")
    door.note(2, "MRN-2", "P1")
    door.note(3, "MRN-3", "P3")
    door.take_up()
    assert door.left() == 1, "it waits for a person, and is logged"
    assert door.crosswalk.patient("trial", Identity("HOSPITAL", "MRN-2")) is None
    assert door.crosswalk.patient("trial", Identity("HOSPITAL", "MRN-3"))


def test_the_file_reveals_no_identity_and_belongs_to_its_owner(door: Door) -> None:
    door.note(1)
    files = list(door.home.glob("arrived.sqlite*"))
    content = b"".join(file.read_bytes() for file in files)
    assert [word for word in (b"MRN-1", b"HOSPITAL", b"ACC-7", b"1.2.1.1.1") if word in content] == []
    assert {file.stat().st_mode & 0o077 for file in files} == {0}


def test_nothing_is_taken_up_for_a_sealed_project_and_its_notes_go(door: Door) -> None:
    door.note(1)
    door.note(2, project="other")
    door.keyring.destroy("trial")
    fresh = Keyring(door.home, MASTER)
    take_up(Arrived(door.home / "arrived.sqlite", fresh), Crosswalk(door.crosswalk.engine, fresh))
    assert door.crosswalk.has("other", STUDY, "1.2.1")
    assert door.left() == 0


def test_a_note_that_does_not_open_and_a_project_without_key_hold_up_nobody_else(door: Door) -> None:
    for number, project in enumerate(("gone", "trial", "gone", "trial", "other")):
        door.note(number, f"MRN-{number}", f"P{number}", project)
    with sqlite3.connect(door.home / "arrived.sqlite") as connection:
        connection.execute("UPDATE arrived SET sealed = x'00' WHERE id = 2")
    (door.home / "keys" / "project-gone").unlink()
    fresh = Keyring(door.home, MASTER)
    take_up(Arrived(door.home / "arrived.sqlite", fresh), Crosswalk(door.crosswalk.engine, fresh))
    assert [note.number for note in door.arrived.take(100)] == [1, 2, 3], "they wait for a person"
    assert door.crosswalk.patient("trial", Identity("HOSPITAL", "MRN-3"))
    assert door.crosswalk.patient("other", Identity("HOSPITAL", "MRN-4"))


def test_a_note_that_came_since_is_not_dropped_for_one_that_was_taken_twice(door: Door) -> None:
    door.note(1)
    taken = door.arrived.take(100)
    door.arrived.drop(taken)
    door.note(2, "MRN-2", "P2")  # it gets the number of the one before
    door.arrived.drop(taken)
    assert door.left() == 1


def test_of_what_was_taken_up_nothing_is_left_in_the_file(door: Door) -> None:
    door.note(1)
    (note,) = door.arrived.take(1)
    door.take_up()
    door.arrived.tidy()
    files = list(door.home.glob("arrived.sqlite*"))
    assert [file.name for file in files if note.sealed in file.read_bytes()] == []
