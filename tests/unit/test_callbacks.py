import threading
import time
from collections.abc import Callable

import pytest

import fake_orthanc
from orthanc_deid.callbacks import Changes, Hints
from orthanc_deid.supervisor import Child
from servers import wait_for

TYPES = fake_orthanc.ChangeType


def changes(child: Child, give: Callable[[], None], stopped: Callable[[], None] = lambda: None) -> Changes:
    return Changes(TYPES, child=child, hints=Hints(give), after_stop=stopped)


def test_a_stable_study_is_a_hint() -> None:
    given = threading.Event()
    changes(Child(["/bin/true"], name="x"), given.set)(TYPES.STABLE_STUDY, 1, "an id")
    assert given.wait(2)


def test_other_changes_are_none() -> None:
    given = threading.Event()
    other = changes(Child(["/bin/true"], name="x"), given.set)
    for change in range(9):
        other(change, 1, "an id")
    assert not given.wait(0.1)


def test_hints_that_come_during_one_are_one() -> None:
    sent: list[float] = []
    go_on = threading.Event()

    def slow() -> None:
        sent.append(time.monotonic())
        go_on.wait(5)

    hints = Hints(slow)
    hints.give()
    wait_for(lambda: len(sent) == 1)
    began = time.monotonic()
    for _ in range(1000):
        hints.give()
    assert time.monotonic() - began < 0.5
    go_on.set()
    wait_for(lambda: len(sent) == 2)
    time.sleep(0.1)
    assert len(sent) == 2


@pytest.mark.parametrize("error", [ConnectionRefusedError, FileNotFoundError, TimeoutError])
def test_a_hint_is_dropped_while_the_service_is_away(error: type[OSError]) -> None:
    tries: list[int] = []

    def away() -> None:
        tries.append(1)
        if len(tries) == 1:
            raise error

    hints = Hints(away)
    hints.give()
    wait_for(lambda: len(tries) == 1)
    hints.give()
    wait_for(lambda: len(tries) == 2)


def test_the_service_starts_and_stops_with_orthanc() -> None:
    child = Child(["/bin/sleep", "60"], name="x")
    stops: list[int] = []
    change = changes(child, lambda: None, lambda: stops.append(1))
    change(TYPES.ORTHANC_STARTED, 4, "")
    wait_for(lambda: child.pid)
    for _ in range(2):  # Orthanc 1.10.1 was seen to send it twice
        change(TYPES.ORTHANC_STOPPED, 4, "")
    assert child.pid is None
    assert stops == [1, 1]
