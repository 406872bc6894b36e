from collections.abc import Iterator

import pytest

from orthanc_deid.database import migrate, open_database
from orthanc_deid.database.origins import Origin, Origins
from orthanc_deid.sealed import Seal


@pytest.fixture
def origins(database_url: str) -> Iterator[Origins]:
    engine = open_database(database_url)
    migrate(engine)
    yield Origins(engine, Seal(bytes(32)))
    engine.dispose()


def project(origins: Origins, patient_id: str) -> str | None:
    found = origins.find("1.2.77", patient_id)
    return found.project if found else None


def test_a_sender_cannot_draw_another_patients_study_into_its_project(origins: Origins) -> None:
    for patient in ("", "X1"):
        origins.note_sender("1.2.77", patient, Origin("inbox", "customer"))
    assert project(origins, "MRN-1") is None
    origins.note_sender("1.2.77", "MRN-1", Origin("other", "hospital"))
    assert project(origins, "MRN-1") == "hospital"
    assert project(origins, "X1") == "customer"


def test_a_patient_is_known_again_whatever_became_of_the_letters(origins: Origins) -> None:
    origins.note_sender("1.2.77", "M\u00fc-17 ", Origin("inbox", "customer"))
    assert project(origins, "m-17") == "customer"


def test_a_list_is_heeded_before_a_sender(origins: Origins) -> None:
    origins.note_sender("1.2.77", "MRN-1", Origin("inbox", "customer"))
    origins.note("1.2.77", Origin("pacs", "trial"))
    assert project(origins, "MRN-1") == "trial"
