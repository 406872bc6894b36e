"""What the patients of a folder are called, whoever answers for it."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from pydicom import Dataset

from orthanc_deid.confidentiality.pseudonyms import Patient
from orthanc_deid.errors import Rejected
from orthanc_deid.folder.naming import CHANGED, DIFFERENT, SHARED, Answer, Named, called, name
from orthanc_deid.folder.scan import Header
from orthanc_deid.packed.unpack import Source


def header(path: str, patient: str, study: str = "1.2", issuer: str = "") -> Header:
    return Header(Source(path), patient, study, f"{study}.1", f"{study}.1.{path}", issuer)


class Answers:
    """Answers with what is next for a patient; what begins with `-` is a refusal."""

    def __init__(self, answers: Mapping[str, list[str]]) -> None:
        self._answers = {patient: list(texts) for patient, texts in answers.items()}

    def __call__(self, patient: Patient, _header: Callable[[], Dataset]) -> Answer:
        text = self._answers[patient.patient_id].pop(0)
        return text if text.startswith("-") else Patient(patient.issuer, patient.patient_id, text)


def named(answers: Mapping[str, list[str]], *headers: Header) -> Named:
    return name(Path("/nonexistent"), headers, Answers(answers))


def test_each_study_is_asked_for_once() -> None:
    headers = [header("a", "A"), header("b", "A"), header("c", "a ", "1.3"), header("d", "D")]
    found = named({"A": ["P1"], "a ": ["p1"], "D": ["P2"]}, *headers)
    assert found.refused == {}
    assert [each.assigned for each in found.of(headers)] == ["P1", "P2"]
    assert found.split(headers) == (headers, [])


def test_who_is_refused_is_listed_with_all_his_files() -> None:
    headers = [header("a", "A"), header("b", "A", "1.3"), header("c", "B")]
    good, left = named({"A": ["P1", "- unknown"], "B": ["P2"]}, *headers).split(headers)
    assert [each.source.path for each in good] == ["c"]
    assert [(each.path, each.reason) for each in left] == [("a", "- unknown"), ("b", "- unknown")]


def test_a_patient_has_one_pseudonym_and_a_pseudonym_one_patient() -> None:
    headers = [
        header("a", "A"),
        header("b", "A", "1.3"),
        header("c", "B"),
        header("d", "C"),
        header("e", "C", issuer="X"),
    ]
    found = named({"A": ["P1", "P2"], "B": ["P3"], "C": ["P4", "p4"]}, *headers)
    assert set(found.refused.values()) == {DIFFERENT, SHARED}
    assert [each.reason for each in found.split(headers)[1]] == [DIFFERENT, DIFFERENT, SHARED, SHARED]


def test_a_file_that_was_taken_away_is_listed() -> None:
    def answer(_patient: Patient, read: Callable[[], Dataset]) -> Answer:
        return str(read().PatientID)

    headers = [header("a", "A")]
    _, left = name(Path("/nonexistent"), headers, answer).split(headers)
    assert left[0].reason.startswith("cannot be read")


def test_who_has_no_patient_id_is_not_asked_for() -> None:
    headers = [header("a", "")]
    assert named({}, *headers).split(headers) == (headers, [])


def test_a_patient_that_nobody_asked_for_is_not_called_anything() -> None:
    with pytest.raises(Rejected, match=CHANGED):
        called({}, Patient("", "A"))
