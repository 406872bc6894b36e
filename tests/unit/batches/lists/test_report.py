"""The end of every line, for the person who wrote the list."""

import csv
import io
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orthanc_deid.batches.lists.report import ReportRow, ReportStudy, SeriesRow, pacsifier_log, write
from orthanc_deid.batches.lists.spreadsheets import protected, unprotected

FIXED = settings(max_examples=300, derandomize=True, deadline=None, database=None)
COMPLETE = ReportStudy("1.2.3", 3, 3, state="delivered", orthanc="abc", pipeline="done")
PARTIAL = ReportStudy("1.2.4", 5, 3, ("1.2.4.1.1", "1.2.4.1.2"), "partial", "def", "waiting")
ABSENT = ReportStudy("1.2.5", None, 0, state="refused")


def report(*rows: ReportRow, columns: Sequence[str] = ()) -> list[dict[str, str]]:
    text = io.StringIO()
    write(rows, text, columns)
    return list(csv.DictReader(io.StringIO(text.getvalue())))


def test_a_line_of_the_report_tells_what_became_of_a_line_of_the_list() -> None:
    row = ReportRow(
        2, {"StudyDate": "2020-01-01", "PatientID": "7"}, "partial", "2 did not arrive", (COMPLETE, PARTIAL)
    )
    assert report(row) == [
        {
            "Line": "2",
            "PatientID": "7",
            "StudyDate": "2020-01-01",
            "State": "partial",
            "Reason": "2 did not arrive",
            "Studies": "2",
            "Expected": "8",
            "Arrived": "6",
            "MissingSOPInstanceUIDs": "1.2.4.1.1 1.2.4.1.2",
            "PipelineStatus": "done waiting",
            "OrthancStudy": "abc def",
        }
    ]


def test_a_number_that_the_archive_does_not_tell_is_not_invented() -> None:
    [told] = report(ReportRow(2, {"PatientID": "7"}, "refused", "", (COMPLETE, ABSENT)))
    assert (told["Expected"], told["Arrived"], told["OrthancStudy"]) == ("", "3", "abc none")


def test_a_line_that_found_nothing_is_in_the_report() -> None:
    [told] = report(ReportRow(9, {"PatientID": "7"}, "not found", "the archive has no such study"))
    assert (told["Studies"], told["Expected"], told["Arrived"], told["OrthancStudy"]) == ("0", "0", "0", "")


def test_rows_are_written_as_they_come_where_the_columns_are_told() -> None:
    text = io.StringIO()

    def rows() -> list[ReportRow]:
        return [ReportRow(n, {"PatientID": str(n)}, "delivered", "") for n in (2, 3)]

    write(iter(rows()), text, ("PatientID", "Pseudonym"))
    assert text.getvalue().splitlines()[0].startswith("Line,PatientID,Pseudonym,State,Reason,")
    assert len(text.getvalue().splitlines()) == 3


def test_no_cell_is_a_formula() -> None:
    row = ReportRow(2, {"PatientID": "=1+1", "PatientName": "@SUM(A1)", "StudyDate": "-20200101"}, "refused", "+x")
    [told] = report(row)
    assert (told["PatientID"], told["PatientName"], told["Reason"]) == ("'=1+1", "'@SUM(A1)", "'+x")
    assert told["StudyDate"] == "-20200101"


@pytest.mark.parametrize("cell", ["-5", "+3.5", "-20200101", "20200101-", "20200101", "a=1", "", "'", "O'Hara", "'a"])
def test_what_is_no_formula_stays_as_it_is(cell: str) -> None:
    assert protected(cell) == cell


@FIXED
@given(st.text(alphabet=st.sampled_from("'=+-@\t\r\n1.a\uff1d\uff20")) | st.text())
def test_the_protection_can_be_undone(cell: str) -> None:
    assert unprotected(protected(cell)) == cell
    assert protected(cell)[:1] not in ("=", "@", "\t", "\r")


def test_the_log_of_pacsifier_has_a_line_for_each_series() -> None:
    text = io.StringIO()
    cells = {"PatientID": "7", "StudyDate": "20200101"}
    pacsifier_log([SeriesRow(cells, "1.2.3", "1", 20), SeriesRow(cells, "1.2.3", "2", 0)], text)
    assert text.getvalue() == (
        "PatientID,StudyDate,StudyInstanceUID,SeriesNumber,FilesFound\n7,20200101,1.2.3,1,20\n7,20200101,1.2.3,2,0\n"
    )


def test_a_column_of_the_log_does_not_stand_twice() -> None:
    text = io.StringIO()
    pacsifier_log([SeriesRow({"SeriesNumber": "*", "PatientID": "7"}, "1.2.3", "4", 1)], text)
    assert text.getvalue() == "PatientID,StudyInstanceUID,SeriesNumber,FilesFound\n7,1.2.3,4,1\n"
