"""Where a file belongs after it was offered."""

from datetime import date

import pytest

from orthanc_deid.collect.depot import folder_for, is_over
from orthanc_deid.collect.outcome import Outcome
from orthanc_deid.packed.refused import Refused, Word


def outcome(*, bad: int = 0, **counts: int) -> Outcome:
    made = Outcome(**counts)  # type: ignore[arg-type]  # counts alone
    for number in range(bad):
        made.refuse(Refused(Word.TRUNCATED, "it ends too early"), number + 1)
    return made


@pytest.mark.parametrize(
    ("made", "folder", "deletable"),
    [
        (outcome(stored=1), "taken", True),
        (outcome(stored=1, same=5, junk=3), "taken", True),
        (outcome(stored=1, bad=1), "taken", False),
        (outcome(filtered=1), "taken", False),
        (outcome(same=1), "duplicates", True),
        (outcome(other=1), "duplicates", False),
        (outcome(same=1, bad=1), "duplicates", False),
        (outcome(bad=2), "refused/truncated", False),
        (outcome(junk=2), "refused/not-dicom", False),
        (outcome(), "refused/not-dicom", False),
    ],
)
def test_each_outcome_has_its_place_and_only_what_orthanc_holds_may_be_deleted(
    made: Outcome, folder: str, *, deletable: bool
) -> None:
    assert folder_for(made, date(2026, 11, 21)) == f".deid/{folder}/2026-11-21"
    assert made.loses_nothing is deletable


def test_a_reason_is_bounded() -> None:
    lines = outcome(bad=5000).told().splitlines()
    assert len(lines) == 1001
    assert lines[-1] == "and 4000 more"


def test_what_is_all_well_needs_no_reason() -> None:
    assert outcome(stored=3, same=1, junk=2).told() == ""


def test_only_folders_of_days_grow_old() -> None:
    assert is_over("2020-01-01", 30)
    assert not is_over("2999-01-01", 0)
    assert not is_over("study-2020-01-01", 0)
    assert not is_over("..", 0)
