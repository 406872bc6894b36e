import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orthanc_deid.database import views
from orthanc_deid.service.routes import ROUTES
from service_calls import Service

STUDY = "0123abcd" + 4 * "-0123abcd"
OTHER = "ffffffff" + 4 * "-ffffffff"


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    made = Service(tmp_path)
    made.runtime.ledger.add(STUDY, "default")
    yield made
    made.close()


@pytest.mark.parametrize(
    ("user", "actor"),
    [
        (b"admin", "admin"),
        ("Jörg Ångström".encode(), "Jörg Ångström"),
        ("山田 太郎".encode(), "山田 太郎"),
        (b"\xff\xfe", "\ufffd\ufffd"),
        (b"", "unknown"),
    ],
)
def test_the_user_who_asked_stands_in_the_event_as_he_is_written(service: Service, user: bytes, actor: str) -> None:
    answer = service.ask("POST", f"/deid/studies/{STUDY}/cancel", user=user)
    assert answer.status == 202
    assert answer.body["events"][-1]["actor"] == actor
    assert views.one(service.runtime.database, STUDY)["events"][-1]["actor"] == actor


@pytest.mark.parametrize("secret", ["", "of another"])
@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_no_route_answers_without_the_secret(service: Service, route: Any, secret: str) -> None:  # noqa: ANN401  # a Route
    path = re.sub(r"\{\w+\}", "1", route.path)
    answer = service.ask(route.method, path, secret=secret)
    assert (answer.status, answer.body["detail"]) == (401, "ask through Orthanc, under /deid/")


@pytest.mark.parametrize(
    ("method", "target", "status", "field"),
    [
        ("GET", "/deid/studies?limit=0", 422, "query.limit"),
        ("GET", "/deid/studies?cursor=x", 422, "query.cursor"),
        ("GET", "/deid/studies?status=done,dnoe", 422, "query.status"),
        ("GET", "/deid/studies/MRN-1", 422, "path.study"),
        ("GET", f"/deid/studies/{OTHER}", 404, None),
        ("POST", f"/deid/studies/{OTHER}/retry", 404, None),
        ("POST", f"/deid/studies/{OTHER}/cancel", 404, None),
        ("POST", f"/deid/studies/{STUDY}/retry", 409, None),
        ("POST", f"/deid/studies/{STUDY}/process", 503, None),
        ("GET", "/deid/nothing", 404, None),
        ("PUT", "/deid/studies", 405, None),
    ],
)
def test_an_error_is_a_problem_that_names_the_field(
    service: Service, method: str, target: str, status: int, field: str | None
) -> None:
    answer = service.ask(method, target)
    assert answer.headers["content-type"] == "application/problem+json"
    assert (answer.status, answer.body["status"], answer.body.get("field")) == (status, status, field)
    assert "MRN-1" not in json.dumps(answer.body)
    assert ("retry-after" in answer.headers) == (status == 503)


def test_the_description_names_our_problem_and_no_model_of_the_framework(service: Service) -> None:
    described = service.ask("GET", "/deid/openapi.json").body
    assert "HTTPValidationError" not in described["components"]["schemas"]
    answers = described["paths"]["/deid/studies/{study}/retry"]["post"]["responses"]
    assert set(answers) == {"202", "404", "409", "422", "503"}
    assert set(answers["409"]["content"]) == {"application/problem+json"}


def test_health_tells_what_is_wrong_and_still_answers(service: Service) -> None:
    answer = service.ask("GET", "/deid/health")
    assert (answer.status, answer.body["status"]) == (200, "degraded")
    assert answer.body["checks"]["database"] == "ok"
    assert answer.body["checks"]["orthanc"].startswith("Orthanc cannot be reached")
    assert answer.body["checks"]["workers"] == "no worker is alive"
    assert answer.body["studies"] == {"received": 1}


def test_the_profiles_are_listed_and_one_with_faults_says_which(service: Service, tmp_path: Path) -> None:
    (tmp_path / "profiles").mkdir()
    (tmp_path / "profiles" / "broken.yaml").write_text('name: broken\nversion: "1"\ntitle: T\nopttions: []\n')
    items = {each["name"]: each for each in service.ask("GET", "/deid/profiles").body["items"]}
    assert items["broken"]["fault"] == "broken.yaml:4: opttions: unknown key (did you mean options?)"
    assert (items["research"]["fault"], items["research"]["version"]) == (None, "2")
    assert "Clean Descriptors" in " ".join(items["research"]["options"])


def test_a_profile_says_what_it_does_with_every_attribute(service: Service) -> None:
    shown = service.ask("GET", "/deid/profiles/basic").body
    actions = {each["keyword"]: each["action"] for each in shown["attributes"]}
    assert (actions["PatientName"], actions["InstitutionName"]) != ("keep", "keep")
    assert len(shown["attributes"]) > 4000
    assert service.ask("GET", "/deid/profiles/none").status == 404


def test_the_projects_are_listed_in_their_order(service: Service) -> None:
    assert service.ask("GET", "/deid/projects").body == {
        "items": [
            {
                "name": "default", "modality": [], "profile": "research", "destinations": [], "convert": [],
                "priority": 5,
            }
        ]
    }  # fmt: skip
