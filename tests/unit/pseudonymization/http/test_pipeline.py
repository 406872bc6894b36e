"""A service behind the pipeline's own pseudonymizer: the crosswalk is its cache, and nothing is guessed without it."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from http_servers import HttpServer, answers
from orthanc_deid.confidentiality.pseudonyms import Patient
from orthanc_deid.database import migrate, open_database
from orthanc_deid.database.crosswalk import Crosswalk
from orthanc_deid.database.crosswalk_tables import ACCESSION as ACCESSION_KIND
from orthanc_deid.errors import Postponed, Rejected
from orthanc_deid.keyring import Keyring
from orthanc_deid.pseudonymization.pseudonymizer import Pseudonymizer
from orthanc_deid.settings import Configuration
from planting import ACCESSION, ID, STUDY
from pseudonym_cases import TIMES, asked, token_file
from pseudonym_servers import TOKEN, Dasher, DeidApi

New = Callable[[dict[str, Any]], Pseudonymizer]


@pytest.fixture
def new(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[New]:
    """Answer what makes the pseudonymizer of a worker that has just started, all on one database."""
    monkeypatch.setenv("FAR_TOKEN", TOKEN)
    engine = open_database(database_url)
    migrate(engine)
    (tmp_path / "key").write_text("5c" * 32)

    def make(settings: dict[str, Any]) -> Pseudonymizer:
        project = {"name": "trial", "pseudonyms": {"kind": "http"} | TIMES | settings}
        configuration = Configuration.model_validate({"projects": (project,)})
        return Pseudonymizer(configuration, Crosswalk(engine, Keyring(tmp_path, {})), tmp_path)

    yield make
    engine.dispose()


def deid(far: HttpServer) -> dict[str, Any]:
    return {"preset": "deid-api", "url": far.url + DeidApi.path, "auth": {"kind": "header", "value_env": "FAR_TOKEN"}}


def name(worker: Pseudonymizer, study: str = STUDY, patient: str = ID, **attributes: str) -> tuple[str, int | None]:
    known = worker.name("trial", asked(patient, StudyInstanceUID=study, **attributes), (study, f"2.25.{len(study)}"))
    return known.pseudonym, known.offset_days


def test_a_service_that_is_down_holds_the_study_and_then_the_crosswalk_answers(new: New) -> None:
    service = DeidApi({ID: "P0001"})
    with HttpServer(answers(503, None, Retry_After="40")) as far:
        worker = new(deid(far))
        with pytest.raises(Postponed) as waits:
            name(worker)
        assert waits.value.after_s == 40
        count = len(far.received)
        with pytest.raises(Postponed, match=re.escape(str(waits.value))) as still:
            name(worker, "1.2.9")
        assert 30 < still.value.after_s <= 40
        assert len(far.received) == count, "it is left alone meanwhile"
        worker = new(deid(far))
        assert worker.known("trial", Patient("Sankt Fictia", ID)) is None
        far.always = service
        assert name(worker) == ("P0001", -5)
        count = len(far.received)
        far.always = answers(500)
        assert [name(worker), name(worker, "1.2.3"), name(new(deid(far)), "1.2.4")] == [("P0001", -5)] * 3
        assert len(far.received) == count


def test_who_is_not_known_or_is_given_what_is_another_patients_is_refused(new: New) -> None:
    with HttpServer(DeidApi({ID: "P0001", "2": "P0001"})) as far:
        worker = new(deid(far))
        with pytest.raises(Rejected, match="does not know the patient"):
            name(worker, patient="3")
        name(worker)
        with pytest.raises(Rejected, match="another patient's"):
            name(worker, "1.2.3", "2")


def test_a_service_that_gives_accession_numbers_is_asked_once_for_each_study(new: New, tmp_path: Path) -> None:
    service = Dasher()
    with HttpServer(service) as far:
        token_file(tmp_path, far.url)
        settings = {"preset": "dasher", "url": far.url, "dasher": {"study": "test-study", "token_file": "dasher.json"}}
        worker = new(settings)
        assert [name(worker), name(worker), name(new(settings))] == [("12fa", 5)] * 3
        assert len(far.received) == 1
        assert name(worker, "1.2.3", AccessionNumber="B2") == ("12fa", 5)
        assert len(far.received) == 2
        assert worker.crosswalk.has("trial", ACCESSION_KIND, ACCESSION)
        assert worker.crosswalk.has("trial", ACCESSION_KIND, "B2")
        service.jitter = 6
        with pytest.raises(Rejected, match="gives another pseudonym, offset"):
            name(worker, "1.2.4", AccessionNumber="C3")
