from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from orthanc_deid.database import migrate, open_database
from orthanc_deid.database.deliveries import Deliveries
from orthanc_deid.database.ledger import Ledger
from orthanc_deid.pipeline import DELIVER, Job
from orthanc_deid.settings import Configuration
from orthanc_deid.steps import Resources
from orthanc_deid.steps.convert import wanted


@pytest.fixture
def ledger(database_url: str) -> Iterator[Ledger]:
    engine = open_database(database_url)
    migrate(engine)
    yield Ledger(engine)
    engine.dispose()


def test_a_destination_that_is_no_longer_configured_does_not_hold_up_the_others(ledger: Ledger, tmp_path: Path) -> None:
    study = ledger.add("a", "default")
    ledger.compare(study.id, ["i1"], "t1")
    ledger.start(study.id, "default", ["share", "gone"])
    share = {"kind": "folder", "name": "share", "path": str(tmp_path), "content": ("dicom", "nifti")}
    values = {"projects": ({"name": "default", "destinations": ("share",)},), "destinations": (share,)}
    held = SimpleNamespace(
        settings=SimpleNamespace(configuration=Configuration.model_validate(values)),
        ledger=ledger,
        deliveries=Deliveries(ledger.engine),
    )
    assert wanted(Job(DELIVER, study.id, 1, 1), cast("Resources", held)) == {"nifti"}
