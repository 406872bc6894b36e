from collections.abc import Iterator
from typing import Any, cast

import pytest

from orthanc_deid import states
from orthanc_deid.database import migrate, open_database
from orthanc_deid.database.ledger import Ledger
from orthanc_deid.errors import Postponed
from orthanc_deid.pipeline import DEIDENTIFY, Job
from orthanc_deid.steps import Resources, study_ends

SOURCE = "0badc0de-0badc0de-0badc0de-0badc0de-0badc0de"


class Worker:
    """What a step ends with: the ledger alone."""

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
        assert 30 <= delay_s <= 35
        following = Job(*fields)
        assert following.id != job.id
        job = following
    found = ledger.get(number)
    assert (found.status, found.reason, found.attempt) == (
        "queued", "the service of pseudonyms does not answer", 1,
    )  # fmt: skip
    assert found.next_attempt_at
