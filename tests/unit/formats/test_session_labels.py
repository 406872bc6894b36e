"""Session labels as image-deid-etl writes them."""

from pathlib import Path

import pytest

from orthanc_deid.errors import Rejected
from orthanc_deid.formats.session_labels import Label, session_label
from orthanc_deid.settings import etl

FOLDER = Path(__file__).resolve().parents[3] / "orthanc-config/bids/etl"
CBTN, CORSICA = (etl.template(FOLDER / f"{name}.yaml").session_labels.rules() for name in ("cbtn", "corsica"))
BORN = {"PatientBirthDate": "20100101", "StudyDate": "20130519", "StudyTime": "091512.123"}


@pytest.mark.parametrize(
    ("values", "label"),
    [
        ({"StudyDescription": "MR Brain w/o contrast"}, "1234d_B_brain_09h15m"),
        ({"StudyDescription": "MR BRAIN AND SPINE"}, "1234d_BS_brain_spine_09h15m"),
        ({"StudyDescription": "brain head stealth"}, "1234d_B_brain_09h15m"),
        ({"StudyDescription": "PET skull base to mid thigh"}, "1234d_Bo_Body_09h15m"),
        ({"StudyDescription": "Spine", "StudyTime": "091"}, "1234d_S_spine"),
        ({"StudyDescription": "Spine", "StudyTime": ""}, "1234d_S_spine"),
        ({"StudyDescription": "Spine", "PatientBirthDate": "20130520"}, "1d_S_spine_09h15m"),
        ({"StudyDescription": "x", "RequestedProcedureDescription": "neck"}, "1234d_N_neck_09h15m"),
    ],
)
def test_a_label_tells_age_part_and_time(values: dict[str, str], label: str) -> None:
    assert session_label({**BORN, **values}, CBTN) == Label(label)


def test_the_programs_ask_the_descriptions_in_their_own_order() -> None:
    values = {**BORN, "PerformedProcedureStepDescription": "spine", "StudyDescription": "brain"}
    assert session_label(values, CBTN).text == "1234d_S_spine_09h15m"
    assert session_label(values, CORSICA).text == "1234d_B_brain_09h15m"


@pytest.mark.parametrize(("age", "days"), [("034Y", 12418), ("005M", 152), ("003W", 21), ("012D", 12)], ids=str)
@pytest.mark.parametrize("birth", ["", "19010101", "2010", "20101399"])
def test_without_a_birth_date_the_age_is_estimated_and_that_is_said(age: str, days: int, birth: str) -> None:
    made = session_label({**BORN, "PatientBirthDate": birth, "PatientAge": age, "StudyDescription": "brain"}, CBTN)
    assert made.text == f"{days}d_B_brain_09h15m"
    assert made.remarks == ("the age in days is estimated from PatientAge",)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"StudyDescription": "toe"}, "part of the body"),
        ({"StudyDescription": "brain", "PatientBirthDate": ""}, "neither birth date"),
        ({"StudyDescription": "brain", "StudyDate": ""}, "neither birth date"),
        ({"StudyDescription": "brain", "PatientBirthDate": "", "PatientAge": "old"}, "neither birth date"),
    ],
)
def test_what_cannot_be_labelled_is_refused_without_a_value(values: dict[str, str], reason: str) -> None:
    with pytest.raises(Rejected, match=reason) as error:
        session_label({**BORN, **values}, CBTN)
    assert "toe" not in str(error.value)
    assert "2013" not in str(error.value)


def test_an_age_above_89_years_is_told_as_90() -> None:
    values = {"StudyDescription": "MR BRAIN", "StudyDate": "20200102", "PatientBirthDate": "19201231"}
    assert session_label(values, CBTN).text == "32850d_B_brain"
    assert "above 89" in " ".join(session_label(values, CBTN).remarks)
    young = values | {"PatientBirthDate": "19320101"}
    assert not session_label(young, CBTN).remarks
