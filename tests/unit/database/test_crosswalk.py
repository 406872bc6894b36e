"""The crosswalk on both databases: one pseudonym a patient, numbers without a gap, rows that open in their place."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, delete, event, insert, select, update

from orthanc_deid.database import migrate, open_database
from orthanc_deid.database.crosswalk import COUNTING, NAMING, Crosswalk, Identity, Known, Mapped, alias_context
from orthanc_deid.database.crosswalk_tables import (
    ACCESSION,
    INSTANCE,
    PATIENT,
    SERIES,
    STUDY,
    crosswalk,
    crosswalk_alias,
    crosswalk_project,
)
from orthanc_deid.errors import ConfigurationError, Rejected
from orthanc_deid.keyring import Keyring

MASTER = "5a" * 32
ANNA, BEAT = Identity("", "MRN-1"), Identity("HOSPITAL", "MRN-2")


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    made = open_database(database_url, bytes(32))
    migrate(made)
    yield made
    made.dispose()


@pytest.fixture
def ring(tmp_path: Path) -> Keyring:
    return Keyring(tmp_path, {"ORTHANC_DEID_KEY": MASTER})


@pytest.fixture
def walk(engine: Engine, ring: Keyring) -> Crosswalk:
    return Crosswalk(engine, ring)


def called(pseudonym: str, identity: Identity = ANNA) -> Known:
    return Known(0, identity, pseudonym, -17, "S1")


def numbered(identity: Identity) -> Any:  # noqa: ANN401  # a callable
    return lambda number: Known(0, identity, f"P{number:04}")


def rows(engine: Engine, kind: int = PATIENT) -> list[Any]:
    with engine.connect() as connection:
        return list(connection.execute(select(crosswalk).where(crosswalk.c.kind == kind).order_by(crosswalk.c.id)))


def join(walk: Crosswalk, former: Identity, present: Identity) -> None:
    """Write an alias, as a merge does."""
    with walk.writing("trial") as (connection, place):
        original = place.original(PATIENT, former.normal)
        value = {"former": [former.issuer, former.patient_id], "present": [present.issuer, present.patient_id]}
        sealed = place.cipher(place.generation).close(value, alias_context(place, original))
        row = {"project_id": place.number, "original": original, "generation": place.generation, "sealed": sealed}
        connection.execute(insert(crosswalk_alias), [row])


def test_a_patient_keeps_what_he_was_given(walk: Crosswalk) -> None:
    assert walk.patient("trial", ANNA) is None
    given = walk.assign("trial", called("P1"))
    assert (given.pseudonym, given.offset_days, given.subject, given.identity) == ("P1", -17, "S1", ANNA)
    for found in (walk.patient("trial", ANNA), walk.assign("trial", called("P2"))):
        assert found is not None
        assert (found.row, found.pseudonym, found.offset_days, found.subject) == (given.row, "P1", -17, "S1")


def test_a_patient_is_the_same_in_any_case_and_blanks_but_not_of_another_issuer(walk: Crosswalk) -> None:
    given = walk.assign("trial", called("P1", BEAT))
    found = walk.patient("trial", Identity("hospital ", " mrn-2 "))
    assert found is not None
    assert found.row == given.row
    assert walk.patient("trial", Identity("", "MRN-2")) is None
    assert walk.patient("trial", Identity("CLINIC", "MRN-2")) is None


def test_two_patients_cannot_share_a_pseudonym(walk: Crosswalk) -> None:
    walk.assign("trial", called("P1"))
    with pytest.raises(Rejected, match=r"another patient's in this project: .* by a list") as caught:
        walk.assign("trial", called("p1", BEAT))
    assert "MRN" not in str(caught.value)
    assert walk.patient("trial", BEAT) is None
    assert walk.assign("other", called("P1", BEAT)).pseudonym == "P1"


def test_numbers_have_no_gap_and_leave_out_what_a_list_has_given(walk: Crosswalk) -> None:
    walk.assign("trial", called("P0002", Identity("", "listed")))
    given = [walk.count("trial", each, numbered(each)).pseudonym for each in (ANNA, ANNA, BEAT, ANNA)]
    assert given == ["P0001", "P0001", "P0003", "P0001"]
    assert walk.count("other", BEAT, numbered(BEAT)).pseudonym == "P0001"
    third = Identity("", "third")
    with pytest.raises(ValueError, match="no format"):
        walk.count("trial", third, _broken)
    assert walk.count("trial", third, numbered(third)).pseudonym == "P0004"


def _broken(_number: int) -> Known:
    raise ValueError("no format")


def test_a_format_without_a_number_ends_with_a_refusal(walk: Crosswalk) -> None:
    walk.count("trial", ANNA, lambda _number: called("P"))
    with pytest.raises(Rejected, match="another patient's"):
        walk.count("trial", BEAT, lambda _number: called("P", BEAT))


def test_a_former_identity_finds_the_patient_and_gets_no_name_of_its_own(walk: Crosswalk) -> None:
    given = walk.assign("trial", called("P1", BEAT))
    join(walk, ANNA, BEAT)
    for found in (walk.patient("trial", ANNA), walk.assign("trial", called("P9")), walk.count("trial", ANNA, _broken)):
        assert found is not None
        assert (found.row, found.identity) == (given.row, BEAT)
    join(walk, Identity("", "new"), Identity("", "newer"))
    assert walk.assign("trial", called("P2", Identity("", "new"))).identity == Identity("", "newer")


def test_aliases_in_a_circle_are_refused(walk: Crosswalk) -> None:
    walk.assign("trial", called("P1"))
    join(walk, ANNA, BEAT)
    join(walk, BEAT, ANNA)
    with pytest.raises(Rejected, match="circle"):
        walk.patient("trial", ANNA)


def test_a_study_with_a_thousand_instances_is_noted_in_one_transaction_and_twice_changes_nothing(
    walk: Crosswalk, engine: Engine
) -> None:
    known = walk.assign("trial", called("P1"))
    mapped = [Mapped(STUDY, "1.2", "2.25.1", {"session": "ses-1"}), Mapped(SERIES, "1.2.1", "2.25.2")]
    mapped += [Mapped(ACCESSION, "ACC-1", "A1")]
    mapped += [Mapped(INSTANCE, f"1.2.1.{n}", f"2.25.3{n}") for n in range(1000)]
    commits: list[object] = []
    event.listen(engine, "commit", lambda connection: commits.append(connection))  # noqa: PLW0108  # it needs a function
    walk.note("trial", known, mapped)
    assert len(commits) == 1
    before = rows(engine, INSTANCE)
    assert len(before) == 1000
    walk.note("trial", known, reversed([*mapped, Mapped(INSTANCE, "1.2.1.x", "2.25.9")]))
    assert rows(engine, INSTANCE)[:1000] == before
    assert walk.has("trial", INSTANCE, "1.2.1.999")
    assert not walk.has("trial", SERIES, "1.2.1.999")
    assert not walk.has("other", INSTANCE, "1.2.1.999")
    assert walk.labels("trial", "p1", output="2.25.1") == ("S1", "ses-1")
    assert walk.labels("trial", "P1", source="1.2") == ("S1", "ses-1")
    assert walk.labels("trial", "P1", output="2.25.2") is None
    assert walk.labels("trial", "P2", output="2.25.1") is None
    assert walk.labels("other", "P1", output="2.25.1") is None


def test_mappings_go_with_their_patient(walk: Crosswalk, engine: Engine) -> None:
    known = walk.assign("trial", called("P1"))
    walk.note("trial", known, [Mapped(STUDY, "1.2", "2.25.1")])
    with engine.begin() as connection:
        connection.execute(delete(crosswalk).where(crosswalk.c.id == known.row))
    assert not walk.has("trial", STUDY, "1.2")


def test_a_look_makes_no_project_and_no_key(walk: Crosswalk, engine: Engine, tmp_path: Path) -> None:
    assert walk.patient("trial", ANNA) is None
    assert walk.labels("trial", "P1", source="1.2") is None
    assert not walk.has("trial", STUDY, "1.2")
    walk.note("trial", Known(1, ANNA, "P1"), [])
    assert not (tmp_path / "keys").exists()
    with engine.connect() as connection:
        assert connection.execute(select(crosswalk_project)).all() == []
    assert walk.key("trial") == walk.key("trial") == walk.keyring.project("trial")


# --- keys that are gone, or others ---


def uses(walk: Crosswalk) -> list[Any]:
    return [
        lambda: walk.patient("trial", ANNA),
        lambda: walk.assign("trial", called("P1")),
        lambda: walk.count("trial", BEAT, numbered(BEAT)),
        lambda: walk.note("trial", Known(1, ANNA, "P1"), [Mapped(STUDY, "1.2", "2.25.1")]),
        lambda: walk.has("trial", STUDY, "1.2"),
        lambda: walk.key("trial"),
    ]


def refused(walk: Crosswalk, told: str) -> None:
    for use in uses(walk):
        with pytest.raises(ConfigurationError, match=told):
            use()


def test_a_known_project_whose_key_is_gone_is_refused_and_gets_no_new_one(
    walk: Crosswalk, engine: Engine, tmp_path: Path
) -> None:
    walk.assign("trial", called("P1"))
    shutil.rmtree(tmp_path / "keys")
    # Another machine, which has seen no key yet: the database alone knows the project.
    fresh = Keyring(tmp_path / "fresh", {"ORTHANC_DEID_KEY": MASTER})
    for ring in (walk.keyring, fresh):
        refused(Crosswalk(engine, ring), "project-trial is not in the folder of keys: mount the folder, or bring")
        assert not ring.folder.exists()


def test_a_crosswalk_whose_generations_are_gone_gets_no_new_one(walk: Crosswalk, tmp_path: Path) -> None:
    walk.assign("trial", called("P1"))
    (tmp_path / "keys" / "crosswalk-1").unlink()
    with pytest.raises(ConfigurationError, match="crosswalk-1 is not in the folder of keys"):
        walk.patient("trial", ANNA)
    with pytest.raises(ConfigurationError, match="crosswalk-1 is not in the folder of keys"):
        walk.assign("new", called("P1"))
    assert walk.keyring.generations() == []


@pytest.mark.parametrize("change", ["master", "random part"])
def test_another_key_is_refused(walk: Crosswalk, engine: Engine, tmp_path: Path, change: str) -> None:
    walk.assign("trial", called("P1"))
    if change == "random part":
        (tmp_path / "keys" / "project-trial").write_text("77" * 32)
        other = walk
    else:
        other = Crosswalk(engine, Keyring(tmp_path, {"ORTHANC_DEID_KEY": "6b" * 32}))
    refused(other, "the key of project trial is another one than that of its crosswalk")


def test_a_sealed_project_is_refused(walk: Crosswalk, engine: Engine) -> None:
    walk.assign("trial", called("P1"))
    walk.keyring.destroy("trial")
    refused(walk, "project trial is sealed")
    with engine.begin() as connection:
        connection.execute(update(crosswalk_project).values(sealed_at=1.0))
    refused(walk, "project trial is sealed")


# --- rows that were changed, moved or copied ---


@pytest.fixture
def two(walk: Crosswalk) -> Crosswalk:
    """Two patients in two projects, with a study each."""
    for project in ("trial", "other"):
        for number, identity in enumerate((ANNA, BEAT)):
            known = walk.assign(project, called(f"P{number}", identity))
            walk.note(project, known, [Mapped(STUDY, f"1.2.{number}", f"2.25.{number}")])
    return walk


def opened(walk: Crosswalk, project: str = "trial") -> list[Any]:
    with walk.reading(project) as found:
        assert found
        connection, place = found
        query = select(crosswalk).where(crosswalk.c.project_id == place.number).order_by(crosswalk.c.id)
        return [place.open(row) for row in connection.execute(query)]


def test_untouched_rows_open(two: Crosswalk) -> None:
    assert len(opened(two)) == 4


@pytest.mark.parametrize("column", ["sealed", "original", "replaced"])
def test_rows_that_were_swapped_do_not_open(two: Crosswalk, engine: Engine, column: str) -> None:
    for kind in (PATIENT, STUDY):
        first, second = rows(engine, kind)[:2]
        with engine.begin() as connection:
            free_first = ((first, b"free"), (second, getattr(first, column)), (first, getattr(second, column)))
            for row, value in free_first:
                connection.execute(update(crosswalk).where(crosswalk.c.id == row.id).values({column: value}))
        with pytest.raises(ConfigurationError, match="a row of the crosswalk does not open"):
            opened(two)


def test_a_mapping_that_is_hung_on_another_patient_does_not_open(two: Crosswalk, engine: Engine) -> None:
    patients, study = rows(engine), rows(engine, STUDY)[0]
    with engine.begin() as connection:
        connection.execute(update(crosswalk).where(crosswalk.c.id == study.id).values(patient_id=patients[1].id))
    with pytest.raises(ConfigurationError, match="does not open"):
        opened(two)


def test_a_row_of_another_kind_or_generation_does_not_open(two: Crosswalk, engine: Engine) -> None:
    two.keyring.add_generation()
    study = rows(engine, STUDY)[0]
    for change in ({"kind": SERIES}, {"generation": 2}):
        with engine.begin() as connection:
            connection.execute(update(crosswalk).where(crosswalk.c.id == study.id).values(**change))
        with pytest.raises(ConfigurationError, match="does not open"):
            opened(two)
        with engine.begin() as connection:
            connection.execute(update(crosswalk).where(crosswalk.c.id == study.id).values(kind=STUDY, generation=1))


def test_a_row_of_another_project_is_neither_found_nor_opened(two: Crosswalk, engine: Engine) -> None:
    foreign = next(row for row in rows(engine) if row.project_id != rows(engine)[0].project_id)
    mine = rows(engine)[0].project_id
    with engine.begin() as connection:
        connection.execute(update(crosswalk).where(crosswalk.c.id == foreign.id).values(project_id=mine))
    found = two.patient("trial", ANNA)
    assert found is not None
    assert found.row != foreign.id
    with pytest.raises(ConfigurationError, match="does not open"):
        opened(two)


def test_an_alias_that_was_moved_does_not_open(two: Crosswalk, engine: Engine) -> None:
    join(two, Identity("", "former"), ANNA)
    with two.reading("trial") as found:
        assert found
        digest = found[1].original(PATIENT, Identity("", "victim").normal)
    with engine.begin() as connection:
        connection.execute(update(crosswalk_alias).values(original=digest))
    with pytest.raises(ConfigurationError, match="does not open"):
        two.patient("trial", Identity("", "victim"))


def test_any_changed_byte_of_a_row_is_told(two: Crosswalk, engine: Engine) -> None:
    row = rows(engine)[0]
    for at in range(0, len(row.sealed), 7):
        changed = bytearray(row.sealed)
        changed[at] ^= 1
        with engine.begin() as connection:
            connection.execute(update(crosswalk).where(crosswalk.c.id == row.id).values(sealed=bytes(changed)))
        with pytest.raises(ConfigurationError, match="does not open"):
            two.patient("trial", ANNA)


# --- nobody waits for nothing ---


def test_a_reader_waits_for_no_writer(walk: Crosswalk) -> None:
    walk.assign("trial", called("P1"))
    with walk.writing("trial") as (connection, _place):
        connection.execute(update(crosswalk_project).values(last_number=7))
        assert walk.patient("trial", ANNA) is not None
        assert not walk.has("trial", STUDY, "1.2")


def test_who_notes_does_not_wait_for_who_names_or_counts(walk: Crosswalk, engine: Engine) -> None:
    if engine.dialect.name == "sqlite":
        pytest.skip("SQLite has one writer at a time")
    known = walk.assign("trial", called("P1"))
    for lock in (NAMING, COUNTING):
        with walk.writing("trial", lock):
            walk.note("trial", known, [Mapped(STUDY, f"1.2.{len(lock)}", f"2.25.{len(lock)}")])
    with walk.writing("trial", NAMING):
        assert walk.assign("trial", called("P2", BEAT)).pseudonym == "P2"
