from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest

from fake_archive import FakeArchive
from orthanc_deid import engine
from orthanc_deid.database import migrate, open_database
from orthanc_deid.database.ledger import Ledger
from orthanc_deid.database.origins import Origins
from orthanc_deid.engine import Queue
from orthanc_deid.intake.examine import Intake
from orthanc_deid.orthanc_rest import Orthanc
from orthanc_deid.sealed import Seal
from orthanc_deid.settings import Configuration

NewIntake = Callable[..., Intake]


@pytest.fixture
def archive() -> FakeArchive:
    return FakeArchive()


@pytest.fixture
def new_intake(database_url: str, archive: FakeArchive) -> Iterator[NewIntake]:
    """Answer a function that makes an intake with a configuration; ledger and queue are real."""
    database = open_database(database_url)
    migrate(database)
    engine.migrate(database_url)
    queue = Queue(database_url)

    def make(**configuration: Any) -> Intake:  # noqa: ANN401  # keys of deid.yaml
        values = {"projects": ({"name": "default"},)} | configuration
        orthanc = cast("Orthanc", archive)
        return Intake(
            Configuration.model_validate(values), orthanc, Ledger(database), queue, Origins(database, Seal(bytes(32)))
        )

    yield make
    queue.close()
    database.dispose()


@pytest.fixture
def intake(new_intake: NewIntake) -> Intake:
    """Answer an intake of one project with one destination."""
    peer = {"kind": "orthanc-peer", "name": "research", "url": "http://127.0.0.1:1/"}
    return new_intake(projects=({"name": "default", "destinations": ("research",)},), destinations=(peer,))
