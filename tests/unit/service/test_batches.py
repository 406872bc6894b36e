import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from orthanc_deid import states
from orthanc_deid.batches import question
from orthanc_deid.pacs.base import Found
from service_calls import Answer, Service

DEID = """
projects: [{name: brain}]
sources:
  - {kind: pacs, name: pacs, ae: PACS, host: 127.0.0.1, port: 1}
  - {kind: folder, name: inbox, path: /nowhere}
"""
SECOND = "  - {kind: dicomweb, name: vna, url: 'http://127.0.0.1:1/'}\n"
STUDY = "1.2.826.0.1.3680043.10.1337.55"
LIST = f"StudyInstanceUID\n{STUDY}\n"


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    made = Service(tmp_path, DEID)
    yield made
    made.close()


def begin(service: Service, **wanted: object) -> Answer:
    return service.ask("POST", "/deid/batches", body=json.dumps({"list": LIST} | wanted).encode(), user=b"ann")


def test_a_list_begins_a_batch_of_the_only_archive(service: Service) -> None:
    answer = begin(service, project="brain", hold=True, priority=2, most=7)
    assert answer.status == 201
    told = {
        name: answer.body[name] for name in ("source", "to", "state", "project", "hold", "priority", "most", "actor")
    }
    assert told == {
        "source": "pacs", "to": "local", "state": "running", "project": "brain", "hold": True, "priority": 2,
        "most": 7, "actor": "ann",
    }  # fmt: skip
    assert answer.body["rows"] == {"queued": 1}
    assert service.ask("GET", "/deid/batches/1").body == answer.body
    assert service.ask("GET", "/deid/batches?limit=1").body == {"items": [answer.body], "next": None}


def test_a_list_can_be_sent_as_it_is(service: Service) -> None:
    kind = "text/csv; source=pacs; to=ARCHIVE; hold=true; charset=utf-8"
    answer = service.ask("POST", "/deid/batches", body=b"\xef\xbb\xbf" + LIST.encode(), content_type=kind)
    assert (answer.status, answer.body["to"], answer.body["hold"]) == (201, "ARCHIVE", True)


@pytest.mark.parametrize(
    ("wanted", "field", "message"),
    [
        ({"source": "pax"}, "body.source", "no archive is called pax (known: pacs)"),
        ({"source": "inbox"}, "body.source", "only a pacs or dicomweb source can be asked"),
        ({"project": "brian"}, "list.project", "no project is called brian"),
        ({"list": f"StudyInstanceUID,Project\n{STUDY},brian\n"}, "list.line 2, Project", "did you mean brain"),
        ({"mode": "guess"}, "body.mode", "'retrieve' or 'find'"),
        ({"prority": 1}, "body.prority", "Extra inputs"),
        ({"list": "StudyInstanceUID\n*\n"}, None, "line 2, StudyInstanceUID"),
        ({"list": ""}, None, "there is no line to ask for"),
    ],
)
def test_what_is_wrong_is_named_and_nothing_is_begun(
    service: Service, wanted: dict[str, object], field: str | None, message: str
) -> None:
    answer = begin(service, **wanted)
    assert answer.status == 422
    assert answer.body.get("field") == field
    assert message in answer.body["detail"]
    assert service.ask("GET", "/deid/batches").body["items"] == []


def test_bytes_that_are_no_list_are_refused_by_line(service: Service) -> None:
    answer = service.ask("POST", "/deid/batches", body=b"PatientID\nM\xfcller\n", content_type="text/csv")
    assert answer.status == 422
    assert "line 2" in answer.body["detail"]
    assert service.ask("POST", "/deid/batches", body=b"{", content_type="application/json").status == 422


def test_of_two_archives_one_is_to_be_named(tmp_path: Path) -> None:
    service = Service(tmp_path, DEID + SECOND)
    answer = begin(service)
    assert (answer.status, answer.body["detail"]) == (422, "name the archive: pacs, vna")
    assert begin(service, source="vna").status == 201
    service.close()


def test_the_report_gives_the_list_back_with_what_came_of_it(service: Service) -> None:
    begin(service)
    batches, seal = service.runtime.batches, service.runtime.seal
    (row,) = batches.rows(1)
    (study,) = batches.claim(row.id, 1, [question.close_found(seal, Found(STUDY, instances=3))])
    missing = seal.close([f"{STUDY}.1.1"])
    batches.note_study(row.id, 1, study.id, states.ROW_PARTIAL, arrived=2, expected=3, missing=missing, orthanc="o")
    batches.move(row.id, 1, states.ROW_PARTIAL, reason="2 of 3 instances")
    (told,) = service.ask("GET", "/deid/batches/1/rows").body["items"]
    assert (told["line"], told["state"], told["studies"][0]["arrived"]) == (2, "partial", 2)
    assert STUDY not in json.dumps(told)
    report = service.ask("GET", "/deid/batches/1/report.csv").body
    (line,) = csv.DictReader(io.StringIO(report))
    assert (line["StudyInstanceUID"], line["State"], line["MissingSOPInstanceUIDs"]) == (
        STUDY,
        "partial",
        f"{STUDY}.1.1",
    )
    again = service.ask("POST", "/deid/batches/1/retry", body=b'{"state": "partial"}')
    assert (again.status, again.body["rows"]) == (202, {"queued": 1})
    assert service.ask("POST", "/deid/batches/1/retry", body=b"{}").status == 409
    assert service.ask("POST", "/deid/batches/1/retry", body=b'{"state": "delivered"}').body["field"] == "body.state"


def test_a_batch_is_paused_goes_on_and_is_cancelled(service: Service) -> None:
    begin(service)
    states_ = [service.ask("POST", f"/deid/batches/1/{verb}").body["state"] for verb in ("pause", "resume", "cancel")]
    assert states_ == ["paused", "running", "cancelled"]
    assert service.ask("POST", "/deid/batches/1/pause").status == 409
    assert service.ask("GET", "/deid/batches/1/rows?state=cancelled").body["items"][0]["state"] == "cancelled"
    assert service.ask("GET", "/deid/batches/2").status == 404


def test_whoever_takes_copies_stands_in_the_events_of_the_study(service: Service) -> None:
    begin(service)
    batches, seal = service.runtime.batches, service.runtime.seal
    (row,) = batches.rows(1)
    source = "0123abcd" + 4 * "-0123abcd"
    service.runtime.ledger.add(source, "brain")
    (study,) = batches.claim(row.id, 1, [question.close_found(seal, Found(STUDY, instances=3))])
    batches.note_study(row.id, 1, study.id, states.ROW_DELIVERED, arrived=3, expected=3, orthanc=source)
    told = service.ask("POST", "/deid/batches/1/copies", user=b"ann").body
    assert told == {"items": [{"line": 2, "studies": [source]}], "identified": True}
    event = service.ask("GET", f"/deid/studies/{source}").body["events"][-1]
    assert (event["actor"], event["reason"]) == ("ann", "copies of its instances were saved outside of Orthanc")
