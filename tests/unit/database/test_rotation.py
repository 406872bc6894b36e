"""Another key for the crosswalk while it is used: nothing is lost, and the old key goes when nothing needs it."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, func, insert, select, update

from orthanc_deid.database import migrate, open_database, rotation
from orthanc_deid.database.crosswalk import Crosswalk, Identity, Known, Mapped, alias_context
from orthanc_deid.database.crosswalk_tables import (
    INSTANCE,
    PATIENT,
    audit,
    crosswalk,
    crosswalk_alias,
    crosswalk_project,
)
from orthanc_deid.database.key_states import HERE, SEALED, WRONG, KeyStates
from orthanc_deid.database.rotation import Progress, Rotation
from orthanc_deid.errors import ConfigurationError
from orthanc_deid.keyring import Keyring

FORMER = Identity("", "former")


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    made = open_database(database_url, bytes(32))
    migrate(made)
    yield made
    made.dispose()


@pytest.fixture
def walk(engine: Engine, tmp_path: Path) -> Crosswalk:
    (tmp_path / "key").write_text("5a" * 32)
    return Crosswalk(engine, Keyring(tmp_path, {}))


@pytest.fixture
def rotate(walk: Crosswalk, monkeypatch: pytest.MonkeyPatch) -> Rotation:
    monkeypatch.setattr(rotation, "BATCH", 10)
    return Rotation(walk.engine, walk.keyring)


def fill(walk: Crosswalk, project: str = "trial", patients: int = 4, instances: int = 8) -> None:
    for number in range(patients):
        known = walk.assign(project, Known(0, Identity("", f"MRN-{number}"), f"P{number}", number))
        walk.note(
            project, known, [Mapped(INSTANCE, f"1.2.{number}.{n}", f"2.25.{number}{n}") for n in range(instances)]
        )
    with walk.writing(project) as (connection, place):
        digest = place.original(PATIENT, FORMER.normal)
        value = {"former": ["", "former"], "present": ["", "MRN-0"]}
        sealed = place.cipher(place.generation).close(value, alias_context(place, digest))
        alias = {"project_id": place.number, "original": digest, "generation": place.generation, "sealed": sealed}
        connection.execute(insert(crosswalk_alias), [alias])


def intact(walk: Crosswalk, project: str = "trial", patients: int = 4) -> bool:
    found = [walk.patient(project, Identity("", f"MRN-{n}")) for n in range(patients)]
    former = walk.patient(project, FORMER)
    with walk.reading(project) as opened:
        assert opened
        connection, place = opened
        query = select(crosswalk).where(crosswalk.c.project_id == place.number)
        values = [place.open(row) for row in connection.execute(query)]
    told = [(each.pseudonym, each.offset_days) for each in found if each]
    return told == [(f"P{n}", n) for n in range(patients)] and former == found[0] and len(values) >= patients


def run(rotate: Rotation) -> Progress:
    progress = rotate.begin("admin")
    for _ in rotate.batches(progress):
        pass
    assert rotate.finish(progress, "admin")
    return progress


def test_all_is_encrypted_again_and_the_old_key_is_destroyed(walk: Crosswalk, rotate: Rotation, tmp_path: Path) -> None:
    fill(walk)
    fill(walk, "other")
    assert rotate.rows() == {1: 74}
    progress = rotate.begin("admin")
    assert (progress.generation, progress.left, rotate.is_under_way()) == (2, 74, True)
    assert [each.done for each in rotate.batches(progress)] == [10, 20, 30, 40, 50, 60, 70, 72, 74]
    assert rotate.finish(progress, "admin")
    assert (progress.left, progress.unopened, progress.retired) == (0, 0, [1])
    assert (rotate.rows(), rotate.is_under_way(), walk.keyring.generations()) == ({2: 74}, False, [2])
    assert not (tmp_path / "keys" / "crosswalk-1").exists()
    assert intact(walk)
    assert intact(walk, "other")
    with walk.engine.connect() as connection:
        told = connection.execute(select(audit.c.what, audit.c.actor, audit.c.detail).order_by(audit.c.id)).all()
    assert [row[:2] for row in told][-2:] == [("key-rotated", "admin")] * 2
    assert run(rotate).generation == 3
    assert intact(walk)


def test_a_process_that_knows_only_the_old_key_writes_with_the_new_one_and_reads_both(
    walk: Crosswalk, rotate: Rotation, tmp_path: Path
) -> None:
    fill(walk)
    other = Crosswalk(walk.engine, Keyring(tmp_path, {}))
    assert intact(other)
    progress = rotate.begin("admin")
    next(rotate.batches(progress))
    assert intact(other)
    given = other.assign("trial", Known(0, Identity("", "new"), "new"))
    with walk.engine.connect() as connection:
        assert connection.scalar(select(crosswalk.c.generation).where(crosswalk.c.id == given.row)) == 2


def test_a_machine_that_sees_the_shared_folder_late_still_writes_with_the_new_key(
    walk: Crosswalk, rotate: Rotation, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(walk)
    next(rotate.batches(rotate.begin("admin")))
    monkeypatch.setattr(walk.keyring, "generations", lambda: [1])
    given = walk.assign("trial", Known(0, Identity("", "new"), "new"))
    with walk.engine.connect() as connection:
        assert connection.scalar(select(crosswalk.c.generation).where(crosswalk.c.id == given.row)) == 2


KILLED = """
import os, sys
from pathlib import Path
from orthanc_deid.database import open_database, rotation
from orthanc_deid.keyring import Keyring
rotation.BATCH = 10
rotate = rotation.Rotation(open_database(sys.argv[1], bytes(32)), Keyring(Path(sys.argv[2]), {}))
progress = rotate.begin("admin")
moment = sys.argv[3]
if moment == "retire": Keyring.retire = lambda *_: os.kill(os.getpid(), 9)
for _ in rotate.batches(progress):
    if moment == "batch" and progress.done > 15: os.kill(os.getpid(), 9)
if moment == "write": os.kill(os.getpid(), 9)
rotate.finish(progress, "admin")
"""


@pytest.mark.parametrize("moment", ["batch", "write", "retire"])
def test_a_rotation_that_is_killed_goes_on_where_it_was(
    walk: Crosswalk, rotate: Rotation, database_url: str, tmp_path: Path, moment: str
) -> None:
    fill(walk)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    words = [sys.executable, "-c", KILLED, database_url, str(tmp_path), moment]
    done = subprocess.run(words, env=environment, timeout=60, check=False)
    assert done.returncode == -signal.SIGKILL
    assert intact(walk)
    assert walk.keyring.generations() == [1, 2]
    assert rotate.is_under_way() == (moment == "batch")
    if moment == "batch":
        progress = rotate.begin("admin")
        assert (progress.generation, progress.left) == (2, 17)
    else:
        progress = rotate.resume(2)
    for _ in rotate.batches(progress):
        pass
    assert rotate.finish(progress, "system")
    assert (walk.keyring.generations(), rotate.rows()) == ([2], {2: 37})
    assert intact(walk)


def test_writers_and_readers_go_on_and_nothing_of_theirs_is_lost(
    walk: Crosswalk, rotate: Rotation, tmp_path: Path
) -> None:
    fill(walk, patients=20)
    stopping, written, faults = threading.Event(), [0], list[BaseException]()

    def work() -> None:
        other = Crosswalk(walk.engine, Keyring(tmp_path, {}))
        try:
            while not stopping.is_set():
                written[0] += 1
                patient = Identity("", f"late-{written[0]}")
                known = other.assign("trial", Known(0, patient, patient.patient_id))
                other.note("trial", known, [Mapped(INSTANCE, f"1.9.{written[0]}", f"2.25.9{written[0]}")])
                assert other.patient("trial", Identity("", "MRN-3"))
        except BaseException as error:  # noqa: BLE001  # told by the test
            faults.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        for _ in range(3):
            run(rotate)
    finally:
        stopping.set()
        thread.join(30)
    assert faults == []
    assert intact(walk, patients=20)
    for number in range(1, written[0]):
        found = walk.patient("trial", Identity("", f"late-{number}"))
        assert found is not None
        assert found.pseudonym == f"late-{number}"
    assert walk.keyring.generations() == [4]
    assert set(rotate.rows()) == {4}


def test_the_old_key_waits_for_who_began_to_write_with_it(walk: Crosswalk, rotate: Rotation) -> None:
    if walk.engine.dialect.name == "sqlite":
        pytest.skip("SQLite has one writer at a time")
    fill(walk)
    ended = threading.Event()
    with walk.writing("trial") as (connection, place):
        progress = rotate.begin("admin")
        for _ in rotate.batches(progress):
            pass

        def finish() -> None:
            rotate.finish(progress, "admin")
            ended.set()

        thread = threading.Thread(target=finish)
        thread.start()
        assert not ended.wait(0.5)
        row = place.patient_row(Known(0, Identity("", "late"), "late"), Identity("", "late"))
        assert row["generation"] == 1
        connection.execute(insert(crosswalk), [row])
    thread.join(20)
    assert walk.keyring.generations() == [1, 2]
    for _ in rotate.batches(progress):
        pass
    assert rotate.finish(progress, "admin")
    assert walk.keyring.generations() == [2]
    assert walk.patient("trial", Identity("", "late")) is not None


def test_a_row_that_does_not_open_keeps_the_old_key_and_stops_nothing_else(walk: Crosswalk, rotate: Rotation) -> None:
    fill(walk)
    with walk.engine.begin() as connection:
        first = connection.scalar(select(func.min(crosswalk.c.id)))
        kept = connection.scalar(select(crosswalk.c.sealed).where(crosswalk.c.id == first))
        connection.execute(update(crosswalk).where(crosswalk.c.id == first).values(sealed=b"changed" * 9))
    progress = rotate.begin("admin")
    for _ in rotate.batches(progress):
        pass
    assert not rotate.finish(progress, "admin")
    assert (progress.unopened, rotate.rows(), walk.keyring.generations()) == (1, {1: 1, 2: 36}, [1, 2])
    with walk.engine.begin() as connection:
        connection.execute(update(crosswalk).where(crosswalk.c.id == first).values(sealed=kept))
    assert run(rotate).generation == 2
    assert intact(walk)


def test_sealed_projects_are_left_as_they_are_and_hold_nothing_up(walk: Crosswalk, rotate: Rotation) -> None:
    fill(walk)
    fill(walk, "over")
    walk.keyring.destroy("over")
    with walk.engine.begin() as connection:
        connection.execute(update(crosswalk_project).where(crosswalk_project.c.name == "over").values(sealed_at=1.0))
    progress = run(rotate)
    assert (progress.done, rotate.rows()) == (37, {1: 37, 2: 37})
    assert walk.keyring.generations() == [2]
    assert not rotate.is_under_way()
    assert intact(walk)
    states = KeyStates(walk.engine, walk.keyring)
    assert [(each.name, each.state) for each in states.projects(opening=True)] == [("over", SEALED), ("trial", HERE)]
    assert [each.state for each in states.generations([1, 2])] == [SEALED, HERE]


def test_nothing_is_begun_where_a_key_is_gone(walk: Crosswalk, rotate: Rotation, tmp_path: Path) -> None:
    fill(walk)
    fill(walk, "other")
    (tmp_path / "keys" / "project-other").unlink()
    with pytest.raises(ConfigurationError, match="project-other is not in the folder of keys"):
        rotate.begin("admin")
    assert walk.keyring.generations() == [1]


def test_the_keys_of_an_empty_crosswalk_are_kept_until_something_is_encrypted(
    walk: Crosswalk, rotate: Rotation
) -> None:
    run(rotate)
    run(rotate)
    assert walk.keyring.generations() == [1, 2, 3]
    fill(walk)
    assert rotate.rows() == {3: 37}
    run(rotate)
    assert walk.keyring.generations() == [4]


# --- what `keys check` tells ---


def test_keys_that_fit_are_told_from_those_that_do_not(walk: Crosswalk, tmp_path: Path) -> None:
    for project in ("a", "b", "c", "d"):
        fill(walk, project)
    keys = tmp_path / "keys"
    (keys / "project-b").unlink()
    (keys / "project-c").write_text("77" * 32)
    walk.keyring.destroy("d")
    told = KeyStates(walk.engine, walk.keyring).projects(opening=True)
    assert [each.state for each in told] == [HERE, WRONG, WRONG, SEALED]
    assert "project-b is not in the folder" in told[1].detail
    assert "the key of project c is another one" in told[2].detail
    assert not (keys / "project-b").exists()
    states = KeyStates(walk.engine, walk.keyring)
    states.demand({"a", "d", "unknown"})
    with pytest.raises(ConfigurationError, match="project-b"):
        states.demand({"a", "b"})


def test_another_generation_under_the_same_name_is_told(walk: Crosswalk, tmp_path: Path) -> None:
    fill(walk)
    states = KeyStates(walk.engine, walk.keyring)
    (tmp_path / "keys" / "crosswalk-1").write_text("77" * 32)
    assert [each.state for each in states.generations([1])] == [WRONG]
    assert [each.state for each in states.projects(opening=True)] == [WRONG]
    assert [each.state for each in states.projects()] == [HERE]
    (tmp_path / "keys" / "crosswalk-1").unlink()
    assert "crosswalk-1 is not in the folder" in states.generations([1])[0].detail
