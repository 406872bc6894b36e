"""The audit over REST: read, taken out, verified, and what the service says of itself."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, update

from orthanc_deid import chain, states
from orthanc_deid.database.crosswalk_tables import audit, audit_head
from orthanc_deid.keyring import Keyring
from orthanc_deid.service.own_audit import OwnAudit
from service_calls import Service

SOURCE = "0000000{0}-00000000-00000000-00000000-00000000"


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    made = Service(tmp_path)
    for number in range(3):
        study = made.runtime.ledger.add(SOURCE.format(number), "brain")
        made.runtime.ledger.move(study.id, states.IGNORED)
    yield made
    made.close()


def listed(service: Service, query: str = "") -> list[dict[str, Any]]:
    answer = service.ask("GET", f"/deid/audit{query}")
    assert answer.status == 200
    items: list[dict[str, Any]] = answer.body["items"]
    return items


def test_records_are_listed_by_pages_and_filters(service: Service) -> None:
    assert [one["what"] for one in listed(service)] == ["received", "ignored"] * 3
    assert [one["id"] for one in listed(service, "?what=ignored")] == [2, 4, 6]
    assert [one["id"] for one in listed(service, f"?study={SOURCE.format(1)}")] == [3, 4]
    assert listed(service, "?project=other") == []
    assert [one["id"] for one in listed(service, "?newest=true&limit=2")] == [6, 5]
    page = service.ask("GET", "/deid/audit?limit=4").body
    assert page["next"] == 4
    assert [one["id"] for one in listed(service, "?after=4")] == [5, 6]
    assert listed(service)[0]["project"] == "brain"


def test_an_unknown_kind_or_study_is_refused(service: Service) -> None:
    assert service.ask("GET", "/deid/audit?what=smiled").status == 422
    assert service.ask("GET", f"/deid/audit?study={SOURCE.format(9)}").status == 404


def test_health_tells_of_a_head_that_was_changed(service: Service) -> None:
    assert service.ask("GET", "/deid/health").body["checks"]["audit"] == "ok"
    with service.runtime.database.begin() as connection:
        connection.execute(update(audit_head).values(last=5))
    assert "audit verify" in service.ask("GET", "/deid/health").body["checks"]["audit"]


def exported(service: Service, limit: int = 1000) -> list[dict[str, Any]]:
    lines: list[dict[str, Any]] = []
    while not lines or "head" not in lines[-1]:
        after = lines[-1]["id"] if lines else 0
        answer = service.ask("GET", f"/deid/audit/export?after={after}&limit={limit}", user=b"officer")
        assert answer.status == 200
        body = answer.body if isinstance(answer.body, str) else json.dumps(answer.body)
        lines += [json.loads(line) for line in body.splitlines()]
    return lines


@pytest.mark.parametrize("limit", [1, 2, 7, 1000])
def test_an_export_in_parts_verifies_with_the_key_alone(service: Service, tmp_path: Path, limit: int) -> None:
    *lines, last = exported(service, limit)
    verifier = chain.Verifier(Keyring(tmp_path).audit())
    assert verifier.take(chain.entry(line) for line in lines) is None
    assert verifier.end(chain.Head(**last["head"])) is None
    assert (lines[-1]["what"], lines[-1]["actor"]) == ("exported-records", "officer")


def test_a_gap_is_named_over_rest(service: Service) -> None:
    right = service.ask("POST", "/deid/audit/verify", body=b"{}").body
    assert (right["last"], right["ended"], right["wrong"]) == (6, True, None)
    with service.runtime.database.begin() as connection:
        connection.execute(delete(audit).where(audit.c.id == 3))
    wrong = service.ask("POST", "/deid/audit/verify").body["wrong"]
    assert wrong == {"number": 3, "why": "is missing"}


def test_what_was_noted_elsewhere_tells_an_older_state(service: Service) -> None:
    noted = listed(service)[-1]

    def verified(number: int, text: str) -> Any:  # noqa: ANN401  # JSON
        return service.ask(
            "POST", "/deid/audit/verify", body=json.dumps({"number": number, "hash": text}).encode()
        ).body

    assert verified(noted["id"], noted["hash"])["wrong"] is None
    assert verified(noted["id"], "0" * 64)["wrong"]["number"] == 6
    assert verified(9, noted["hash"])["wrong"]["number"] == 9


def test_a_request_without_the_secret_is_audited_once_a_minute_at_most(service: Service) -> None:
    for _ in range(5):
        assert service.ask("GET", "/deid/health", secret="guessed").status == 401
    (one,) = listed(service, "?what=refused")
    assert one["detail"] == {"why": "without the plugin's secret", "count": 1}


def test_another_configuration_is_noted_once(service: Service, tmp_path: Path) -> None:
    def started() -> list[str]:
        made = OwnAudit(service.runtime.audit, service.runtime.settings)
        made.start()
        made.stop()
        return [one["detail"]["thing"] for one in listed(service, "?what=configuration&limit=1000")]

    first = started()
    assert first[0] == "deid.yaml"
    assert started() == first
    (tmp_path / "deid.yaml").write_text("# another\n")
    assert started() == [*first, "deid.yaml"]
    changed = listed(service, "?what=configuration&limit=1000")[-1]["detail"]
    assert changed["before"] != changed["now"]
    assert [one["what"] for one in listed(service, "?what=service-stopped")] == ["service-stopped"] * 3


def test_the_newest_record_is_logged_as_an_anchor(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[dict[str, Any]] = []
    monkeypatch.setattr(
        "orthanc_deid.service.own_audit.log.event", lambda message, **fields: told.append(fields | {"event": message})
    )
    service.runtime.own_audit.anchor()
    newest = listed(service)[-1]
    assert (told[-1]["count"], told[-1]["hash"]) == (newest["id"], newest["hash"])


def test_the_plugin_is_given_records_with_the_ids_of_orthanc(service: Service) -> None:
    answer = service.ask("GET", "/internal/audit?after=4").body
    assert answer["last"] == 6
    assert [(one["id"], one["source"]) for one in answer["items"]] == [(5, SOURCE.format(2)), (6, SOURCE.format(2))]


def test_records_of_a_further_project_are_of_the_study_that_orthanc_holds(service: Service) -> None:
    first = service.runtime.ledger.find(SOURCE.format(1))
    assert first
    service.runtime.ledger.join(first.id, {"registry": "asked for by a person"})
    (record,) = service.ask("GET", "/internal/audit?after=6").body["items"]
    assert (record["what"], record["project"], record["source"]) == ("received", "registry", SOURCE.format(1))


def test_what_persons_do_is_audited_with_their_names(tmp_path: Path) -> None:
    made = Service(tmp_path, "destinations: [{name: disk, kind: folder, path: /tmp/x}]\n")
    for verb in ("pause", "resume"):
        assert made.ask("POST", f"/deid/destinations/disk/{verb}", user="jürgen".encode()).status == 200
    found = listed(made)
    assert [(one["actor"], one["detail"]["action"]) for one in found] == [("jürgen", "pause"), ("jürgen", "resume")]
    made.close()
