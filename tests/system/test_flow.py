"""The spine: a study goes in, a de-identified one arrives at the research archive."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyorthanc  # type: ignore[import-untyped]  # it carries none
import pytest

from orthanc_deid.service.routes import ROUTES
from sites import Site
from studies import Person, ct_instance, ct_study

UNKNOWN = "0" * 8 + 4 * ("-" + "0" * 8)


@pytest.fixture
def site(shared_site: Site) -> Site:
    return shared_site


def outputs(site: Site, study: dict[str, Any]) -> list[str]:
    """Return the instances that the research archive holds of a study."""
    return [i["ID"] for i in site.research.get(f"/studies/{study['output']}/instances").json()]


def test_a_study_arrives_de_identified_and_everything_is_told(site: Site) -> None:
    person = Person(1)
    source = site.send(ct_study(person, 5))
    study = site.await_status(source, "done")
    assert study["instances"] == {"received": 5, "deidentified": 5, "quarantined": 0}
    assert study["destinations"] == {"research": "confirmed"}
    assert len(site.arrived(study["output"])) == 5
    told = [e["status"] for e in study["events"] if not e["destination"] and e["status"] != "waiting"]
    assert told == ["received", "queued", "deidentifying", "verifying", "exporting", "done"]
    assert study["next_attempt_at"] is None


def test_an_independent_client_reads_the_result_at_the_archive(site: Site) -> None:
    person = Person(10)
    study = site.await_status(site.send(ct_study(person, 2)), "done")
    with pyorthanc.Orthanc(site.research.url, "admin", site.research.password) as client:
        found = [s for s in pyorthanc.find_studies(client) if s.id_ == study["output"]]
        assert len(found) == 1
        tags = client.get_instances_id_simplified_tags(found[0].series[0].instances[0].id_)
    assert tags["PatientIdentityRemoved"] == "YES"
    assert tags["PatientID"] != person.PatientID
    assert tags["DeidentificationMethod"].startswith("Orthanc De-ID")


def test_no_marker_leaves_in_any_way(site: Site) -> None:
    person = Person(2)
    source = site.send(ct_study(person, 3))
    study = site.await_status(source, "done")
    ways_out = {"answer": json.dumps(study).encode(), "log": site.clinical.log().encode()}
    for instance in outputs(site, study):
        ways_out[f"file {instance}"] = site.research.get(f"/instances/{instance}/file").content
    assert len(ways_out) == 5
    left = [(way, marker) for way, data in ways_out.items() for marker in person.markers if marker.encode() in data]
    assert left == []


def test_the_database_holds_no_identity(new_site: Callable[..., Site], tmp_path: Path) -> None:
    file = tmp_path / "deid.sqlite"
    site = new_site(database_url=f"sqlite:///{file}").start()
    person = Person(3)
    site.await_status(site.send(ct_study(person, 3)), "done")
    stored = b"".join(path.read_bytes() for path in tmp_path.glob("deid.sqlite*"))
    assert len(stored) > 10000
    assert [marker for marker in person.markers if marker.encode() in stored] == []


def test_two_studies_of_one_patient_are_of_one_pseudonym(site: Site) -> None:
    person = Person(4)
    outputs = [site.await_status(site.send(ct_study(person, 2, study=n)), "done")["output"] for n in (1, 2)]
    patients = {site.research.get(f"/studies/{o}").json()["PatientMainDicomTags"]["PatientID"] for o in outputs}
    assert len(set(outputs)) == 2
    assert len(patients) == 1
    frames = {site.research.get(f"/studies/{o}/shared-tags?simplify").json()["FrameOfReferenceUID"] for o in outputs}
    assert len(frames) == 1


def test_a_late_instance_joins_the_same_study_and_nothing_else_is_sent_again(site: Site) -> None:
    person = Person(5)
    first = site.await_status(site.send(ct_study(person, 4)), "done")
    before = received(site, first)
    source = site.send(ct_study(person, 2, first=5))
    second = site.await_status(source, "done", version=2)
    assert second["output"] == first["output"]
    assert second["instances"]["deidentified"] == 6
    assert len(site.arrived(second["output"])) == 6
    after = received(site, second)
    assert {i: after[i] for i in before} == before


def received(site: Site, study: dict[str, Any]) -> dict[str, str]:
    """Tell when the research archive has received each instance of a study."""
    return {i: site.research.get(f"/instances/{i}/metadata/ReceptionDate").text for i in outputs(site, study)}


def test_an_instance_sent_twice_changes_nothing(site: Site) -> None:
    files = ct_study(Person(6), 2)
    first = site.await_status(site.send(files), "done")
    site.send(files)
    assert site.clinical.post(f"/deid/studies/{first['source']}/process").status_code == 202
    again = site.study(first["source"])
    assert (again["status"], again["version"], again["events"]) == ("done", 1, first["events"])


def test_a_study_without_patient_id_is_quarantined_with_the_attribute_as_reason(site: Site) -> None:
    class Nobody(Person):
        PatientID = ""

    before = set(site.research.instances())
    study = site.await_status(site.send([ct_instance(Nobody(7))]), "quarantined")
    assert "PatientID (0010,0020)" in study["reason"]
    assert set(site.research.instances()) == before


def test_the_output_is_not_taken_for_a_new_source(site: Site) -> None:
    study = site.await_status(site.send(ct_study(Person(8), 2)), "done")
    answer = site.clinical.post(f"/deid/studies/{study['output']}/process")
    assert answer.status_code == 409
    assert "result of a de-identification" in answer.json()["detail"]
    sources = [each["source"] for each in site.clinical.get("/deid/studies?limit=1000").json()["items"]]
    assert study["source"] in sources
    assert study["output"] not in sources


def test_one_study_under_two_spellings_of_its_patient_id_is_not_mixed(site: Site) -> None:
    class Lower(Person):
        PatientID = "mrn-770009"

    first = site.await_status(site.send(ct_study(Person(9), 2)), "done")
    second = site.await_status(site.send(ct_study(Lower(9), 2)), "quarantined")
    assert "same output" in second["reason"]
    assert len(site.arrived(first["output"])) == 2


@pytest.mark.parametrize("verb", ["process", "retry", "cancel"])
def test_an_unknown_study_is_answered_with_a_problem(site: Site, verb: str) -> None:
    answer = site.clinical.post(f"/deid/studies/{UNKNOWN}/{verb}")
    assert answer.status_code == 404
    assert answer.headers["Content-Type"] == site.clinical.type_of_error("application/problem+json")
    assert answer.json()["status"] == 404


def test_a_wrong_query_names_the_field(site: Site) -> None:
    answer = site.clinical.get("/deid/studies?limit=none")
    assert (answer.status_code, answer.json()["field"]) == (422, "query.limit")


def test_the_openapi_description_names_every_public_route(site: Site) -> None:
    paths = site.clinical.get("/deid/openapi.json").json()["paths"]
    assert set(paths) == {route.path for route in ROUTES if route.path.startswith("/deid/")}
    assert {"/deid/studies/{study}/process", "/deid/series/{series}/nifti", "/deid/destinations"} <= set(paths)
    page = site.clinical.get("/deid/docs")
    assert page.ok
    assert "http://" not in page.text.replace("http://127.0.0.1", "")
    assert "https://" not in page.text
