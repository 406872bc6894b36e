"""Files of other systems, read into rows for the crosswalk: merged by patient, contradictions told by place."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from orthanc_deid.pseudonymization.imports import Row, Told, Unreadable, Wanted, read
from orthanc_deid.pseudonymization.imports.identity_db import NOT_ONE, NOTHING_LEFT, OF_TWO, REMOVED, UNKNOWN
from orthanc_deid.pseudonymization.imports.lists import NO_SHIFT
from orthanc_deid.pseudonymization.imports.own_uids import ABSENT
from orthanc_deid.pseudonymization.imports.patients import TWO_PATIENTS, TWO_PSEUDONYMS

Tables = dict[str, list[tuple[object, ...]]]


def identity_db(path: Path, tables: Tables) -> Path:
    """Write what dicom-anon does: id, original, cleaned, and the study in all tables but that of studies."""
    with closing(sqlite3.connect(path)) as database:
        for name, rows in tables.items():
            width = max(map(len, rows))
            study = ", study INTEGER" if width == 3 else ""
            database.execute(f"CREATE TABLE {name} (id INTEGER PRIMARY KEY AUTOINCREMENT, original, cleaned{study})")
            database.executemany(f"INSERT INTO {name} VALUES (NULL{', ?' * width})", rows)  # noqa: S608
        database.commit()
    return path


def imported(file: Path, form: str = "auto", **more: Path) -> tuple[list[Row], Told]:
    told = Told()
    return list(read(Wanted(file, form, more.get("day_shift"), more.get("tree")), told)), told


def shown(rows: list[Row]) -> list[tuple[str, ...]]:
    return [(r.kind, r.patient_id, r.pseudonym, *filter(None, (r.original, r.replaced))) for r in rows]


def test_an_identity_db_is_merged_by_patient(tmp_path: Path) -> None:
    tables: Tables = {
        "studyinstanceuid": [("1.2", "5.1"), ("1.3", "5.2"), ("1.4", "5.3")],
        "patientid": [("MRN1", "Patient ID 1", 1), ("mrn1", "Patient ID 2", 2), ("MRN2", "Patient ID 3", 3)],
        "patientsname": [("A^B", "Patient's Name 1", 1)],
        "seriesinstanceuid": [("1.2.1", "5.1.1", 1), ("1.4.1", "5.3.1", 3)],
        "sopinstanceuid": [("1.2.1.1", "5.1.1.1", 1)],
        "accessionnumber": [("A/B", "Accession Number 1", 2)],
    }
    rows, told = imported(identity_db(tmp_path / "identity.db", tables))
    first, second = ("MRN1", "Patient ID 1"), ("MRN2", "Patient ID 3")
    assert shown(rows) == [
        ("patient", *first),
        ("patient", *second),
        ("study", *first, "1.2", "5.1"),
        ("study", *first, "1.3", "5.2"),
        ("study", *second, "1.4", "5.3"),
        ("series", *first, "1.2.1", "5.1.1"),
        ("series", *second, "1.4.1", "5.3.1"),
        ("instance", *first, "1.2.1.1", "5.1.1.1"),
        ("accession", *first, "A/B", "Accession Number 1"),
    ]
    assert told.conflicts == [("patientid 2", TWO_PSEUDONYMS)]
    assert not told.passed_over


def test_the_older_names_of_tables_are_known(tmp_path: Path) -> None:
    tables: Tables = {"studyuid": [("1.2", "5.1")], "patient": [(77, "P 1", 1)], "accession_no": [("A", "N 1", 1)]}
    rows, _ = imported(identity_db(tmp_path / "identity.db", tables))
    assert [row[0] for row in shown(rows)] == ["patient", "study", "accession"]
    assert rows[0].patient_id == "77"


def test_tables_that_do_not_know_their_study_give_patients_alone(tmp_path: Path) -> None:
    tables: Tables = {
        "studyinstanceuid": [("1.2", "5.1")],
        "patientid": [("M", "P 1")],
        "accessionnumber": [("A", "N")],
    }
    rows, told = imported(identity_db(tmp_path / "identity.db", tables))
    assert shown(rows) == [("patient", "M", "P 1")]
    assert told.passed_over == {UNKNOWN: 2}


def test_what_was_removed_is_no_mapping(tmp_path: Path) -> None:
    tables: Tables = {
        "studyinstanceuid": [("1.2", "5.1"), ("1.3", "5.2"), ("1.4/1.5", "5.3")],
        "patientid": [("M", "P 1", 1), ("N", REMOVED, 2), (None, "P 9", 3)],
        "accessionnumber": [("A", REMOVED, 1)],
    }
    rows, told = imported(identity_db(tmp_path / "identity.db", tables))
    assert shown(rows) == [("patient", "M", "P 1"), ("study", "M", "P 1", "1.2", "5.1")]
    assert told.passed_over == {NOTHING_LEFT: 3, UNKNOWN: 1, NOT_ONE: 1}


def test_two_patients_of_one_alias_or_one_study_are_told(tmp_path: Path) -> None:
    tables: Tables = {
        "studyinstanceuid": [("1.2", "5.1"), ("1.3", "5.2")],
        "patientid": [("M", "P 1", 1), ("N", "P 1", 2), ("O", "P 2", 2)],
    }
    rows, told = imported(identity_db(tmp_path / "identity.db", tables))
    assert shown(rows) == [("patient", "O", "P 2")]
    expected = {("patientid 1", TWO_PATIENTS), ("patientid 2", TWO_PATIENTS), ("studyinstanceuid 2", OF_TWO)}
    assert set(told.conflicts) == expected


@pytest.mark.parametrize("content", [b"SQLite format 3\x00" + bytes(200), b"", b"\xff\xfe"])
def test_a_file_that_is_something_else_is_not_imported(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "identity.db").write_bytes(content)
    with pytest.raises(Unreadable):
        imported(tmp_path / "identity.db", "identity-db")


def test_a_database_without_patients_is_not_imported(tmp_path: Path) -> None:
    path = identity_db(tmp_path / "other.db", {"things": [("a", "b")]})
    with pytest.raises(Unreadable, match="no table patientid"):
        imported(path)


def test_lists_of_pacsifier_keep_the_ids_as_they_are_written(tmp_path: Path) -> None:
    (tmp_path / "new_ids.json").write_text('{"sub-Ab1": "P1", "007": "P2"}\n')
    (tmp_path / "mapper.json").write_text('{"P1": "Ab1"}\n')
    (tmp_path / "ids.csv").write_text("sub-Ab1,P1\n")
    (tmp_path / "patid_mapping.csv").write_text("id_old,id_new\nsub-Ab1,P1\n")
    shifts = tmp_path / "day_shift.json"
    shifts.write_text(json.dumps({"ab1": "-5"}) + "\n")
    assert shown(imported(tmp_path / "new_ids.json")[0]) == [("patient", "Ab1", "P1"), ("patient", "007", "P2")]
    assert shown(imported(tmp_path / "mapper.json")[0]) == [("patient", "Ab1", "P1")]
    assert shown(imported(tmp_path / "ids.csv")[0]) == [("patient", "Ab1", "P1")]
    assert shown(imported(tmp_path / "patid_mapping.csv")[0]) == [("patient", "sub-Ab1", "P1")]
    rows, told = imported(tmp_path / "new_ids.json", day_shift=shifts)
    assert [row.offset_days for row in rows] == [-5]
    assert told.conflicts == [("line 1, character 19", NO_SHIFT)]


def test_lists_that_contradict_themselves_name_neither_patient(tmp_path: Path) -> None:
    (tmp_path / "ids.csv").write_text("1,P1\n1,P2\n2,P3\n3,P3\n4,P4\n4,p4\n")
    rows, told = imported(tmp_path / "ids.csv")
    assert shown(rows) == [("patient", "4", "P4")]
    assert sorted(told.conflicts) == [
        ("line 1", TWO_PSEUDONYMS),
        ("line 2", TWO_PSEUDONYMS),
        ("line 3", TWO_PATIENTS),
        ("line 4", TWO_PATIENTS),
    ]


def test_a_faulty_list_is_refused_by_line(tmp_path: Path) -> None:
    (tmp_path / "ids.csv").write_text("1,P1\nZyxwvut\n")
    with pytest.raises(Unreadable, match=r"^line 2: holds something else") as caught:
        imported(tmp_path / "ids.csv")
    assert "Zyxwvut" not in str(caught.value)


def test_our_own_uids_get_level_and_patient_from_the_tree(tmp_path: Path) -> None:
    instance = tmp_path / "out" / "P%201" / "2.25.1" / "2.25.2" / "2.25.3.dcm"
    instance.parent.mkdir(parents=True)
    instance.touch()
    (tmp_path / "patid_mapping.csv").write_text("id_old,id_new\nM,P 1\n")
    uids = tmp_path / "uid_mapping.csv"
    uids.write_text("id_old,id_new\n1.1,2.25.1\n1.2,2.25.2\n1.3,2.25.3\n1.4,2.25.4\n")
    rows, told = imported(uids, tree=tmp_path / "out")
    owner = ("M", "P 1")
    assert shown(rows) == [
        ("patient", *owner),
        ("study", *owner, "1.1", "2.25.1"),
        ("series", *owner, "1.2", "2.25.2"),
        ("instance", *owner, "1.3", "2.25.3"),
    ]
    assert told.passed_over == {ABSENT: 1}
    with pytest.raises(Unreadable, match="--tree"):
        imported(uids)
