import json
import logging
from collections.abc import Iterator

import pytest

from orthanc_deid import log
from studies import Person


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """Give pytest its own handlers back."""
    root = logging.root.handlers, logging.root.level
    yield
    logging.root.handlers, logging.root.level = root[0], root[1]


def lines(captured: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in captured.readouterr().err.splitlines()]


def test_an_event_is_one_line_with_its_fields(capsys: pytest.CaptureFixture[str]) -> None:
    log.set_up("worker")
    log.event("step finished", study=41, step="verify", seconds=3.2, destination=None)
    started, finished = lines(capsys)
    assert (started["event"], started["step"]) == ("process started", "worker")
    assert finished.pop("at")
    assert finished == {"level": "info", "event": "step finished", "study": 41, "step": "verify", "seconds": 3.2}


def test_a_field_that_is_not_on_the_list_is_refused_and_its_value_not_shown() -> None:
    with pytest.raises(KeyError) as raised:
        log.event("step finished", study=41, patient=Person(1).PatientName)
    assert "patient" in str(raised.value)
    assert Person(1).PatientName not in str(raised.value)


def test_no_field_is_called_after_an_identity() -> None:
    words = ("patient", "name", "uid", "accession", "date", "path", "source", "output", "orthanc", "user")
    assert [field for field in log.FIELDS for word in words if word in field] == []


@pytest.mark.parametrize("name", ["pydicom", "dbos", "uvicorn.error", "urllib3.connectionpool", "somebody.else"])
def test_the_text_of_a_library_is_not_shown(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    log.set_up("worker")
    person = Person(1)
    error = ValueError(person.PatientID)
    logging.getLogger(name).error("invalid value for %s", person.PatientName, exc_info=error)
    shown = capsys.readouterr().err
    assert [marker for marker in person.markers if marker in shown] == []
    assert json.loads(shown.splitlines()[-1]) | {"at": ""} == {
        "at": "", "level": "error", "event": "message of a library", "error": name,
    }  # fmt: skip


@pytest.mark.parametrize("name", log.QUIET)
def test_libraries_speak_from_warnings_on(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    log.set_up("worker")
    logging.getLogger(name).info("chatter")
    assert [line["event"] for line in lines(capsys)] == ["process started"]
