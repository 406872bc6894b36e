"""Pseudonyms that stand in a file: every form, what is refused, and what happens when the file changes."""

import json
import os
import time
import tracemalloc
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from orthanc_deid.confidentiality.pseudonyms import Patient
from orthanc_deid.errors import Retriable
from orthanc_deid.pseudonymization.base import Asked, Given, Missing, Tools
from orthanc_deid.pseudonymization.file import NO_SHIFT, File
from orthanc_deid.pseudonymization.forms.table import AMBIGUOUS, BORN_OTHERWISE, UNLISTED
from orthanc_deid.settings.pseudonym_file import FilePseudonyms

CBTN = "CBTN Subject ID,MRN,First Name,Last Name,DOB,Age at Diagnosis,Diagnosis\n"
CORSICA = "SDG-ID,Last Name,First Name,MRN\n"
LONG_AGO = time.time() - 3600


class Files:
    """A folder with files that a source reads."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.source: File | None = None

    def put(self, name: str, text: str | bytes, *, at: float = LONG_AGO) -> None:
        part = self.folder / f".{name}"
        part.write_bytes(text if isinstance(text, bytes) else text.encode())
        os.utime(part, (at, at))
        part.replace(self.folder / name)

    def use(self, **settings: Any) -> "Files":  # noqa: ANN401  # as in YAML
        tools = Tools("trial", bytes(32), None, self.folder)
        self.source = File(FilePseudonyms.model_validate({"kind": "file"} | settings), tools)
        return self

    def of(self, patient_id: str, issuer: str = "", **attributes: str) -> Given | Missing:
        assert self.source
        (found,) = self.source.give([asked(patient_id, issuer, attributes)])
        return found

    def fault(self) -> str:
        with pytest.raises(Retriable) as caught:
            self.of("1")
        return str(caught.value)


def asked(patient_id: str, issuer: str, attributes: Mapping[str, str]) -> Asked:
    return Asked(Patient(issuer, patient_id), lambda name: attributes.get(name, ""))


def called(given: Given | Missing) -> str:
    assert isinstance(given, Given), given
    return given.pseudonym


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def test_new_ids_are_found_by_folder_and_by_raw_id(files: Files) -> None:
    files.put("new_ids_trial.json", json.dumps({"sub-1234": "P0001", "ab12": "P0002", "77": 12}))
    files.use(path="new_ids_trial.json")
    assert [called(files.of(who)) for who in ("1234", " AB12 ", "sub-ab12", "77")] == ["P0001", "P0002", "P0002", "12"]
    assert files.of("9") == UNLISTED
    assert files.of("") == UNLISTED


def test_two_columns_have_no_head_and_keep_zeros(files: Files) -> None:
    files.put("ids.csv", "007;P0001\r\n1234;P0002\r\n")
    files.use(path="ids.csv")
    assert called(files.of("007")) == "P0001"
    assert files.of("7") == UNLISTED


def test_our_own_patid_mapping_is_a_file_of_two_columns(files: Files) -> None:
    files.put("patid_mapping.csv", "id_old,id_new\n1,P0001\n")
    files.use(path="patid_mapping.csv")
    assert called(files.of("1")) == "P0001"
    assert files.of("id_old") == UNLISTED


def test_a_mapper_is_turned_round_and_its_offsets_follow_the_folders(files: Files) -> None:
    files.put("mapper.json", '{"P0001": "1234", "P0002": "1235", "P0003": "1236"}')
    files.put("date_offsets.csv", "-5,12,0")
    files.put("folders.txt", "sub-1234\nsub-1235\n1236\n")
    files.use(path="mapper.json", date_offsets="date_offsets.csv", folders="folders.txt")
    found = [files.of(who) for who in ("1234", "1235", "1236")]
    assert found == [Given("P0001", -5), Given("P0002", 12), Given("P0003")]


def test_days_are_numbers_or_texts_and_none_leaves_dates_as_they_are(files: Files) -> None:
    files.put("ids.csv", "1,P0001\n2,P0002\n3,P0003\n4,P0004\n")
    files.put("day_shift.json", '{"1": -5, "sub-2": "7", "3": 0}')
    files.use(path="ids.csv", day_shift="day_shift.json")
    assert [files.of(who) for who in "123"] == [Given("P0001", -5), Given("P0002", 7), Given("P0003", None)]
    assert files.of("4") == NO_SHIFT


def test_cbtn_compares_mrns_without_leading_zeros_then_names(files: Files) -> None:
    files.put(
        "map.csv", CBTN + "C1,00123,Ann,Smith,2001-02-03,10,X\nC1,123,Ann,Smith,2/3/2001,400,Y\nC2,,Bea,Ray,,1,X\n"
    )
    files.use(path="map.csv")
    assert called(files.of("0000123", PatientBirthDate="20010203")) == "C1"
    assert called(files.of("123")) == "C1"
    assert called(files.of("900", PatientName="SMITH^Ann^M", PatientBirthDate="20010203")) == "C1"
    assert called(files.of("900", PatientName="ray^BEA")) == "C2"
    assert files.of("900", PatientName="Smith") == UNLISTED
    assert files.of("", PatientName="") == UNLISTED


def test_cbtn_never_guesses(files: Files) -> None:
    rows = "C1,1,Ann,Smith,2001-02-03,1,X\nC2,2,Ann,Smith,,1,X\nC3,3,Bea,Ray,19010101,1,X\nC4,4,Cy,Lee,2001-02-03,1,X\n"
    files.put("map.csv", CBTN + rows)
    files.use(path="map.csv", form="subjects-cbtn")
    assert files.of("9", PatientName="Smith^Ann", PatientBirthDate="20010203") == AMBIGUOUS
    assert called(files.of("9", PatientName="Smith^Ann", PatientBirthDate="20010204")) == "C2"
    assert called(files.of("9", PatientName="Ray^Bea", PatientBirthDate="19990101")) == "C3"
    assert files.of("4", PatientBirthDate="20010204") == BORN_OTHERWISE
    assert files.of("9", PatientName="Lee^Cy", PatientBirthDate="20010204") == BORN_OTHERWISE
    assert isinstance(files.of("4", PatientBirthDate="spring"), Missing)
    assert called(files.of("4", PatientBirthDate="19010101")) == "C4"


def test_corsica_compares_names_alone(files: Files) -> None:
    files.put("map.csv", CORSICA + "S1, Smith ,ANN,12\nS2,Ray,Bea,\nS3,Ray,Bea,9\n")
    files.use(path="map.csv")
    assert called(files.of("77", PatientName="smith^ann")) == "S1"
    assert files.of("12") == UNLISTED
    assert files.of("9", PatientName="Ray^Bea") == AMBIGUOUS


def test_any_csv_is_read_by_the_names_of_its_columns(files: Files) -> None:
    text = "\ufeffMRN;Site;New;Shift;Sub;Visit;Who\n12;A;P1;-3;s01;base;\n12;B;P2;0;;;\n;;P3;;;;Ray, Bea\n"
    files.put("any.csv", text)
    columns = {"pseudonym": "new", "patient_id": "mrn", "issuer": "Site", "offset_days": "Shift"}
    columns |= {"subject": "Sub", "session": "Visit", "name": "Who"}
    files.use(path="any.csv", form="columns", columns=columns)
    assert files.of("12", "a") == Given("P1", -3, "s01", "base")
    assert files.of("12", "B") == Given("P2")
    assert files.of("12") == UNLISTED
    assert called(files.of("5", PatientName="Ray^Bea")) == "P3"
    assert files.source
    assert files.source.per_study


def test_the_pseudonym_is_never_the_patient_id(files: Files) -> None:
    files.put("ids.csv", "abc,ABC\n")
    assert isinstance(files.use(path="ids.csv").of("abc"), Missing)


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("a.csv", "1,P1\n2,P2\n1,P3\n", "line 3: the patient of line 1 has another pseudonym"),
        ("a.csv", "1,P1\n2,p1\n", "line 2: the pseudonym of line 1 is given to another patient"),
        ("a.csv", "1,P1\nsub-1,P2\n", "line 2: the patient of line 1 has another"),
        ("a.csv", "1,P1\n2,\n", "line 2: holds something else than two cells"),
        ("a.csv", "1,P1\n2,P^2\n", "line 2, column 2: holds one of"),
        ("a.csv", f"1,{'P' * 65}\n", "line 1, column 2: is longer than 64"),
        ("a.csv", "1,Pé\n", "line 1, column 2: holds a control character, or one outside"),
        ("a.csv", "1.2E+5,P1\n", "line 1, column 1: is a number that a spreadsheet has rounded"),
        ("a.csv", '1,P1\n2,"P2\n', "line 2: is not CSV"),
        ("a.csv", b"1,P1\n2,P\xe9\n", "line 2: is not UTF-8"),
        ("a.csv", "", "line 1: what kind of file"),
        ("a.csv", "a,b,c\n1,2,3\n", "line 1: what kind of file"),
        ("a.json", '{"1": "P1",\n "2": "P2",\n "1": "P3"}', "line 3, character 2: the patient of line 1, character 2"),
        ("a.json", '{"1": "P1", "2": ["P2"]}', "line 1, character 13: the value is neither"),
        ("a.json", '{"1": "P1"', "line 1, character 11: is not what a flat JSON"),
        ("a.json", '{"1": "P1"} {}', "line 1, character 13: something stands behind"),
        ("a.json", '{"sub-": "P1"}', "line 1, character 2: the PatientID is empty"),
        ("a.csv", CBTN + "C1,1,A,B,3/2001,1,X\n", "line 2, column DOB: is not a date"),
        ("a.csv", CBTN + "C1,1,A,B,2001-02-30,1,X\n", "line 2, column DOB: is not a day"),
        ("a.csv", CBTN + "C1,,,B,,1,X\n", "line 2: names nobody"),
        ("a.csv", CBTN + "C1,1,A,B,,1,X\nC1,2,A,B,,1,X\n", "line 3: the pseudonym of line 2 is given to another"),
        ("a.csv", CBTN + ",1,A,B,,1,X\n", "line 2, column CBTN Subject ID: is empty"),
        ("a.csv", "SDG-ID,First Name,MRN\nS,A,1\n", "line 1: no column is called Last Name"),
        ("a.csv", CORSICA + "S1,A,B,\nS1,C,D,\n", "line 3: the pseudonym of line 2 is given to another"),
    ],
)
def test_a_faulty_file_is_not_used_and_its_line_is_named(files: Files, name: str, text: str, told: str) -> None:
    files.put(name, text)
    assert files.use(path=name).fault().startswith(f"the file of pseudonyms: {told}")


@pytest.mark.parametrize(
    ("shifts", "told"),
    [
        ('{"1": "soon"}', "the file of day shifts: line 1, character 2: is not a whole number of days"),
        ('{"1": 99999}', "the file of day shifts: line 1, character 2: is not a whole number"),
        ('{"1": 1,\n"sub-1": 2}', "the file of day shifts: line 2, character 1: the patient has another number"),
    ],
)
def test_a_faulty_file_of_day_shifts_is_named(files: Files, shifts: str, told: str) -> None:
    files.put("a.csv", "1,P1\n")
    files.put("s.json", shifts)
    assert files.use(path="a.csv", day_shift="s.json").fault().startswith(told)


def test_offsets_of_another_number_of_folders_are_not_used(files: Files) -> None:
    files.put("mapper.json", '{"P1": "1"}')
    files.put("o.csv", "1,2\n")
    files.put("f.txt", "sub-1\n")
    found = files.use(path="mapper.json", date_offsets="o.csv", folders="f.txt").fault()
    assert found == "the file of date offsets: line 1: holds 2 numbers, and there are 1 folders"


def test_no_fault_repeats_what_the_file_holds(files: Files) -> None:
    marker = "Zyxwvut"
    for text in (f"{marker},{marker}^2\n", f'{marker},"{marker}\n', f"{marker}\n", f"{marker},P1\n{marker},P2\n"):
        files.put("a.csv", text)
        assert marker not in files.use(path="a.csv").fault()
    files.put("a.json", f'{{"{marker}": {marker}}}')
    fault = files.use(path="a.json").fault()
    assert marker not in fault
    files.put("b.csv", f"{marker},P1\n")
    files.use(path="b.csv").of(marker)
    assert files.source
    assert marker not in repr(files.source.__dict__)


def test_a_corrected_file_is_noticed(files: Files) -> None:
    files.put("a.csv", "1,P1\n")
    files.use(path="a.csv")
    assert called(files.of("1")) == "P1"
    files.put("a.csv", "1,P2\n")
    assert called(files.of("1")) == "P2"


def test_a_file_that_is_changed_in_one_tick_of_the_clock_is_noticed(files: Files) -> None:
    now = time.time()
    files.put("a.csv", "1,P1\n", at=now)
    files.use(path="a.csv")
    assert called(files.of("1")) == "P1"
    with (files.folder / "a.csv").open("r+") as file:  # the same inode and size
        file.write("1,P2\n")
    os.utime(files.folder / "a.csv", (now, now))
    assert called(files.of("1")) == "P2"


def test_a_broken_new_version_is_waited_out_and_the_old_one_not_used(files: Files) -> None:
    files.put("a.csv", "1,P1\n")
    files.use(path="a.csv")
    assert called(files.of("1")) == "P1"
    files.put("a.csv", "1,P1\n2\n")
    assert "line 2" in files.fault()
    assert "line 2" in files.fault()
    (files.folder / "a.csv").unlink()
    assert files.fault() == "the file of pseudonyms cannot be read (FileNotFoundError)"
    files.put("a.csv", "1,P1\n")
    assert called(files.of("1")) == "P1"


def test_a_file_that_ends_within_a_line_may_still_be_written(files: Files) -> None:
    files.put("a.csv", "1,P1\n2,P2", at=time.time())
    assert "still being written" in files.use(path="a.csv").fault()
    files.put("a.csv", "1,P1\n2,P2", at=time.time() - 60)
    assert called(files.of("2")) == "P2"


def test_a_hundred_thousand_rows_are_read_once_and_found_at_once(files: Files) -> None:
    rows = (f"C{n},{n:08},Ann{n},Smith,2001-02-03,1,X\n" for n in range(1, 100_001))
    files.put("map.csv", CBTN + "".join(rows))
    files.use(path="map.csv")
    tracemalloc.start()
    assert called(files.of("99999")) == "C99999"
    used, _peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert used < 200e6
    began = time.monotonic()
    assert {called(files.of(str(n))) for n in range(1, 2001)} >= {"C1", "C2000"}
    assert time.monotonic() - began < 2


@pytest.mark.parametrize(
    "settings",
    [
        {"form": "columns"},
        {"columns": {"pseudonym": "a", "patient_id": "b"}},
        {"form": "columns", "columns": {"pseudonym": "a"}},
        {"form": "columns", "columns": {"pseudonym": "a", "name": "b", "issuer": "c"}},
        {"form": "columns", "columns": {"pseudonym": "a", "patient_id": "A"}},
        {"date_offsets": "a"},
        {"day_shift": "a", "date_offsets": "b", "folders": "c"},
        {"form": "subjects-corsica", "day_shift": "a"},
    ],
)
def test_settings_that_do_not_fit_together_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        FilePseudonyms.model_validate({"kind": "file", "path": "a.csv"} | settings)
