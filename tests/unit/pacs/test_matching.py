"""Matching by PS3.4 C.2.2.2, where an archive does not do it."""

import pytest

from orthanc_deid.errors import Rejected
from orthanc_deid.pacs.matching import is_universal, matches, narrows, selected, sendable


@pytest.mark.parametrize(
    ("keyword", "wanted", "told"),
    [
        ("PatientID", "123", "123"),
        ("PatientID", "12*", "123"),
        ("PatientID", "1?3", "123"),
        ("PatientID", "1.3", "1.3"),
        ("PatientID", "a\\123", "123"),
        ("PatientName", "*muller", "MÜLLER"),
        ("PatientName", "MULLER*", "Müller^Anna"),
        ("PatientName", "muller^anna", "Müller^Anna^^"),
        ("PatientName", "山田^太郎", "Yamada^Tarou=山田^太郎=やまだ^たろう"),
        ("PatientName", "yamada*", "Yamada^Tarou=山田^太郎=やまだ^たろう"),
        ("StudyDate", "20200101-20200630", "20200615"),
        ("StudyDate", "20200615", "2020.06.15"),
        ("StudyDate", "-20200615", "20200615"),
        ("StudyDate", "20200615-", "20200615"),
        ("StudyTime", "10-11", "115959.9"),
        ("StudyTime", "101112", "101112.000"),
        ("SeriesNumber", "3", "03"),
        ("ModalitiesInStudy", "MR", "CT\\MR"),
        ("Modality", "CT\\MR", "MR"),
        ("ImageType", "AXIAL", "ORIGINAL\\PRIMARY\\AXIAL"),
        ("ImageType", "ORIGINAL\\PRIMARY\\*", "ORIGINAL\\PRIMARY\\AXIAL"),
        ("StudyInstanceUID", "1.2\\1.3", "1.3"),
        ("SeriesDescription", "*T1*", "ax T1 mprage"),
    ],
)
def test_a_value_matches(keyword: str, wanted: str, told: str) -> None:
    assert matches(keyword, wanted, told)


@pytest.mark.parametrize(
    ("keyword", "wanted", "told"),
    [
        ("PatientID", "123", "1234"),
        ("PatientID", "12?", "12"),
        ("PatientID", "1.3", "123"),
        ("PatientID", "abc", "ABC"),
        ("PatientID", "123", ""),
        ("PatientName", "MULLER", "Müller^Anna"),
        ("SeriesDescription", "*t1*", "ax T1 mprage"),
        ("StudyDate", "20200101-20200614", "20200615"),
        ("StudyDate", "20200616-", "20200615"),
        ("StudyTime", "10-11", "120000"),
        ("SeriesNumber", "3", "30"),
        ("Modality", "CT", "MR"),
        ("ImageType", "ORIGINAL\\PRIMARY", "ORIGINAL\\PRIMARY\\AXIAL"),
        ("StudyInstanceUID", "1.2", "1.2.3"),
    ],
)
def test_a_value_does_not_match(keyword: str, wanted: str, told: str) -> None:
    assert not matches(keyword, wanted, told)


@pytest.mark.parametrize("wanted", ["", " ", "*", "**", "?*", "*^*", "\\", "-"])
def test_some_values_ask_for_everything(wanted: str) -> None:
    assert is_universal(wanted)
    assert sendable("PatientName", wanted) == ""


def test_what_archives_understand_differently_is_not_sent() -> None:
    assert sendable("StudyInstanceUID", "1.2\\1.3") == "1.2\\1.3"
    assert sendable("Modality", "CT\\MR") == ""
    assert sendable("ImageType", "AXIAL") == ""  # Orthanc compares all its values at once
    assert sendable("StudyDate", "2020*") == ""
    assert sendable("StudyDate", "20200101-20200630") == "20200101-20200630"
    assert sendable("PatientName", "*MULLER") == "*MULLER"


def test_an_attribute_that_no_answer_tells_cannot_be_searched_by() -> None:
    answers = [{"Modality": "CT"}, {"Modality": "CT", "ProtocolName": ""}]
    with pytest.raises(Rejected, match="tells no ProtocolName"):
        selected(answers, {"ProtocolName": "Zyxwvut*"})
    assert selected([], {"ProtocolName": "a*"}) == []
    told = [*answers, {"ProtocolName": "abc"}]
    assert selected(told, {"ProtocolName": "a*"}) == [told[2]]


@pytest.mark.parametrize(
    ("keyword", "wanted"),
    [
        ("StudyDate", "20200615"),
        ("StudyDate", "20190101-20211231"),
        ("PatientID", "1"),
        ("PatientID", "12*"),
        ("PatientName", "*LI"),
        ("StudyInstanceUID", "1.2\\1.3"),
    ],
)
def test_what_leaves_most_of_an_archive_out_may_be_asked_alone(keyword: str, wanted: str) -> None:
    assert narrows(keyword, wanted)
