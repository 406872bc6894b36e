"""What reviewers have released: only what each of them has, and nothing where they contradict each other."""

import csv
import io
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orthanc_deid.batches.lists.reviews import select_reviewed, uids
from planting import NAME, STUDY

FIXED = settings(max_examples=200, derandomize=True, deadline=None, database=None)
RELEASED = {"has_phi": False, "relevant": True, "has_reconstruction": False, "exclude": False}


def review(uid: str = "1.2.3", **other: object) -> dict[str, Any]:
    return {"original_study_uid": uid, **RELEASED, **other}


def selected(*reviews: dict[str, Any]) -> list[str]:
    table = select_reviewed(json.dumps(reviews))
    assert table.faults == ()
    assert as_csv(*reviews).lines == table.lines or any(None in each.values() for each in reviews)
    return uids(table.lines)


def as_csv(*reviews: dict[str, Any]) -> Any:  # noqa: ANN401  # a Table whose lines are numbered by item
    text = io.StringIO()
    rows = csv.DictWriter(text, list(reviews[0]), delimiter=";")
    rows.writerows(reviews)
    table = select_reviewed(";".join(reviews[0]) + "\n" + text.getvalue())
    lines = tuple(type(line)(**{**vars(line), "number": line.number - 1}) for line in table.lines)
    return type(table)(lines, table.faults, table.columns)


def test_a_study_that_is_released_is_taken() -> None:
    table = select_reviewed(json.dumps([review("1.2.3"), review("1.2.4", has_phi=True), review("1.2.5")]))
    assert [(line.number, line.cells) for line in table.lines] == [
        (1, {"StudyInstanceUID": "1.2.3"}),
        (3, {"StudyInstanceUID": "1.2.5"}),
    ]
    assert table.lines[0].wanted.attributes == {"StudyInstanceUID": "1.2.3"}


@pytest.mark.parametrize(
    "against",
    [
        {"has_phi": True},
        {"has_phi": None},
        {"relevant": False},
        {"relevant": None},
        {"has_reconstruction": True},
        {"exclude": True},
        {"image_published": True},
        {"processing_error": True},
        {"processing_error": "no such file"},
    ],
)
def test_a_study_that_anything_stands_against_is_left_out(against: dict[str, Any]) -> None:
    assert selected({**review("1.2.3"), **against}) == []
    assert selected(review(), review(exclude=True)) == []


def test_reviews_that_agree_are_one_study() -> None:
    assert selected(review(), review("1.2.4"), review()) == ["1.2.3", "1.2.4"]


@pytest.mark.parametrize("other", [{"has_phi": True}, {"relevant": None}, {"has_reconstruction": True}])
def test_reviews_that_contradict_each_other_stop_the_list(other: dict[str, Any]) -> None:
    table = select_reviewed(json.dumps([review("1.2.4"), review(), review(**other)]))
    [fault] = table.faults
    assert (fault.line, next(iter(other)) in fault.message, "review 2" in fault.message) == (3, True, True)
    assert uids(table.lines) == ["1.2.4"]


def test_the_uid_is_that_of_the_identified_study() -> None:
    assert selected({**RELEASED, "study_uid": "1.9", "original_study_uid": "1.2"}) == ["1.2"]
    assert selected({**RELEASED, "study_uid": "1.9"}) == ["1.9"]


@pytest.mark.parametrize(
    ("wrong", "column", "message"),
    [
        ({**RELEASED, "study": 17}, "original_study_uid", "number of the review database"),
        (RELEASED, "original_study_uid", "is missing"),
        ({**RELEASED, "original_study_uid": 1.2}, "original_study_uid", "is missing"),
        (review(f"{STUDY}.01"), "original_study_uid", "no UID"),
        ({key: value for key, value in review().items() if key != "has_phi"}, "has_phi", "is missing"),
        (
            {**{key: value for key, value in review().items() if key != "exclude"}, "excluded": True},
            "exclude",
            "misspelt",
        ),
        (review(image_publishd=True), "image_published", "misspelt"),
        (review(relevant=NAME), "relevant", "neither true nor false"),
        ([review()], "", "no object"),
        (NAME, "", "no object"),
    ],
)
def test_a_review_that_cannot_be_understood_stops_the_list(wrong: object, column: str, message: str) -> None:
    table = select_reviewed(json.dumps([review("1.2.9"), wrong]))
    [fault] = table.faults
    assert (fault.line, fault.column) == (2, column)
    assert message in fault.message
    assert NAME not in fault.message
    assert STUDY not in fault.message


def test_a_file_that_is_no_list_of_reviews_is_told() -> None:
    for text in ("", "[]", "{}", "[1", "original_study_uid,has_phi\n", "PatientID\n7\n", b"\xff\xfe"):
        assert select_reviewed(text).faults, text
        assert select_reviewed(text).lines == ()


def test_what_else_a_study_holds_is_not_looked_at() -> None:
    assert selected(review(comment="fine", high_risk_flag=True, modality="CT", number_of_series=3, my_note="x")) == [
        "1.2.3"
    ]


@FIXED
@given(st.text() | st.binary() | st.recursive(st.none() | st.booleans() | st.text(), st.lists).map(json.dumps))
def test_nothing_raises(text: str | bytes) -> None:
    table = select_reviewed(text)
    assert table.faults or table.lines
