"""When and how fast: pauses, windows, turns and bandwidth, with a real ledger and little time."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from itertools import count

import pytest

from orthanc_deid.database import migrate, open_database
from orthanc_deid.database.gates import Gates
from orthanc_deid.errors import Postponed, Stale
from orthanc_deid.settings.delivery import Delivery
from orthanc_deid.steps import pace
from orthanc_deid.steps.pace import SteadyPace, admit


@pytest.fixture
def gates(database_url: str) -> Iterator[Gates]:
    engine = open_database(database_url)
    migrate(engine)
    yield Gates(engine)
    engine.dispose()


@pytest.fixture
def _looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "LOOK_S", 0.05)


_numbers = count(1)


def delivery(**more: object) -> Delivery:
    """Return settings of a destination of its own: bandwidth is shared by all that goes to one."""
    return Delivery.model_validate({"name": f"research-{next(_numbers)}", **more})


def nobody() -> int:
    return 0


def test_a_paused_destination_takes_nothing_and_uses_up_no_turn(gates: Gates) -> None:
    rationed = delivery(studies_per_hour=1.0)
    gates.set_paused(rationed.name, paused=True, actor="ann")
    with pytest.raises(Postponed, match="paused by a person"):
        admit(rationed, gates, nobody)
    gates.set_paused(rationed.name, paused=False, actor="ann")
    admit(rationed, gates, nobody)


def test_a_closed_window_says_how_long(gates: Gates) -> None:
    later = datetime.now().astimezone() + timedelta(hours=2)
    closed = delivery(windows=(f"{later:%H}:00-{(later + timedelta(hours=1)):%H}:00",))
    with pytest.raises(Postponed, match="time window is closed") as told:
        admit(closed, gates, nobody)
    assert 3600 <= told.value.after_s <= 2 * 3600


def test_each_waits_for_its_own_turn(gates: Gates) -> None:
    rationed = delivery(studies_per_hour=6.0)
    admit(rationed, gates, nobody)
    with pytest.raises(Postponed, match="bounded number of studies may begin in an hour") as next_:
        admit(rationed, gates, nobody)
    with pytest.raises(Postponed) as fourth:
        admit(rationed, gates, lambda: 2)
    assert next_.value.after_s == pytest.approx(600, abs=5)
    assert fourth.value.after_s == pytest.approx(1800, abs=5)


def test_all_that_is_sent_at_once_shares_the_bandwidth(gates: Gates) -> None:
    settings = delivery(bytes_per_s=20000, concurrency=2)
    one, other = (SteadyPace(settings, gates, lambda: None) for _ in range(2))
    began = time.monotonic()
    for _ in range(5):
        one.sent(1000)
    assert time.monotonic() - began == pytest.approx(0.25, abs=0.15)  # alone it has all of it
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda pace_: [pace_.sent(1000) for _ in range(5)], (one, other)))
    assert time.monotonic() - began == pytest.approx(0.75, abs=0.25)


def test_workers_have_equal_shares(gates: Gates) -> None:
    steady = SteadyPace(delivery(bytes_per_s=20000), gates, lambda: None, workers=2)
    began = time.monotonic()
    for _ in range(5):
        steady.sent(1000)
    assert time.monotonic() - began == pytest.approx(0.5, abs=0.2)


def test_what_was_slow_by_itself_is_not_made_up_for(gates: Gates) -> None:
    steady = SteadyPace(delivery(bytes_per_s=10000, concurrency=1), gates, lambda: None)
    time.sleep(0.3)
    began = time.monotonic()
    steady.sent(2000)
    assert time.monotonic() - began > 0.15


@pytest.mark.usefixtures("_looks_often")
def test_a_pause_ends_also_the_wait_for_bandwidth(gates: Gates) -> None:
    settings = delivery(bytes_per_s=1024)
    steady = SteadyPace(settings, gates, lambda: None)
    gates.set_paused(settings.name, paused=True, actor="ann")
    began = time.monotonic()
    with pytest.raises(Postponed, match="paused"):
        steady.sent(10**6)
    assert time.monotonic() - began < 2


@pytest.mark.usefixtures("_looks_often")
def test_a_cancelled_run_stops_at_the_next_look(gates: Gates) -> None:
    def over() -> None:
        raise Stale("run 1 is over")

    steady = SteadyPace(delivery(), gates, over)
    steady.sent(1)
    time.sleep(0.1)
    with pytest.raises(Stale):
        steady.sent(1)


def test_without_bounds_nothing_is_waited_for_and_the_ledger_left_in_peace(gates: Gates) -> None:
    looks: list[int] = []
    steady = SteadyPace(delivery(), gates, lambda: looks.append(1))
    began = time.monotonic()
    for _ in range(10000):
        steady.sent(10**6)
    assert time.monotonic() - began < 1
    assert looks == []
