from collections.abc import Iterator
from typing import Any, cast

import pytest
from sqlalchemy import select

from orthanc_deid import states
from orthanc_deid.database import migrate, open_database
from orthanc_deid.database.ledger import Ledger, Study
from orthanc_deid.database.tables import event
from orthanc_deid.errors import Postponed
from orthanc_deid.pipeline import DEIDENTIFY, Job
from orthanc_deid.settings import Configuration
from orthanc_deid.steps import Resources, identify, study_ends, subject
from orthanc_deid.steps.subject import Subject

SOURCE = "0badc0de-0badc0de-0badc0de-0badc0de-0badc0de"


class Loaded:
    configuration = Configuration()


class Worker:
    """What a step begins and ends with: the ledger, and settings as shipped."""

    settings = Loaded()

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger


@pytest.fixture
def ledger(database_url: str) -> Iterator[Ledger]:
    engine = open_database(database_url)
    migrate(engine)
    yield Ledger(engine)
    engine.dispose()


def test_a_study_waits_for_a_source_of_pseudonyms_as_long_as_it_is_away(ledger: Ledger) -> None:
    number = ledger.add(SOURCE, "trial").id
    ledger.compare(number, ["1", "2"], "now")
    run = ledger.start(number, "trial", []).run
    ledger.move(number, states.DEIDENTIFYING, run=run)
    resources = cast("Resources", cast("Any", Worker(ledger)))
    job = Job(DEIDENTIFY, number, 1, run)
    for _ in range(20):  # more than there are attempts
        outcome = study_ends.postpone(job, resources, Postponed("the service of pseudonyms does not answer", 30))
        [(fields, delay_s)] = outcome["follow"]
        assert delay_s >= 30
        following = Job(*fields)
        assert following.id != job.id
        job = following
    found = ledger.get(number)
    assert (found.status, found.reason, found.attempt) == (
        "queued", "the service of pseudonyms does not answer", 1,
    )  # fmt: skip
    assert found.next_attempt_at


def test_thousands_of_studies_that_wait_for_a_source_for_days_leave_few_traces(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(_study: Study, _resources: Resources) -> Subject:
        raise Postponed("the service of pseudonyms does not answer", 0.1)

    monkeypatch.setattr(subject, "name", away)
    number = ledger.add(SOURCE, "trial").id
    ledger.compare(number, ["1", "2"], "now")
    job = Job(DEIDENTIFY, number, 1, ledger.start(number, "trial", []).run)
    resources = cast("Resources", cast("Any", Worker(ledger)))
    waited_s = 0.0
    while waited_s < 86400:
        with pytest.raises(Postponed) as waits:
            identify.run(job, resources)
        [(fields, delay_s)] = study_ends.postpone(job, resources, waits.value)["follow"]
        job = Job(*fields)
        waited_s += delay_s
        assert delay_s <= 800
        assert ledger.get(number).status == states.QUEUED
    assert job.waits < 200
    with ledger.engine.connect() as connection:
        told = connection.scalars(select(event.c.status).where(event.c.study_id == number)).all()
    assert told == [states.RECEIVED, states.QUEUED, states.DEIDENTIFYING, states.QUEUED]
