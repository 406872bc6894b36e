"""What routes wait for: once for all who ask, never for ever, and never the answer to an earlier question."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from fastapi import Request

from orthanc_deid import states
from orthanc_deid.database import migrate, open_database
from orthanc_deid.database.crosswalk import Crosswalk
from orthanc_deid.database.ledger import Ledger
from orthanc_deid.errors import Forbidden, Rejected, Retriable
from orthanc_deid.keyring import Keyring
from orthanc_deid.orthanc_rest import Address, Orthanc
from orthanc_deid.processes import OnDemand
from orthanc_deid.results.study import Converters
from orthanc_deid.service import app
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
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    database = open_database(f"sqlite:///{tmp_path / 'deid.sqlite'}")
    migrate(database)
    yield Ledger(database)
    database.dispose()


@pytest.fixture
def new_conversions(tmp_path: Path, ledger: Ledger) -> Iterator[Callable[[], Conversions]]:
    orthanc = Orthanc(Address("http://127.0.0.1:1", None))
    converters = Converters(tmp_path, Conversion(), (), orthanc, OnDemand(1).get)
    made: list[Conversions] = []

    def make() -> Conversions:
        made.append(Conversions(orthanc, ledger, converters, Crosswalk(ledger.engine, Keyring(tmp_path))))
        return made[-1]

    yield make
    for each in made:
        each.close()


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


def test_only_what_is_verified_is_given_and_a_new_run_is_another_state(
    conversions: Conversions, ledger: Ledger
) -> None:
    study = ledger.add("source", "default")
    ledger.compare(study.id, ["i1", "i2"], "t1")
    run = ledger.start(study.id, "default", []).run
    ledger.move(study.id, states.DEIDENTIFYING, run=run)
    ledger.set_output(study.id, run, "output")
    made = [(i.id, states.INSTANCE_DEIDENTIFIED, f"o{i.id}", None) for i in ledger.instances(study.id)]
    ledger.mark_instances(study.id, run, made)
    with pytest.raises(Forbidden, match="not a de-identified and verified resource"):
        conversions.of_study("output")
    ledger.move(study.id, states.VERIFYING, run=run)
    ledger.set_verified(study.id, run, 1)
    verified = conversions.of_study("output")
    assert (verified.results.allows("o1"), verified.results.allows("i1")) == (True, False)
    assert conversions.is_current(verified)
    ledger.move(study.id, states.DONE, run=run)
    ledger.compare(study.id, ["i1", "i2", "late"], "t2")
    assert conversions.is_current(verified)
    ledger.start(study.id, "default", [])
    assert not conversions.is_current(verified)
    ledger.renew(study.id, run + 1, ledger.instances(study.id, version=1))
    with pytest.raises(Forbidden):
        conversions.of_study("output")


def test_what_is_taken_back_of_a_study_is_another_state_in_the_same_run(
    conversions: Conversions, ledger: Ledger
) -> None:
    study = ledger.add("source", "default")
    ledger.compare(study.id, ["i1", "i2"], "t1")
    run = ledger.start(study.id, "default", []).run
    ledger.move(study.id, states.DEIDENTIFYING, run=run)
    ledger.set_output(study.id, run, "output")
    made = [(i.id, states.INSTANCE_DEIDENTIFIED, f"o{i.id}", None) for i in ledger.instances(study.id)]
    ledger.mark_instances(study.id, run, made)
    ledger.move(study.id, states.VERIFYING, run=run)
    ledger.set_verified(study.id, run, 1)
    ledger.move(study.id, states.DONE, run=run)
    ledger.compare(study.id, ["i1", "i2", "late"], "t2")
    run = ledger.start(study.id, "default", []).run
    verified = conversions.of_study("output")
    # The source of the second is gone: only the first can be searched for what the late one tells.
    ledger.supersede(study.id, run, ledger.instances(study.id)[:1])
    assert not conversions.of_study("output").results.allows("o1")
    assert not conversions.is_current(verified)


def test_a_fault_of_ours_is_answered_without_its_text() -> None:
    try:
        raise KeyError("Zyxwvut")  # noqa: TRY301  # with a traceback
    except KeyError as error:
        answer = asyncio.run(app._answer(Request({"type": "http"}), error))  # noqa: SLF001  # what the framework calls
    assert answer.status_code == 500
    assert answer.media_type == "application/problem+json"
    assert b"KeyError at test_conversions.py:" in bytes(answer.body)
    assert b"Zyxwvut" not in bytes(answer.body)
