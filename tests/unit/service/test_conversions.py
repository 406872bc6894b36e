"""What routes wait for: once for all who ask, never for ever, and never the answer to an earlier question."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from orthanc_deid.database import migrate, open_database
from orthanc_deid.database.ledger import Ledger
from orthanc_deid.errors import Rejected, Retriable
from orthanc_deid.orthanc_rest import Address, Orthanc
from orthanc_deid.processes import OnDemand
from orthanc_deid.results.study import Converters
from orthanc_deid.service import conversions as module
from orthanc_deid.service.conversions import Conversions
from orthanc_deid.settings.conversion import Conversion
from servers import wait_for

KEY = ("study", "nifti")
MADE = Path("made.zip")


class Work:
    """A conversion that lasts until it is told to end."""

    def __init__(self, end: Callable[[], Path] = lambda: MADE) -> None:
        self.begun = 0
        self.may_end = threading.Event()
        self._end = end

    def __call__(self) -> Path:
        self.begun += 1
        assert self.may_end.wait(20)
        return self._end()


@pytest.fixture
def new_conversions(tmp_path: Path) -> Iterator[Callable[[], Conversions]]:
    database = open_database(f"sqlite:///{tmp_path / 'deid.sqlite'}")
    migrate(database)
    orthanc = Orthanc(Address("http://127.0.0.1:1", None))
    converters = Converters(tmp_path, Conversion(), (), orthanc, OnDemand(1).get)
    made: list[Conversions] = []

    def make() -> Conversions:
        made.append(Conversions(orthanc, Ledger(database), converters))
        return made[-1]

    yield make
    for each in made:
        each.close()
    database.dispose()


@pytest.fixture
def conversions(new_conversions: Callable[[], Conversions]) -> Conversions:
    return new_conversions()


def failing(error: Exception) -> Callable[[], Path]:
    def fail() -> Path:
        raise error

    return fail


def test_what_takes_longer_goes_on_and_is_there_when_asked_again(conversions: Conversions) -> None:
    work = Work()
    assert conversions.ask(KEY, work, 0.05) is None
    assert conversions.ask(KEY, work, 0.05) is None
    work.may_end.set()
    assert conversions.ask(KEY, work, 10) == MADE
    assert work.begun == 1


def test_all_who_ask_at_once_get_what_is_made_once(conversions: Conversions) -> None:
    work = Work()
    with ThreadPoolExecutor(6) as pool:
        answers = [pool.submit(conversions.ask, KEY, work, 10) for _ in range(6)]
        wait_for(lambda: work.begun)
        work.may_end.set()
        assert {answer.result(10) for answer in answers} == {MADE}
    assert work.begun == 1


def test_what_nobody_came_back_for_is_not_given_to_whoever_asks_later(conversions: Conversions) -> None:
    """Its files may be gone by then, and the cache knows what has been made."""
    first = Work()
    assert conversions.ask(KEY, first, 0.05) is None
    first.may_end.set()
    time.sleep(0.2)
    assert conversions.ask(KEY, lambda: Path("new.zip"), 10) == Path("new.zip")


def test_a_failure_is_told_to_whoever_asks_next_and_then_it_is_tried_again(conversions: Conversions) -> None:
    work = Work(failing(Rejected("no volume")))
    assert conversions.ask(KEY, work, 0.05) is None
    work.may_end.set()
    time.sleep(0.2)
    with pytest.raises(Rejected, match="no volume"):
        conversions.ask(KEY, work, 10)
    assert conversions.ask(KEY, lambda: MADE, 10) == MADE


def test_an_old_failure_is_forgotten(conversions: Conversions, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEPT_S", 0.1)
    work = Work(failing(Rejected("no volume")))
    assert conversions.ask(KEY, work, 0.05) is None
    work.may_end.set()
    time.sleep(0.4)
    assert conversions.ask(KEY, lambda: MADE, 10) == MADE


@pytest.mark.parametrize("error", [TimeoutError(), OSError(28, "No space left on device", "/home/Zyxwvut")])
def test_a_disk_that_fails_is_no_conversion_that_goes_on(conversions: Conversions, error: OSError) -> None:
    with pytest.raises(Retriable, match="results folder cannot be used") as told:
        conversions.ask(KEY, failing(error), 10)
    assert "Zyxwvut" not in str(told.value)


def test_only_some_requests_wait_so_that_orthanc_keeps_threads(
    new_conversions: Callable[[], Conversions], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WAITING", 2)
    limited = new_conversions()
    work = Work()
    with ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(limited.ask, KEY, work, 10) for _ in range(2)]
        wait_for(lambda: work.begun)
        time.sleep(0.2)
        began = time.monotonic()
        assert limited.ask(KEY, work, 10) is None
        assert time.monotonic() - began < 2
        work.may_end.set()
        assert {each.result(10) for each in waiting} == {MADE}


def test_no_more_wait_than_can_be_made_in_reasonable_time(
    conversions: Conversions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST", 3)
    work = Work()
    for number in range(3):
        assert conversions.ask((*KEY, number), work, 0.01) is None
    with pytest.raises(Retriable, match="3 conversions wait already"):
        conversions.ask((*KEY, 3), work, 0.01)
    work.may_end.set()
    wait_for(lambda: work.begun == 3)
    time.sleep(0.2)
    assert conversions.ask((*KEY, 3), work, 10) == MADE
