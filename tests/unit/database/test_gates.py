import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from orthanc_deid.database import migrate, open_database
from orthanc_deid.database.gates import Gates


@pytest.fixture
def gates(database_url: str) -> Iterator[Gates]:
    engine = open_database(database_url)
    migrate(engine)
    yield Gates(engine)
    engine.dispose()


def test_a_destination_that_nobody_touched_is_open(gates: Gates) -> None:
    assert gates.get("research").paused == 0
    assert gates.begin("research", 0.0) == 0


def test_a_pause_stays_until_it_is_taken_back_and_says_whose_it_is(gates: Gates) -> None:
    gates.set_paused("research", paused=True, actor="ann")
    gates.set_paused("research", paused=True, actor="bob")
    found = Gates(gates.engine).get("research")
    assert (found.paused, found.actor) == (1, "bob")
    assert gates.get("other").paused == 0
    gates.set_paused("research", paused=False, actor="x" * 100)
    assert (gates.get("research").paused, len(gates.get("research").actor)) == (0, 64)


def test_of_many_that_want_to_begin_at_once_one_may(gates: Gates) -> None:
    with ThreadPoolExecutor(6) as pool:
        waits = list(pool.map(lambda _: gates.begin("research", 100.0), range(6)))
    assert waits.count(0) == 1
    assert all(90 < wait < 105 for wait in sorted(waits)[1:])
    assert gates.begin("other", 100.0) == 0


def test_a_pause_does_not_take_the_turn_away(gates: Gates) -> None:
    gates.begin("research", 100.0)
    gates.set_paused("research", paused=True, actor="ann")
    assert gates.begin("research", 100.0) > 90


def test_a_turn_that_a_wrong_clock_has_taken_holds_nobody_up(gates: Gates, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(time, "time", lambda now=time.time: now() + 365 * 86400.0)
        assert gates.begin("research", 100.0) == 0
    assert gates.begin("research", 100.0) == 0
    assert 90 < gates.begin("research", 100.0) <= 100
