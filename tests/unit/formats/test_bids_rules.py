"""Conditions and labels of rules."""

from typing import Any

import pytest

from orthanc_deid.formats.bids_rules import Condition, Extract, Placed, Rule, matches, place


@pytest.mark.parametrize(
    ("value", "condition", "result"),
    [
        ("t1_MPRAGE", "*mprage*", True),
        ("t2", "*mprage*", False),
        (["ORIGINAL", "PRIMARY", "M"], "m", True),
        (["ORIGINAL", "PRIMARY", "M"], "!derived", True),
        (["DERIVED", "PRIMARY"], "!derived", False),
        (None, "*", False),
        (None, "!*", True),
        ("", "*", False),
        (0.005, "< 0.01", True),
        (0.01, "< 0.01", False),
        (0.01, "<= 0.01", True),
        ("3", "> 2.5", True),
        ("three", "> 2.5", False),
        (None, "> 2.5", False),
        (2, 2, True),
        ("2", 2, True),
        (2.5, 2, False),
        (True, True, True),
        (1, True, False),
        (False, [True, False], True),
        ("t2", ["*t1*", "*t2*"], True),
        ("pd", ["*t1*", "*t2*"], False),
    ],
)
def test_a_condition(value: Any, condition: Condition, result: bool) -> None:  # noqa: ANN401, FBT001  # parameters
    assert matches(value, condition) is result


def placed(entities: dict[str, str | Extract], **fields: Any) -> Placed | None:  # noqa: ANN401  # whatever a sidecar holds
    return place(fields, [Rule("x", {}, "func", "bold", entities)])


@pytest.mark.parametrize(
    ("entities", "fields", "labels"),
    [
        ({"acq": "high-res"}, {}, {"acq": "highres"}),
        ({"acq": "{EchoNumber}"}, {"EchoNumber": 2}, {"acq": "2"}),
        ({"acq": "{EchoNumber}"}, {}, None),
        ({"task": Extract("Name", "task-([a-z]+)")}, {"Name": "TASK-Motor_x"}, {"task": "Motor"}),
        ({"task": Extract("Name", "task-([a-z]+)")}, {"Name": "rest"}, None),
        ({"dir": "auto"}, {"PhaseEncodingDirection": "j-"}, {"dir": "AP"}),
        ({"dir": "auto"}, {}, None),
        ({"echo": "auto"}, {"images": 2, "EchoNumber": 2}, {"echo": "2"}),
        ({"echo": "auto"}, {"images": 1, "EchoNumber": 2}, {}),
        ({"part": "auto"}, {"ImageType": ["ORIGINAL", "PHASE"]}, {"part": "phase"}),
        ({"part": "auto"}, {"ImageType": ["ORIGINAL", "M"]}, {}),
    ],
)
def test_an_entity(
    entities: dict[str, str | Extract], fields: dict[str, Any], labels: dict[str, str] | None
) -> None:  # fmt: skip
    found = placed(entities, **fields)
    assert (found.entities if found else None) == labels


def test_the_first_rule_that_matches_decides() -> None:
    rules = [Rule("one", {"a": "x"}, skip="no"), Rule("two", {"a": "*"}, "anat", "T1w"), Rule("three", {})]
    assert [getattr(place({"a": value}, rules), "rule").name for value in ("x", "y", "")] == ["one", "two", "three"]  # noqa: B009  # it is there
