from itertools import pairwise

from orthanc_deid import states
from orthanc_deid.states import MOVES, STATES

# design.md, "States of a study".
DESIGN = (
    "received", "waiting", "queued", "deidentifying", "verifying", "review", "converting", "exporting", "done",
    "quarantined", "failed", "rejected", "cancelled", "ignored",
)  # fmt: skip
AT_REST = frozenset(STATES) - states.ACTIVE


def reachable(start: str, without: frozenset[str] = frozenset()) -> set[str]:
    """Answer all states that moves lead to, never through one of `without`."""
    seen: set[str] = set()
    open_ = [start]
    while open_:
        for to in MOVES[open_.pop()] - seen - without:
            seen.add(to)
            open_.append(to)
    return seen


def test_every_state_of_the_design_is_there_and_no_other() -> None:
    assert set(STATES) == set(DESIGN)
    assert len(STATES) == len(DESIGN)


def test_no_move_leads_to_an_unknown_state() -> None:
    assert set().union(*MOVES.values()) <= set(STATES)


def test_every_state_but_the_first_is_reached_and_none_is_left_for_the_first() -> None:
    assert reachable(states.RECEIVED) == set(STATES) - {states.RECEIVED}


def test_the_main_line_is_possible() -> None:
    line = (*DESIGN[:5], "exporting", "done")
    assert all(to in MOVES[at] for at, to in pairwise(line))
    assert all(to in MOVES[at] for at, to in (("verifying", "review"), ("review", "queued"), ("queued", "converting")))


def test_from_every_state_at_work_a_study_can_be_quarantined_failed_and_cancelled() -> None:
    assert set(states.ACTIVE) == {"queued", *DESIGN[3:5], "converting", "exporting"}
    for state in states.ACTIVE:
        assert {states.QUARANTINED, states.FAILED, states.CANCELLED} <= MOVES[state], state


def test_nothing_is_exported_before_it_is_verified() -> None:
    # A run that continues a verified version may begin with its export: queued -> exporting.
    into_export = {state for state in STATES if states.EXPORTING in MOVES[state]}
    assert into_export == {"queued", "verifying", "converting", "exporting", "failed"}


def test_done_is_reached_from_work_on_what_is_verified_only() -> None:
    # Without a destination a study is done after verify or convert; one that is sent once more begins at queued.
    at_work = {states.QUEUED, states.VERIFYING, states.CONVERTING, states.EXPORTING}
    assert {state for state in STATES if states.DONE in MOVES[state]} == at_work


def test_a_study_at_rest_goes_on_only_by_a_new_run() -> None:
    """What has ended starts again from `queued`; `failed` may also go back to its deliveries."""
    ends = AT_REST - {states.RECEIVED, states.WAITING, states.REVIEW}
    assert ends == {"done", "quarantined", "failed", "rejected", "cancelled", "ignored"}
    for state in ends:
        assert states.QUEUED in MOVES[state], state
        into_work = MOVES[state] & states.ACTIVE
        assert into_work <= {states.QUEUED} | ({states.EXPORTING} if state == states.FAILED else set()), state
