import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from fastapi.testclient import TestClient

from fake_archive import FakeArchive, FakeStudy
from orthanc_deid import settings, states
from orthanc_deid.orthanc_rest import Orthanc
from orthanc_deid.service.app import build
from orthanc_deid.service.runtime import Runtime

SECRET = "of this test"
STUDIES = [f"{n:08x}" + 4 * f"-{n:08x}" for n in range(1, 8)]


class Service:
    """The application with a real ledger and an archive of STUDIES[:5]."""

    def __init__(self, folder: Path) -> None:
        (folder / "deid.yaml").write_text("")
        (folder / "key").write_text("00" * 32)
        paths = {"ORTHANC_DEID_HOME": str(folder), "ORTHANC_DEID_CONFIG": str(folder / "deid.yaml")}
        self.runtime = Runtime(settings.load(paths))
        self.archive = FakeArchive()
        for study in STUDIES[:5]:
            self.archive.held[study] = FakeStudy([f"i{study}"])
        self.runtime.orthanc = cast("Orthanc", self.archive)
        object.__setattr__(self.runtime.intake, "orthanc", self.archive)
        self.client = TestClient(build(self.runtime, SECRET), headers={"X-Deid-Secret": SECRET, "X-Deid-User": "ada"})

    def get(self, query: str = "") -> Any:  # noqa: ANN401  # JSON
        return self.client.get(f"/deid/unprocessed{query}").json()

    def post(self, *studies: str) -> Any:  # noqa: ANN401  # JSON
        return self.client.post("/deid/processed", json={"studies": studies})


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    made = Service(tmp_path)
    yield made
    made.runtime.queue.close()
    made.runtime.database.dispose()


def test_pages_lead_through_all_that_is_not_processed(service: Service) -> None:
    service.runtime.ledger.add(STUDIES[1], "default", status=states.DONE)
    first = service.get("?limit=2")
    assert [item["source"] for item in first["items"]] == [STUDIES[0], STUDIES[2]]
    assert first["items"][0] == {
        "source": STUDIES[0],
        "status": None,
        "project": "",
        "last_update": "2026-11-21T08:00:00+00:00",
    }
    second = service.get(f"?limit=2&cursor={first['next']}")
    assert [item["source"] for item in second["items"]] == STUDIES[3:5]


def test_the_time_is_utc_unless_it_says_otherwise(service: Service) -> None:
    assert len(service.get("?since=2026-11-21T08:00:00")["items"]) == 5
    assert service.get("?since=2026-11-21T08:00:01")["items"] == []
    assert len(service.get("?since=2026-11-21T10:00:00%2B02:00")["items"]) == 5
    assert len(service.get("?since=2026-11-21")["items"]) == 5


@pytest.mark.parametrize("query", ["since=monday", "project=nobody-s", "cursor=x", "cursor=5-MRN-1", "limit=1001"])
def test_a_wrong_parameter_is_named(service: Service, query: str) -> None:
    answer = service.get(f"?{query}")
    assert (answer["status"], answer["field"]) == (422, f"query.{query.partition('=')[0]}")
    assert "MRN" not in json.dumps(answer)


def test_what_is_marked_is_not_listed_any_more_and_what_is_absent_is_counted(service: Service) -> None:
    told = service.post(STUDIES[0], STUDIES[1], STUDIES[6]).json()
    assert told == {"marked": 3, "already": 0, "at_work": 0, "results": 0, "absent": 1}
    assert [item["source"] for item in service.get()["items"]] == STUDIES[2:5]
    assert service.post(STUDIES[0]).json()["already"] == 1


@pytest.mark.parametrize("studies", [[], ["MRN-770001"], STUDIES[:1] * 1001])
def test_a_list_that_cannot_be_one_is_refused_and_not_repeated(service: Service, studies: list[str]) -> None:
    answer = service.post(*studies)
    assert answer.status_code == 422
    assert "MRN" not in answer.text
