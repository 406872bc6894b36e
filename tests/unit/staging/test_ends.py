"""What became of each line, and how an overview tells it."""

from datetime import UTC, datetime

import pytest

from orthanc_deid.staging.batch import Pulled
from orthanc_deid.staging.ends import (
    ERROR,
    LATER,
    LEFT,
    PUSHED,
    READY,
    REFUSED,
    LineEnd,
    Told,
    all_well,
    line_end,
    study_end,
)
from orthanc_deid.staging.ends import overview as written
from orthanc_deid.staging.options import Options
from orthanc_deid.staging.studies import Rested, identities

ASKED = Options(list="/lists/Zyxwvut.json", source="pacs", most=10, modalities=("MR", "CT"), practice=True)
NOW = datetime(2026, 11, 21, tzinfo=UTC)


def rested(status: str, reason: str = "") -> Rested:
    return Rested("s1", [2], status, reason, 1, {}, {"orthanc": "o1"}, [])


@pytest.mark.parametrize(
    ("study", "refusal", "pushed", "end"),
    [
        (rested("review"), "", None, (READY, "")),
        (rested("review"), "no encounter", None, (REFUSED, "no encounter")),
        (rested("done"), "", None, (PUSHED, "")),
        (rested("review"), "", {"status": "done", "reason": ""}, (PUSHED, "")),
        (rested("review"), "", {"status": "failed", "reason": "away"}, (ERROR, "failed: away")),
        (rested("review"), "", {"status": "review", "reason": "newer"}, (LATER, "newer")),
        (rested("quarantined", "burned in"), "", None, (ERROR, "quarantined: burned in")),
        (rested("waiting", "213 of 240"), "", None, (LATER, "213 of 240")),
    ],
)
def test_the_end_of_a_study(study: Rested, refusal: str, pushed: dict[str, str] | None, end: tuple[str, str]) -> None:
    assert study_end(study, refusal, pushed) == end


@pytest.mark.parametrize(
    ("pulled", "end", "reason"),
    [
        (Pulled(2, ["good"]), PUSHED, ""),
        (Pulled(2, ["good", "bad"]), ERROR, "failed"),
        (Pulled(2, ["good"], error="partial"), ERROR, "partial"),
        (Pulled(2, ["good"], later="cancelled"), LATER, "cancelled"),
        (Pulled(2, ["good"], left=True), LEFT, "more studies than --max"),
        (Pulled(2, []), ERROR, ""),
    ],
)
def test_a_line_is_as_good_as_its_worst_study(pulled: Pulled, end: str, reason: str) -> None:
    found = line_end(pulled, {"good": (PUSHED, ""), "bad": (ERROR, "failed")}, {"good": "o1"})
    assert (found.end, found.reason) == (end, reason)


def test_all_is_well_when_nothing_is_left_for_a_person() -> None:
    assert all_well([LineEnd(1, PUSHED), LineEnd(2, READY), LineEnd(3, LEFT)])
    assert not any(all_well([LineEnd(1, end)]) for end in (ERROR, LATER, REFUSED))


def test_an_overview_tells_every_line_and_names_no_list() -> None:
    ends = [LineEnd(2, READY, outputs=["o1"]), LineEnd(3, REFUSED, "no encounter"), LineEnd(4, ERROR, "not-found")]
    text = written(Told("run_at_1", NOW, ASKED, 7, ends, ["1 of 2"], 3, "", 1), NOW)
    assert "run_at_1 (practice, nothing is pushed)" in text
    assert "at most 10 studies, modalities MR, CT" in text
    assert "\nhook: 1 of 2\n\nReady, not pushed: 1\n  line 2: o1\n" in text
    assert "Refused by the hook (no_encounter): 1\n  line 3: no encounter\n" in text
    assert "3 further lines of the list wait" in text
    assert "Zyxwvut" not in text


def test_what_tells_a_patient_is_known_in_its_parts() -> None:
    tags = {"PatientID": "M1", "PatientName": "Zyxwvut^Al^Qponmlk", "StudyInstanceUID": "1.2", "Modality": "CT"}
    assert set(identities(tags)) == {"M1", "Zyxwvut", "Qponmlk", "1.2"}
