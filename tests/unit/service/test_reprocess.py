from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from fastapi.testclient import TestClient

from fake_archive import FakeArchive, FakeStudy
from orthanc_deid import profiles, settings, states
from orthanc_deid.database.deliveries import Deliveries
from orthanc_deid.database.makers import Maker
from orthanc_deid.database.tables import study as table
from orthanc_deid.made_by import maker
from orthanc_deid.orthanc_rest import Orthanc
from orthanc_deid.service.app import build
from orthanc_deid.service.runtime import Runtime

SECRET = "of this test"
DEID = """
projects:
  - {name: trial, match: {modality: [MR]}, profile: basic, destinations: [share]}
  - {name: default, destinations: [share]}
destinations:
  - {kind: folder, name: share, path: /nowhere}
  - {kind: folder, name: further, path: /nowhere/else, required: false}
"""
OLDER = Maker("research", "0", "000000000000")


class Service:
    """The application with a real ledger, and an archive in memory."""

    def __init__(self, folder: Path) -> None:
        (folder / "deid.yaml").write_text(DEID)
        (folder / "key").write_text("00" * 32)
        paths = {"ORTHANC_DEID_HOME": str(folder), "ORTHANC_DEID_CONFIG": str(folder / "deid.yaml")}
        self.runtime = Runtime(settings.load(paths))
        self.archive = FakeArchive()
        self.runtime.orthanc = cast("Orthanc", self.archive)
        object.__setattr__(self.runtime.intake, "orthanc", self.archive)
        self.client = TestClient(build(self.runtime, SECRET), headers={"X-Deid-Secret": SECRET, "X-Deid-User": "ada"})
        self.present = {
            project.name: maker(profiles.load(self.runtime.settings, project.profile))
            for project in self.runtime.settings.configuration.projects
        }

    def made(self, number: int, by: Maker | None, *, project: str = "default", status: str = states.DONE) -> str:
        """Note a study of two instances that was de-identified; answer its id."""
        source, ledger = orthanc_id(number), self.runtime.ledger
        self.archive.held[source] = FakeStudy([f"i{number}", f"j{number}"])
        study = ledger.add(source, project)
        ledger.compare(study.id, self.archive.held[source].instances, "20261121T080000")
        run = ledger.start(study.id, project, ["share"]).run
        ledger.set_output(study.id, run, orthanc_id(number + 100))
        if by:
            ledger.set_maker(study.id, run, by, anew=0)
        done = [(i.id, states.INSTANCE_DEIDENTIFIED, f"o-{i.source}", None) for i in ledger.instances(study.id)]
        ledger.mark_instances(study.id, run, done)
        for state in (states.DEIDENTIFYING, states.VERIFYING):
            ledger.move(study.id, state, run=run)
        ledger.set_verified(study.id, run, 1)
        ledger.move(study.id, states.EXPORTING, run=run)
        Deliveries(ledger.engine).mark(study.id, run, "share", states.CONFIRMED, confirmed=2)
        ledger.move(study.id, states.DONE, run=run)
        with ledger.engine.begin() as connection:
            connection.execute(table.update().where(table.c.id == study.id).values(status=status))
        return source

    def post(self, **wanted: Any) -> Any:  # noqa: ANN401  # JSON
        return self.client.post("/deid/reprocess", json=wanted).json()

    def show(self, study: str) -> Any:  # noqa: ANN401  # JSON
        return self.client.get(f"/deid/studies/{study}").json()


def orthanc_id(number: int) -> str:
    return f"{number:08x}" + 4 * f"-{number:08x}"


def taken(answer: dict[str, Any]) -> dict[str, bool]:
    return {item["source"]: item["taken"] for item in answer["items"]}


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    made = Service(tmp_path)
    yield made
    made.runtime.queue.close()
    made.runtime.database.dispose()


def test_what_an_older_profile_made_is_found_and_nothing_else(service: Service) -> None:
    older, newer = service.made(1, OLDER), service.made(2, service.present["default"])
    basic = service.made(3, service.present["default"], project="trial")
    foreseen = service.post(dry_run=True)
    assert taken(foreseen) == {older: True, basic: True}
    assert foreseen["next"] is None
    assert foreseen["items"][0]["made_by"] == {"name": "research", "version": "0", "digest": "000000000000"}
    assert [service.show(study)["status"] for study in (older, newer, basic)] == ["done"] * 3
    assert taken(service.post(project="trial")) == {basic: True}
    assert taken(service.post(profile="research", version=service.present["default"].version)) == {older: True}
    assert [service.show(study)["status"] for study in (older, newer, basic)] == ["queued", "done", "queued"]
    assert taken(service.post(older=False)) == {newer: True}


def test_a_study_is_made_anew_as_its_next_version_and_expected_everywhere_it_is(service: Service) -> None:
    study = service.made(1, OLDER)
    found = service.runtime.ledger.find(study)
    assert found
    run = service.runtime.ledger.deliver(found.id, ["further"], anew=False, reason="asked for", actor="ada").run
    Deliveries(service.runtime.database).mark(found.id, run, "further", states.CONFIRMED, confirmed=2)
    service.runtime.ledger.move(found.id, states.EXPORTING, run=run)
    service.runtime.ledger.move(found.id, states.DONE, run=run)
    answer = service.client.post(f"/deid/studies/{study}/reprocess")
    assert answer.status_code == 202
    told = answer.json()
    assert (told["status"], told["version"], told["instances"]["deidentified"]) == ("queued", 2, 0)
    assert told["destinations"] == {"share": "pending", "further": "pending"}
    assert told["events"][-1]["actor"] == "ada"
    receipts = Deliveries(service.runtime.database).receipts(found.id, "share")
    assert receipts.get("superseded") == (1, "", "")
    assert {i.version for i in service.runtime.ledger.instances(found.id)} == {2}
    assert len(service.runtime.queue.live(f"{found.id}:2:")) == 1
    again = service.client.post(f"/deid/studies/{study}/reprocess")
    assert (again.status_code, again.json()["detail"]) == (409, "it is queued: it is at work")


@pytest.mark.parametrize(
    ("status", "told"),
    [
        (states.REVIEW, "it is held until a person approves or rejects it"),
        (states.REJECTED, "it was rejected by a person"),
        (states.CANCELLED, "it was cancelled: retry it"),
        (states.WAITING, "it waits, and is made by the present profile when it starts"),
        (states.EXPORTING, "it is exporting: it is at work"),
    ],
)
def test_what_is_not_at_rest_is_listed_with_the_reason_and_left_alone(service: Service, status: str, told: str) -> None:
    study = service.made(1, OLDER, status=status)
    [item] = service.post()["items"]
    assert (item["taken"], item["reason"]) == (False, told)
    assert service.show(study)["status"] == status


def test_a_study_whose_sources_are_gone_or_whose_patient_was_forgotten_is_listed_with_the_reason(
    service: Service,
) -> None:
    gone, forgotten = service.made(1, OLDER), service.made(2, OLDER)
    service.archive.held[gone].instances.pop()
    with service.runtime.database.begin() as connection:
        connection.execute(table.update().where(table.c.source == forgotten).values(forgotten=1))
    first, second = service.post()["items"]
    assert first["reason"] == "the sources of 1 of 2 instances are no longer in this Orthanc: send them again"
    assert (second["taken"], second["source"]) == (False, forgotten)
    assert "forgotten" in second["reason"]


def test_an_output_from_before_the_profile_was_noted_says_itself_who_made_it(service: Service) -> None:
    study, other = service.made(1, None), service.made(2, None)
    present = service.present["default"]
    told = {study: f"Orthanc De-ID 0.4\\{present.name} {present.version} {present.digest}", other: "Somebody's"}
    for source, method in told.items():
        number = source[7]
        service.archive.held[f"output of {source}"] = FakeStudy([f"o-i{number}", f"o-j{number}"], method=method)
    [item] = service.post(dry_run=True)["items"]
    assert (item["source"], item["made_by"]) == (other, None)


def test_pages_lead_through_all_and_what_came_late_is_looked_at_afterwards(service: Service) -> None:
    studies = [service.made(number, OLDER) for number in range(1, 6)]
    service.archive.arrive(studies[0], "late", last_update="20261121T090000")
    first = service.post(limit=2)
    second = service.post(limit=2, cursor=first["next"])
    third = service.post(limit=2, cursor=second["next"])
    assert [*taken(first), *taken(second), *taken(third)] == studies
    assert third["next"] is None
    found = service.runtime.ledger.find(studies[0])
    assert found
    assert found.recheck == 1


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        ({"project": "none"}, "no project is called so (known: trial, default)"),
        ({"profile": "none"}, "no project has a profile of that name that can be read"),
        ({"profile": "research", "version": "77"}, "profiles of another version now: research is "),
        ({"limit": 0}, "greater than or equal to 1"),
    ],
)
def test_a_wrong_wish_changes_nothing_and_names_the_field(
    service: Service, wanted: dict[str, object], told: str
) -> None:
    study = service.made(1, OLDER)
    answer = service.client.post("/deid/reprocess", json=wanted)
    assert answer.status_code == 422
    assert told in answer.json()["detail"]
    assert service.show(study)["status"] == "done"


def test_studies_are_listed_by_the_profile_that_made_them(service: Service) -> None:
    older, newer = service.made(1, OLDER), service.made(2, service.present["default"])
    listed = {
        told: [item["source"] for item in service.client.get(f"/deid/studies?profile={told}").json()["items"]]
        for told in ("research", OLDER.digest, "none")
    }
    assert listed == {"research": [newer, older], OLDER.digest: [older], "none": []}
