"""The template language of names: closed, safe and distinct."""

import re
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orthanc_deid.formats import names

TEMPLATE = "{project}/{PatientID}/{SeriesNumber:05d}-{SeriesDescription}/{SOPInstanceUID}.dcm"
SAFE = re.compile(r"[A-Za-z0-9._-]{1,100}")


def test_a_template_is_filled() -> None:
    values = {
        "project": "brain",
        "PatientID": "sub 1",
        "SeriesNumber": "7 ",
        "SeriesDescription": "T1 (é) sag",
        "SOPInstanceUID": "2.25.1",
    }
    assert names.fill(TEMPLATE, values) == "brain/sub_1/00007-T1_sag/2.25.1.dcm"


def test_an_empty_or_missing_value_becomes_none() -> None:
    assert names.fill("{PatientID}/{StudyID}", {"PatientID": " "}) == "none/none"


def test_a_number_that_is_none_stays_text() -> None:
    assert names.fill("{SeriesNumber:05d}", {"SeriesNumber": "x1"}) == "x1"
    assert names.fill("{SeriesNumber:05d}", {"SeriesNumber": ""}) == "none"
    assert names.fill("{SeriesNumber:05d}", {"SeriesNumber": "-12"}) == "-0012"


def test_a_value_makes_no_folder_and_leaves_none() -> None:
    assert names.fill("{PatientID}/x", {"PatientID": "../../etc/passwd"}) == "__.._etc_passwd/x"
    assert names.fill("{PatientID}", {"PatientID": ".."}) == "_"
    assert names.fill("{PatientID}", {"PatientID": ".ssh"}) == "_ssh"
    assert names.fill("{PatientID}{StudyID}", {"PatientID": ".", "StudyID": "."}) == "_"


def test_a_long_part_is_cut_keeps_its_suffix_and_stays_distinct() -> None:
    one, two = (names.fill("{SeriesDescription}.nii.gz", {"SeriesDescription": "a" * 200 + end}) for end in "xy")
    assert len(one) == 100
    assert one.endswith(".nii.gz")
    assert one != two


@pytest.mark.parametrize(
    ("template", "level", "message"),
    [
        ("{PatientId}", "study", r"PatientId.*did you mean \{PatientID\}"),
        ("{SOPInstanceUID}", "series", "SOPInstanceUID"),
        ("{SeriesNumber}", "study", "SeriesNumber"),
        ("{PatientBirthDate}", "instance", "PatientBirthDate"),
        ("{project.__class__}", "study", "no field"),
        ("{project[0]}", "study", "no field"),
        ("{}", "study", "no field"),
        ("{0}", "study", "no field"),
        ("{project!r}", "study", "number format"),
        ("{SeriesNumber:{n}}", "series", "brace"),
        ("{SeriesNumber:>9999999999}", "series", "number format"),
        ("{project", "study", "brace"),
        ("project}", "study", "brace"),
        ("{{project}}", "study", "braces"),
        ("/{project}", "study", "empty"),
        ("{project}/", "study", "empty"),
        ("{project}//x", "study", "empty"),
        ("../{project}", "study", "empty"),
        ("", "study", "empty"),
    ],
)
def test_what_is_no_template_is_refused_with_its_reason(template: str, level: names.Level, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        names.check(template, level)


@pytest.mark.parametrize("level", get_args(names.Level))
def test_every_field_of_a_level_can_be_filled(level: names.Level) -> None:
    template = "/".join(f"{{{field}}}" for field in names.FIELDS[level])
    names.check(template, level)
    assert names.fill(template, {}).split("/") == ["none"] * len(names.FIELDS[level])


def test_an_unknown_field_is_refused_when_filled_too() -> None:
    with pytest.raises(ValueError, match=r"did you mean \{Modality\}"):
        names.fill("{modality}", {})


@given(st.dictionaries(st.sampled_from(names.FIELDS["instance"]), st.text(max_size=300)))
def test_whatever_the_values_are_the_path_is_safe(values: dict[str, str]) -> None:
    parts = names.fill(TEMPLATE, values).split("/")
    assert len(parts) == 4
    assert all(SAFE.fullmatch(part) and not part.startswith(".") for part in parts)
