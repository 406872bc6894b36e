"""The list of keys, and the form of what stands behind them."""

import json
from pathlib import Path
from typing import Any

import pytest

from objects import MARKER
from orthanc_deid.errors import Rejected
from orthanc_deid.formats import sidecar

IDENTITY = (
    "AccessionNumber", "ConsistencyInfo", "DeviceSerialNumber", "FmriExternalInfo", "ImageComments",
    "InstitutionAddress", "InstitutionName", "InstitutionalDepartmentName", "PatientAge", "PatientBirthDate",
    "PatientID", "PatientName", "PatientSex", "PatientSize", "PatientWeight", "PerformingPhysicianName",
    "PrescanReuseString", "ProcedureStepDescription", "PulseSequenceDetails", "ReferringPhysicianName",
    "SeriesInstanceUID", "StationName", "StudyDescription", "StudyID", "StudyInstanceUID", "WipMemBlock",
)  # fmt: skip


def clean(**said: Any) -> dict[str, Any]:  # noqa: ANN401  # JSON
    return sidecar.clean(said, texts=True, times=True, dates=True)


@pytest.mark.parametrize("key", [*IDENTITY, "KeyOfTomorrow"])
def test_a_key_that_is_not_listed_is_left_out_whatever_is_asked_for(key: str) -> None:
    assert clean(**{key: MARKER}) == {}
    assert clean(**{key: 7}) == {}


def test_the_lists_do_not_overlap_and_hold_no_identity() -> None:
    lists = (sidecar.NUMBERS, sidecar.FLAGS, sidecar.WORDS, sidecar.TEXTS, sidecar.TIMES, sidecar.DATES)
    assert sum(map(len, lists)) == len(frozenset().union(*lists))
    assert frozenset().union(*lists).isdisjoint(IDENTITY)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("EchoTime", "0.05"),
        ("EchoTime", MARKER),
        ("EchoTime", True),
        ("SliceTiming", [0.1, MARKER]),
        ("SliceTiming", [[0.1]]),
        ("MTState", MARKER),
        ("ReceiveCoilName", "x" * 65),
        ("ReceiveCoilName", "two\nlines"),
        ("ReceiveCoilName", {"of": MARKER}),
        ("ImageType", ["ORIGINAL", 5]),
        ("SeriesDescription", "x" * 129),
        ("AcquisitionTime", f"10:20:01 {MARKER}"),
        ("AcquisitionDateTime", "2020"),
        ("BidsGuess", ["anat", "a b"]),
    ],
)
def test_a_value_of_another_form_is_left_out(key: str, value: object) -> None:
    assert clean(**{key: value}) == {}


def test_words_of_people_times_and_dates_are_left_out_unless_asked_for() -> None:
    said = {
        "SeriesDescription": "T1", "ProtocolName": "head", "AcquisitionTime": "10:20:01.5",
        "AcquisitionDateTime": "2020-06-15T10:20:01.5", "EchoTime": 0.05,
    }  # fmt: skip
    assert sidecar.clean(said, texts=False, times=False, dates=False) == {"EchoTime": 0.05}
    assert clean(**said) == said


def test_the_name_of_a_sequence_is_taken_out_of_the_guess() -> None:
    assert clean(BidsGuess=["func", "_acq-nihep2d_dir-AP_run-3_bold"]) == {"BidsGuess": ["func", "_dir-AP_run-3_bold"]}


def test_numbers_keep_their_precision(tmp_path: Path) -> None:
    text = '{"EchoTime": 0.00556578, "DwellTime": 3e-06, "ImagingFrequency": 123.203897, "SeriesNumber": 3}'
    (tmp_path / "in.json").write_text(text)
    sidecar.write(tmp_path / "out.json", clean(**sidecar.read(tmp_path / "in.json")))
    assert json.loads((tmp_path / "out.json").read_text()) == json.loads(text)
    assert "3e-06" in (tmp_path / "out.json").read_text()


def test_what_is_no_number_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "in.json").write_bytes(b'{"EchoTime": NaN, "FlipAngle": Infinity, "SAR": 1, "CoilString": "\xff"}')
    assert clean(**sidecar.read(tmp_path / "in.json")) == {"SAR": 1}


@pytest.mark.parametrize("text", ["", "[]", f'{{"of": {MARKER}'])
def test_a_broken_sidecar_is_refused_without_its_words(text: str, tmp_path: Path) -> None:
    (tmp_path / "in.json").write_text(text)
    with pytest.raises(Rejected) as caught:
        sidecar.read(tmp_path / "in.json")
    assert MARKER not in str(caught.value)
