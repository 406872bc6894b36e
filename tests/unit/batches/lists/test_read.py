"""The list of a person: each line is asked for as it was meant, or told with its mend; nothing in between."""

import re
import time
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orthanc_deid.batches.lists.columns import COLUMNS
from orthanc_deid.batches.lists.read import Fault, Table, read
from orthanc_deid.pacs.attributes import ATTRIBUTES
from orthanc_deid.pacs.matching import is_universal
from planting import ACCESSION, BIRTH, FIRST, ID, NAME, STUDY

TODAY = date(2026, 6, 15)
FIXED = settings(max_examples=300, derandomize=True, deadline=None, database=None)


def of(*lines: str) -> Table:
    return read("\n".join(lines), TODAY)


def one(column: str, value: str) -> str:
    """Answer what is asked for in the column, or what is said of it; a reader that needs a header gets one."""
    table = of(column, value)
    if table.faults:
        [fault] = table.faults
        assert (fault.line, fault.column) == (2, column)
        return fault.message
    [line] = table.lines
    [asked] = line.wanted.attributes.values()
    return asked


def faults(*lines: str) -> list[tuple[int, str]]:
    return [(fault.line, fault.column) for fault in of(*lines).faults]


def test_a_line_is_a_question_with_what_was_written_beside_it() -> None:
    [line] = of("PatientID,StudyDate,Project,Album,new_ids", "125,2017-08-14,brain,friends,P0001").lines
    assert (line.number, line.wanted.level) == (2, "study")
    assert line.wanted.attributes == {"PatientID": "125", "StudyDate": "20170814"}
    assert (line.project, line.pseudonym, line.album) == ("brain", "P0001", "friends")
    assert line.cells["StudyDate"] == "2017-08-14"
    assert line.cells["Pseudonym"] == "P0001"


def test_an_archive_can_be_asked_for_every_column() -> None:
    asked = {column.name for column in COLUMNS if column.level} - {"From", "Until"} | {"ModalitiesInStudy"}
    assert asked <= set(ATTRIBUTES)


def test_an_empty_cell_asks_for_anything() -> None:
    first, second, third = of("StudyDate,PatientID", "20150512,123421", ",45322", "20180102,").lines
    assert first.wanted.attributes == {"StudyDate": "20150512", "PatientID": "123421"}
    assert second.wanted.attributes == {"PatientID": "45322"}
    assert third.wanted.attributes == {"StudyDate": "20180102"}


@pytest.mark.parametrize(
    ("columns", "values", "level"),
    [
        ("PatientID,StudyDate,Modality", "1,20200101,MR", "study"),
        ("PatientID,SeriesNumber", "1,3", "series"),
        ("PatientID,SeriesNumber", "1,", "study"),
        ("PatientID,ProtocolName,ImageType", "1,T1*,*PRIMARY*", "instance"),
        ("PatientID,AcquisitionDate", "1,20200101", "instance"),
    ],
)
def test_the_level_is_the_deepest_that_a_line_uses(columns: str, values: str, level: str) -> None:
    assert of(columns, values).lines[0].wanted.level == level


def test_a_modality_is_one_of_the_study_or_that_of_the_series() -> None:
    study, series = of("PatientID,Modality,SeriesNumber", "1,mr,", "1,mr,3").lines
    assert study.wanted.attributes == {"PatientID": "1", "ModalitiesInStudy": "MR"}
    assert series.wanted.attributes == {"PatientID": "1", "Modality": "MR", "SeriesNumber": "3"}


@pytest.mark.parametrize(
    "header",
    [
        "PatientID,StudyInstanceUID,SeriesInstanceUID,Pseudonym",
        (
            "PatientID,PatientName,PatientBirthDate,AccessionNumber,From,Until,Modality,StudyDescription,"
            "SeriesDescription,SeriesNumber,Pseudonym"
        ),
        (
            "StudyDate,StudyTime,SeriesDescription,PatientID,ProtocolName,StudyInstanceUID,PatientName,PatientBirthDate,"
            "SeriesInstanceUID,DeviceSerialNumber,AcquisitionDate,Modality,ImageType,SeriesNumber,StudyDescription,"
            "AccessionNumber,SequenceName,new_ids"
        ),
        "PatientID,Accession,StudyDate",
        "patient_id;study date;ACCESSION_NO",
    ],
)
def test_the_headers_of_other_tools_are_known(header: str) -> None:
    cells = {"patientid": "1"}
    line = [cells.get(re.sub(r"[_ ]", "", name).lower(), "") for name in re.split("[,;]", header)]
    assert of(header, (";" if ";" in header else ",").join(line)).faults == ()


@pytest.mark.parametrize(
    ("begin", "end", "range_"),
    [
        ("2020-01-31", "2020-02-01", "20200131-20200201"),
        ("20200131", "", "20200131-"),
        ("", "20200131", "-20200131"),
    ],
)
def test_from_and_until_are_one_range(begin: str, end: str, range_: str) -> None:
    [line] = of("PatientID,From,Until", f"1,{begin},{end}").lines
    assert line.wanted.attributes["StudyDate"] == range_


def test_from_after_until_or_beside_a_date_is_a_fault() -> None:
    assert faults("PatientID,From,Until", "1,20200202,20200201") == [(2, "From")]
    assert faults("StudyDate,Until", "20200101,20200201") == [(2, "Until")]


@pytest.mark.parametrize(
    ("column", "written", "asked"),
    [
        ("StudyDate", "20150201-20160201", "20150201-20160201"),
        ("StudyDate", "20150201-", "20150201-"),
        ("StudyDate", "-20150201", "-20150201"),
        ("StudyDate", "2015-02-01", "20150201"),
        ("StudyDate", "2015-02-01 - 2016-02-01", "20150201-20160201"),
        ("StudyDate", "20260615", "20260615"),
        ("PatientBirthDate", "1992-06-11", "19920611"),
        ("StudyTime", "140500", "140500"),
        ("StudyTime", "0800-120000.5", "0800-120000.5"),
        ("PatientName", "Anna Maria  Müller", "*MÜLLER"),
        ("PatientName", "MULLER^ANNA", "MULLER^ANNA"),
        ("PatientName", "Mül*", "Mül*"),
        ("PatientName", '"Coconut, Coco"', "Coconut^Coco"),
        ("PatientID", "00123", "00123"),
        ("PatientID", "12*4?", "12*4?"),
        ("ProtocolName", "BEAT_SelfNav*", "BEAT_SelfNav*"),
        ("StudyDescription", "x" * 64, "x" * 64),
        ("StudyInstanceUID", "1.2.840.0.1", "1.2.840.0.1"),
        ("SeriesInstanceUID", r"1.2.3\1.2.4", r"1.2.3\1.2.4"),
        ("SeriesNumber", "007", "7"),
        ("Modality", r"ct\mr\ct", r"CT\MR"),
        ("Modality", '"CT, SR"', r"CT\SR"),
        ("ImageType", "*PRIMARY*", "*PRIMARY*"),
        ("ImageType", r"ORIGINAL\PRIMARY\*", r"ORIGINAL\PRIMARY\*"),
    ],
)
def test_a_right_value_is_asked_for(column: str, written: str, asked: str) -> None:
    assert one(column, written) == asked


@pytest.mark.parametrize(
    ("column", "written", "message"),
    [
        *(
            (column, written, "lone *")
            for column in ("PatientID", "PatientName")
            for written in ("*", "**", "?*", "*^*")
        ),
        ("Modality", "*", "lone *"),
        ("Modality", r"CT\*", "lone *"),
        ("Modality", "MRI", "did you mean MR?"),
        ("Modality", "head/neck", "no modality"),
        ("Modality", "A" * 17, "longer than 16"),
        ("PatientID", "1" * 65, "longer than 64"),
        ("PatientID", r"12\13", "backslash"),
        ("PatientID", "1.23E+12", "spreadsheet"),
        ("PatientID", "12\x0713", "printed"),
        ("PatientID", "M\ufffdller", "lost"),
        ("PatientName", "^", "nothing to compare"),
        ("PatientName", "Anna -", "without letters"),
        ("PatientID", "-", "nothing to compare"),
        ("StudyDescription", "= -", "nothing to compare"),
        ("ImageType", "*\\*", "lone *"),
        ("AccessionNumber", "1" * 17, "longer than 16"),
        ("SeriesNumber", "1" * 13, "longer than 12"),
        ("SeriesNumber", "3*", "wildcard"),
        ("SeriesNumber", '"1,2"', "a line of its own"),
        ("SeriesNumber", "99999999999", "larger"),
        ("StudyDate", "20201301", "calendar"),
        ("StudyDate", "20210229", "calendar"),
        ("StudyDate", "18991231", "before 1900"),
        ("StudyDate", "20260616", "future"),
        ("StudyDate", "20160201-20150201", "begins after"),
        ("StudyDate", "20150201-20990101", "future"),
        ("StudyDate", "03.06.2019", "is not YYYYMMDD"),
        ("StudyDate", "2019", "is not YYYYMMDD"),
        ("StudyDate", "2019*", "wildcard"),
        ("StudyDate", "-", "nothing to compare"),
        ("PatientBirthDate", "19920611-19930611", "one day"),
        ("AcquisitionDate", "19920611-", "one day"),
        ("StudyTime", "2500", "is not HHMMSS"),
        ("StudyTime", "14:05", "is not HHMMSS"),
        ("StudyTime", "1200-1100", "begins after"),
        ("StudyInstanceUID", "1.02.3", "leading zero"),
        ("StudyInstanceUID", "1.2.*", "wildcard"),
        ("StudyInstanceUID", "1.2..3", "no UID"),
        ("StudyInstanceUID", "1.2." + "3" * 61, "longer"),
        ("StudyInstanceUID", "1.2.3\\", "no UID"),
        ("SeriesInstanceUID", "A12345", "no UID"),
    ],
)
def test_a_wrong_value_is_told_by_what_is_wrong(column: str, written: str, message: str) -> None:
    told = one(column, written)
    assert message in told
    assert len(written) < 3 or written not in told


def test_a_project_must_have_the_form_of_a_name() -> None:
    assert faults("PatientID,Project", "1,brain-2", "2,my brain") == [(3, "Project")]


def test_an_unknown_column_is_told_with_the_nearest() -> None:
    [fault] = of("PatientID,StudyDat", "1,20200101").faults
    assert fault == Fault(1, "StudyDat", "unknown column (did you mean StudyDate?)")
    [fault] = of("PatientID,NotAllowedAttribute", "1,").faults
    assert fault.message.startswith("unknown column (known: PatientID, PatientName, ")
    [fault] = of("EMPI,Accession", ",1").faults
    assert "PatientID" in fault.message


def test_the_cells_of_a_misspelt_column_are_checked_as_if_it_were_mended() -> None:
    assert faults("PatientIDs,StudyDate", "*,20200101", "5,") == [(1, "PatientIDs"), (2, "PatientIDs")]


def test_every_fault_is_told_and_the_right_lines_are_there() -> None:
    table = of("PatientID,StudyDate", "1,20200101", "*,1", ",", "4,20209999")
    assert [line.number for line in table.lines] == [2]
    assert [(fault.line, fault.column) for fault in table.faults] == [
        (3, "PatientID"),
        (3, "StudyDate"),
        (4, ""),
        (5, "StudyDate"),
    ]


def test_the_hundredth_fault_is_the_last_that_is_told_on_its_own() -> None:
    told = of("PatientID", *["*"] * 150).faults
    assert len(told) == 101
    assert (told[-1].line, told[-1].message) == (102, "and 50 more from this line on")


def test_a_line_of_empty_cells_or_without_a_question_is_a_fault() -> None:
    assert faults("PatientID,StudyDate,Project", ",,", ",,brain", "1,,") == [(2, ""), (3, "")]


def test_a_list_without_lines_is_a_fault() -> None:
    for text in ("", "\n\n", "PatientID\n", "sep=;\n"):
        assert len(read(text).faults) == 1, text


def test_a_column_that_stands_twice_is_a_fault() -> None:
    assert faults("PatientID,patient_id", "1,2") == [(1, "patient_id")]


def test_more_cells_than_columns_are_a_fault_unless_they_are_empty() -> None:
    assert faults("PatientID,StudyDate", "1,,,", "2,,,x") == [(3, "")]
    assert faults("PatientID,,", "1,,", "2,x,") == [(3, "column 2")]


def test_fewer_cells_than_columns_leave_the_rest_empty() -> None:
    assert of("PatientID,StudyDate", "1").lines[0].wanted.attributes == {"PatientID": "1"}


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_what_spreadsheets_save_is_read(delimiter: str, end: str, mark: str) -> None:
    rows = (("PatientID", "StudyDescription"), ("1", f'"a{delimiter} ""b"""'), ("2", " c "), ("",))
    text = mark + end.join(delimiter.join(row) for row in rows) + end
    for content in (text, text.encode()):
        table = read(content)
        assert table.faults == ()
        assert [line.wanted.attributes["StudyDescription"] for line in table.lines] == [f'a{delimiter} "b"', "c"]
        assert [line.number for line in table.lines] == [2, 3]


def test_the_delimiter_that_a_spreadsheet_declares_is_taken() -> None:
    [line] = of("sep=;", "PatientID;StudyDate", "1;20200101").lines
    assert (line.number, line.wanted.attributes) == (3, {"PatientID": "1", "StudyDate": "20200101"})


def test_other_encodings_are_told_with_their_mend() -> None:
    told = read("PatientID,PatientName\n1,Müller\n2,Meier\n".encode("latin-1"))
    assert [(fault.line, "CSV UTF-8" in fault.message) for fault in told.faults] == [(2, True)]
    assert len(told.lines) == 1
    for other in ("PatientID\n1\n".encode("utf-16"), b"PK\x03\x04rest", "PatientID\n1\n".encode("utf-16-le")):
        assert "CSV UTF-8" in read(other).faults[0].message


def test_a_quote_that_is_not_closed_costs_its_line_only() -> None:
    table = of("PatientID,StudyDescription", '1,"a', "2,b", '3,"c"d')
    assert [line.number for line in table.lines] == [3]
    assert [fault.line for fault in table.faults] == [2, 4]


def test_uids_need_no_header() -> None:
    table = read(b"1.2.840.1\r\n1.2.840.2\r\n\r\n")
    assert [line.wanted.attributes for line in table.lines] == [
        {"StudyInstanceUID": "1.2.840.1"},
        {"StudyInstanceUID": "1.2.840.2"},
    ]
    assert [line.number for line in table.lines] == [1, 2]
    assert faults("1.2.840.1", "12345", "1.2.03") == [(2, "StudyInstanceUID"), (3, "StudyInstanceUID")]


def test_accession_numbers_need_a_header() -> None:
    assert [fault.line for fault in of("A1001", "A1002").faults] == [1, 2]
    assert len(of("Accession", "A1001", "A1002").lines) == 2


def test_one_patient_has_one_pseudonym_and_no_two_share_one() -> None:
    header = "PatientID,StudyDate,Pseudonym"
    assert faults(header, "1,20200101,P1", "1,20200102,P1", "2,,P2", "1,,") == []
    assert faults(header, "1,20200101,P1", "1,20200102,P9") == [(3, "Pseudonym")]
    assert faults(header, "1,,P1", "2,,P1") == [(3, "Pseudonym")]
    assert faults("StudyInstanceUID,Pseudonym", "1.2.3,P1", "1.2.4,P1", "1.2.3,P2") == [(4, "Pseudonym")]


def test_a_pseudonym_needs_a_line_of_one_patient() -> None:
    assert faults("PatientID,StudyDate,Pseudonym", "12*,,P1", ",20200101,P1") == [(2, "Pseudonym"), (3, "Pseudonym")]
    header = "PatientName,PatientBirthDate,Pseudonym"
    told = faults(header, "Doe^J,19800101,P1", "Roe^J,19800101,P1", "Roe^J,,P2")
    assert told == [(3, "Pseudonym"), (4, "Pseudonym")]


@pytest.mark.parametrize("name", ["Doe", "John Doe", "Doe^J*", "D?e^John", "*DOE"])
def test_a_name_that_a_family_shares_is_not_one_patient(name: str) -> None:
    assert faults("PatientName,PatientBirthDate,Pseudonym", f"{name},19800101,P1") == [(2, "Pseudonym")]


def test_a_pseudonym_is_not_the_patients_own_number() -> None:
    assert faults("PatientID,Pseudonym", "a17,A17") == [(2, "Pseudonym")]


@pytest.mark.parametrize("value", ["P" * 65, r"P\1", "*", "P\x071", "J\u00fcrg", "P*1", "P?1", "A^B", "A=B"])
def test_a_pseudonym_is_a_value_of_patient_id(value: str) -> None:
    assert faults("PatientID,Pseudonym", f"1,{value}") == [(2, "Pseudonym")]


def test_no_fault_repeats_a_cell() -> None:
    cells = (
        ID,
        f"{NAME}^{FIRST}",
        BIRTH,
        ACCESSION,
        STUDY,
        f"{FIRST} {NAME}",
        f"{BIRTH}x",
        f"{STUDY}.0x",
        f"{ID}\\{ID}",
    )
    for first in cells:
        for second in cells:
            lines = [f"{first},{second},{STUDY}*,{ID}*", f'"{first}",{second}x,{ACCESSION * 3},x,{NAME}']
            # With a header, with a misspelt one, and with none, where the first line is taken for one.
            for header in (["PatientBirthDate,SeriesNumber,StudyInstanceUID,AccessionNumber"], ["PatientIDs,x"], []):
                for fault in of(*header, *lines).faults:
                    told = f"{fault.column} {fault.message}"
                    assert [word for word in (NAME, FIRST, ID, BIRTH, ACCESSION, STUDY) if word in told] == []


def seconds(*lines: str) -> float:
    """Answer the processor time of one reading, the best of three: others may use the machine at the same time."""
    found = []
    for _ in range(3):
        began = time.process_time()
        of(*lines)
        found.append(time.process_time() - began)
        if found[-1] < 2:
            break
    return min(found)


def test_a_hundred_thousand_lines_take_less_than_two_seconds() -> None:
    lines = [f"{n},DOE^J{n},20{n % 20:02}0101-20210101,CT,A{n}" for n in range(100_000)]
    assert seconds("PatientID,PatientName,StudyDate,Modality,AccessionNumber", *lines) < 2
    assert seconds("PatientID", *["*"] * 100_000) < 2


def test_a_header_without_end_is_refused_at_once() -> None:
    header = ",".join(["PatientID", *map(str, range(100_000))])
    assert [fault.line for fault in of(header, "1").faults] == [1, 2]
    assert seconds(header, "1") < 2


def every_line_counts(content: str | bytes) -> None:
    """Demand that each line that is not blank is a row, the header, or has a fault; at most the first hundred can."""
    table = read(content, TODAY)
    text = content.decode("utf-8", "replace") if isinstance(content, bytes) else content
    text = text.removeprefix("\ufeff")
    there = {n for n, line in enumerate(re.split("\r\n|\r|\n", text), 1) if line.strip(" ")}
    told = {fault.line for fault in table.faults}
    rows = {line.number for line in table.lines}
    assert rows <= there
    assert rows.isdisjoint(told - {min(there, default=0)})
    if len(table.faults) <= 100 and not any("the file is" in fault.message for fault in table.faults):
        header = {n for n in there - rows - told if n <= min(rows | told, default=n)}
        assert there - rows - told <= header
        assert len(header) <= 2  # `sep=` and the header
    for line in table.lines:
        assert line.wanted.attributes
        for value in line.wanted.attributes.values():
            assert not is_universal(value)


@FIXED
@given(st.text() | st.binary())
def test_nothing_raises(content: str | bytes) -> None:
    every_line_counts(content)


_names = st.sampled_from([name for column in COLUMNS for name in (column.name, *column.aliases)])
_pieces = st.sampled_from(
    [
        "1",
        "*",
        "?",
        "20200101",
        "-",
        "1.2.3",
        "CT",
        "\\",
        "^",
        '"',
        " ",
        "\t",
        ";",
        "é",
        "Müller Anna",
        "\x00",
        "x" * 65,
    ]
)
_cell = st.lists(_pieces, max_size=4).map("".join)
_end = st.sampled_from(["\n", "\r\n", "\r"])


@FIXED
@given(
    st.lists(_names, min_size=1, max_size=6),
    st.lists(st.lists(_cell, max_size=7), max_size=12),
    st.sampled_from(",;\t"),
    _end,
)
def test_every_line_is_a_row_or_has_a_fault(
    header: list[str], lines: list[list[str]], delimiter: str, end: str
) -> None:
    every_line_counts(end.join(delimiter.join(line) for line in [header, *lines]))
