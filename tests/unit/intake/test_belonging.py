"""Whose a study is: each rule of `match`, and what happens where a rule cannot be told."""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from fake_archive import FakeArchive, FakeStudy
from orthanc_deid import states
from orthanc_deid.database import views
from orthanc_deid.database.ledger import Study
from orthanc_deid.database.origins import Origin
from orthanc_deid.errors import Conflict
from orthanc_deid.intake.belonging import is_like
from orthanc_deid.intake.examine import Intake, examine, start_by_hand
from orthanc_deid.intake.patient_lists import PatientLists, parse
from orthanc_deid.settings import Configuration

UID = "1.2.61"  # of the study "a"
RULES: tuple[tuple[dict[str, Any], dict[str, Any], dict[str, Any]], ...] = (
    ({"modality": ("CT",)}, {"modality": "CT"}, {"modality": "MR"}),
    ({"ae": ("CT99",)}, {"aes": {"RemoteAET": "CT99"}}, {"aes": {"CalledAET": "CT99"}}),
    ({"called_ae": ("TRIAL",)}, {"aes": {"CalledAET": "TRIAL"}}, {"aes": {"RemoteAET": "TRIAL"}}),
    ({"called_ae": ("TRIAL",)}, {"aes": {"CalledAET": "TRIAL "}}, {}),
    (
        {"description": ("*abdomen?", "x")},
        {"tags": {"StudyDescription": "CT Abdomen1"}},
        {"tags": {"StudyDescription": "CT Abdomen"}},
    ),
    ({"description": ("*",)}, {"tags": {"StudyDescription": "a"}}, {"tags": {"StudyDescription": " "}}),
    ({"series_description": ("t1*",)}, {"series_description": "T1 SE"}, {"tags": {"StudyDescription": "T1 SE"}}),
    (
        {"institution": ("saint *",)},
        {"tags": {"InstitutionName": "Saint Fictia"}},
        {"tags": {"InstitutionName": "University"}},
    ),
)


@pytest.fixture
def two(new_intake: Callable[..., Intake]) -> Callable[[dict[str, Any]], Intake]:
    """Answer an intake whose first project has a rule, and whose second takes all of the rest."""

    def make(match: dict[str, Any]) -> Intake:
        return new_intake(projects=({"name": "trial", "match": match}, {"name": "rest"}))

    return make


def known(intake: Intake, source: str = "a") -> Study:
    found = intake.ledger.find(source)
    assert found
    return found


def test_each_rule_takes_what_it_names_and_nothing_else(
    two: Callable[[dict[str, Any]], Intake], archive: FakeArchive
) -> None:
    for number, (match, own, other) in enumerate(RULES):
        intake = two(match)
        for name, values in ((f"own{number}", own), (f"other{number}", other)):
            archive.held[name] = FakeStudy([f"{name}-1"], **values)
            examine(intake, name, stable=True)
        assert (known(intake, f"own{number}").project, known(intake, f"other{number}").project) == ("trial", "rest"), (
            match
        )
        told = views.one(intake.ledger.engine, f"own{number}")["belongs"]
        assert told == f"trial: match: {next(iter(match))}"


def test_every_key_of_a_match_must_agree(two: Callable[[dict[str, Any]], Intake], archive: FakeArchive) -> None:
    intake = two({"modality": ("MR",), "called_ae": ("TRIAL",)})
    archive.held["a"] = FakeStudy(["i1"], "MR")
    archive.held["b"] = FakeStudy(["i2"], "MR", aes={"CalledAET": "TRIAL"})
    for source in "ab":
        examine(intake, source, stable=True)
    assert [known(intake, source).project for source in "ab"] == ["rest", "trial"]
    assert views.one(intake.ledger.engine, "a")["belongs"] == "rest: match: everything"


def test_the_label_of_its_batch_decides(two: Callable[[dict[str, Any]], Intake], archive: FakeArchive) -> None:
    intake = two({"batch": ("spring",)})
    intake.origins.note(UID, Origin(source="pacs", label="spring"))
    for source in "ab":
        archive.held[source] = FakeStudy([f"{source}1"])
        examine(intake, source, stable=True)
    assert [known(intake, source).project for source in "ab"] == ["trial", "rest"]


def test_what_no_rule_takes_is_ignored_and_seen(new_intake: Callable[..., Intake], archive: FakeArchive) -> None:
    intake = new_intake(projects=({"name": "trial", "match": {"institution": ("Saint*",)}},))
    archive.held["a"] = FakeStudy(["i1"])
    examine(intake, "a", stable=True)
    page, _ = views.studies(intake.ledger.engine, status=states.IGNORED)
    assert [(study["address"], study["reason"]) for study in page] == [("a", "no project matches")]


def test_a_list_of_patients_is_read_again_when_it_has_changed(
    two: Callable[[dict[str, Any]], Intake], archive: FakeArchive, tmp_path: Path
) -> None:
    file = tmp_path / "patients.csv"
    file.write_text("MRN-1\n")
    intake = replace(two({"patients": "patients.csv"}), lists=PatientLists(tmp_path))
    for source, patient in (("a", "mrn-1 "), ("b", "MRN-2"), ("c", "MRN-2")):
        archive.held[source] = FakeStudy([f"{source}1"], patient=patient)
        if source == "c":
            file.write_text("MRN-1\nMRN-2\n")
        examine(intake, source, stable=True)
    assert [known(intake, source).project for source in "abc"] == ["trial", "rest", "trial"]


def test_a_study_waits_while_the_list_that_would_tell_cannot_be_read(
    two: Callable[[dict[str, Any]], Intake], archive: FakeArchive, tmp_path: Path
) -> None:
    lists = PatientLists(tmp_path)
    intake = replace(two({"modality": ("MR",), "patients": tmp_path / "of-the-trial.csv"}), lists=lists)
    lists.mended()
    archive.held["a"], archive.held["ct"] = FakeStudy(["i1"], "MR", patient="MRN-1"), FakeStudy(["i2"], "CT")
    for source in ("a", "ct"):
        examine(intake, source, stable=True)
    reason = "the list of patients of-the-trial.csv cannot be read (FileNotFoundError)"
    assert (known(intake).status, known(intake).reason, known(intake).recheck) == (states.WAITING, reason, 0)
    assert known(intake, "ct").status == states.QUEUED  # nobody needs the list to tell
    with pytest.raises(Conflict, match=r"of-the-trial\.csv cannot be read"):
        start_by_hand(intake, "a", "ann")
    assert not lists.mended()
    (tmp_path / "of-the-trial.csv").write_text("PatientID,IssuerOfPatientID\nMRN-1\n")
    examine(intake, "a", stable=True)
    assert "line 2 has 1 columns, not 2" in (known(intake).reason or "")
    (tmp_path / "of-the-trial.csv").write_text("MRN-1\n")
    assert lists.mended()
    intake.ledger.recheck_waiting("the list of patients ")
    assert [study.source for study in intake.ledger.to_recheck()] == ["a"]
    examine(intake, "a", stable=True)
    assert (known(intake).project, known(intake).status) == ("trial", states.QUEUED)


def test_a_list_with_issuers_tells_patients_of_one_number_apart(
    two: Callable[[dict[str, Any]], Intake], archive: FakeArchive, tmp_path: Path
) -> None:
    (tmp_path / "p.csv").write_text("Name;IssuerOfPatientID;PatientID\nx;North;17\n")
    intake = replace(two({"patients": tmp_path / "p.csv"}), lists=PatientLists(tmp_path))
    for source, issuer in (("a", "NORTH"), ("b", "South"), ("c", "")):
        archive.held[source] = FakeStudy([f"{source}1"], patient="17", issuer=issuer)
        examine(intake, source, stable=True)
    assert [known(intake, source).project for source in "abc"] == ["trial", "rest", "rest"]


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "is empty"),
        (b"PatientID\n", "is empty"),
        (b"MRN-1,North\n", "give several columns a header"),
        (b"PatientID,Issuer\nMRN-1,North\n,South\n", "line 3 has no PatientID"),
        (b"MRN-1\nM\xfcller\n", "line 2 is not UTF-8"),
        (b"PK\x03\x04", "workbook"),
        (b'PatientID\n"MRN-1\n', "a quote is not closed"),
    ],
)
def test_a_file_that_is_no_list_of_patients_is_told_by_line_and_without_them(content: bytes, fault: str) -> None:
    with pytest.raises(ValueError, match=fault) as told:
        parse(content)
    assert "MRN-1" not in str(told.value)
    assert "MRN-1" not in repr(parse(b"MRN-1"))


@pytest.mark.parametrize(
    ("value", "pattern", "expected"),
    [
        ("abc", "abc", True), ("abc", "ABC", True), ("abc", "a?c", True), ("abc", "a*", True), ("abc", "*c", True),
        ("abc", "*", True), ("abc", "a*b*c", True), ("abc", "a**c", True), ("aab", "*ab", True), ("abc", "", False),
        ("", "*", False), ("abc", "ab", False), ("abc", "bc", False), ("abc", "a?", False), ("a[b]c", "a[b]c", True),
        ("ab", "a[b]", False), ("STRASSE", "stra\u00dfe", True),
    ],
)  # fmt: skip
def test_a_pattern_knows_two_wildcards_and_no_case(value: str, pattern: str, expected: bool) -> None:  # noqa: FBT001
    assert is_like(value, pattern) is expected


def test_no_value_makes_a_pattern_slow() -> None:
    assert not is_like("a" * 20000, "*a" * 30 + "b")


@pytest.mark.parametrize(
    "match",
    [
        {"source": ("inbox",)}, {"ae": ("CT99",)}, {"called_ae": ("A",)}, {"description": ("a",)}, {"batch": ("b",)},
        {"series_description": ("a",)}, {"institution": ("a",)}, {"patients": "p.csv"},
    ],
)  # fmt: skip
def test_what_the_door_cannot_tell_is_refused_with_its_mode(match: dict[str, Any]) -> None:
    values = {
        "projects": ({"name": "trial", "match": {"modality": ("MR",)} | match},),
        "sources": ({"kind": "folder", "name": "inbox", "path": "/inbox"},),
        "intake": {"on_arrival": True},
    }
    with pytest.raises(ValidationError, match=rf"match: {next(iter(match))} cannot be used with intake\.on_arrival"):
        Configuration.model_validate(values)


@pytest.mark.parametrize(("length", "is_enough"), [(11, False), (12, True)])
def test_a_code_that_two_patients_may_share_is_refused_where_nobody_compares(length: int, is_enough: bool) -> None:  # noqa: FBT001
    values = {
        "projects": ({"name": "trial", "pseudonyms": {"kind": "derived", "format": f"P{{code:{length}}}"}},),
        "intake": {"on_arrival": True},
    }
    with nullcontext() if is_enough else pytest.raises(ValidationError, match="two patients may share one"):
        Configuration.model_validate(values)
