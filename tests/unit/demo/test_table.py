from io import StringIO

import pytest
from rich.console import Console

from orthanc_deid import states
from orthanc_deid.demo.samples import Study
from orthanc_deid.demo.table import Display, Row, result


@pytest.fixture
def row() -> Row:
    study = Study("CT", "REST", "ID-1", "1.2.3", {"Quittenbaum"}, [b"one", b"two"])
    return Row(study, state="sent", sent_at=10.0)


def answer(status: str, deidentified: int = 0) -> dict[str, object]:
    return {
        "status": status,
        "output": "0a1b2c3d-" * 5,
        "instances": {"deidentified": deidentified},
        "destinations": {"research": "pending"},
        "reason": None,
    }


def test_the_clock_stops_at_the_first_end(row: Row) -> None:
    row.update(answer(states.EXPORTING, 2), 11.0)
    assert row.seconds is None
    row.update(answer(states.DONE, 2), 12.5)
    row.update(answer(states.DONE, 2), 99.0)
    assert row.seconds == 2.5


def test_done_is_good_only_when_the_archive_agrees(row: Row) -> None:
    row.update(answer(states.DONE, 2), 12.5)
    assert not row.good
    row.confirmed = 1
    assert not row.good
    row.confirmed = 2
    assert row.good
    row.faults = ["identity of the source in (0010,4000)"]
    assert not row.good


def test_without_a_terminal_each_change_is_a_line(row: Row) -> None:
    stream = StringIO()
    display = Display(Console(file=stream), [row])
    with display.showing():
        display.refresh()
        display.refresh()
        row.update(answer(states.DONE, 2), 12.5)
        display.refresh()
    assert stream.getvalue().splitlines() == ["CT: sent, 0 of 2", "CT: done, 2 of 2 pending"]


def test_the_result_fits_a_terminal_of_80_columns(row: Row) -> None:
    stream = StringIO()
    row.study.title = "MR, JPEG 2000 lossless"
    row.update(answer(states.DEIDENTIFYING), 12.5)
    Console(file=stream, width=80).print(result([row]))
    for word in ("source", "output", "confirmed", "seconds", states.DEIDENTIFYING):
        assert word in stream.getvalue()
