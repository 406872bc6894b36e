"""`crosswalk import` from the file to the rows of the crosswalk: the real command and the real service."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result
from sqlalchemy import func, select

from http_servers import Handler, HttpServer, Received
from orthanc_deid.cli.crosswalk_import import import_file
from orthanc_deid.cli.server import Asked
from orthanc_deid.database.audit import Audit
from orthanc_deid.database.crosswalk import Identity, Known
from orthanc_deid.database.crosswalk_tables import STUDY, crosswalk
from orthanc_deid.database.imports import OTHER_OFFSET, OTHER_PSEUDONYM, OTHER_VALUE
from service_calls import Service

DEID = """
projects:
  - name: trial
access:
  reidentify: [admin]
"""


class Far:
    """The service behind a web server, and a person at the command line."""

    def __init__(self, folder: Path, server: HttpServer) -> None:
        self.folder, self.server, self.user = folder, server, b"admin"
        home = folder / "home"
        home.mkdir()
        self.service = Service(home, DEID)
        server.always = self._answer

    def _answer(self, handler: Handler, received: Received) -> None:
        answer = self.service.ask("POST", received.path, user=self.user, body=received.body)
        handler.reply(answer.status, json.dumps(answer.body).encode())

    def put(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.write_text(text)
        return path

    def run(self, file: Path, *more: str, as_json: bool = False) -> Result:
        asked = Asked(self.server.url, "admin", None, as_json=as_json)
        return CliRunner().invoke(import_file, [str(file), "--project", "trial", *more], obj=asked)

    def counted(self, file: Path, *more: str) -> dict[str, Any]:
        done = self.run(file, *more, as_json=True)
        return dict(json.loads(done.output))

    def known(self, patient_id: str, issuer: str = "") -> Known | None:
        return self.service.runtime.crosswalk.patient("trial", Identity(issuer, patient_id))

    def rows(self) -> int:
        with self.service.runtime.database.connect() as connection:
            return connection.scalar(select(func.count()).select_from(crosswalk)) or 0

    def audited(self) -> list[dict[str, Any]]:
        runtime = self.service.runtime
        records = Audit(runtime.database, runtime.keyring.audit()).page(limit=1000)
        return [json.loads(each.detail) for each in records if each.what == "imported"]


@pytest.fixture
def far(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Far]:
    monkeypatch.setenv("ORTHANC_DEID_PASSWORD", "secret")
    with HttpServer() as server:
        made = Far(tmp_path, server)
        yield made
        made.service.close()


def counts(
    patients_new: int = 0, patients_known: int = 0, values_new: int = 0, values_known: int = 0
) -> dict[str, int]:
    found = {"patients_new": patients_new, "patients_known": patients_known}
    return found | {"values_new": values_new, "values_known": values_known}


def test_a_list_imported_twice_changes_nothing_the_second_time(far: Far) -> None:
    file = far.put("ids.csv", "".join(f"M{n},P{n}\n" for n in range(700)))
    assert counts(700).items() <= far.counted(file, "--dry-run").items()
    assert far.rows() == 0
    assert counts(700).items() <= far.counted(file).items()
    assert far.rows() == 700
    assert counts(patients_known=700).items() <= far.counted(file).items()
    assert far.rows() == 700
    found = far.known("m7")
    assert found
    assert (found.pseudonym, found.identity.patient_id) == ("P7", "M7")
    assert [each.get("trial") for each in far.audited()] == 2 * [1] + 4 * [None]


def test_who_has_another_pseudonym_is_a_conflict_and_stays(far: Far) -> None:
    far.service.runtime.crosswalk.assign("trial", Known(0, Identity("", "M1"), "X1"))
    far.service.runtime.crosswalk.assign("trial", Known(0, Identity("", "M9"), "P3"))
    file = far.put("ids.csv", "M1,P1\nM2,P2\nM3,P3\nM4,M4\nM5,P^5\n")
    for more in (("--dry-run",), ()):
        found = far.counted(file, *more)
        assert counts(1).items() <= found.items()
        assert [(each["place"], each["reason"]) for each in found["conflicts"]] == [
            ("line 1", OTHER_PSEUDONYM),
            ("line 3", "the pseudonym is another patient's in this project"),
            ("line 4", "the pseudonym is the PatientID itself"),
            ("line 5", "the pseudonym holds one of ^ = * ?"),
        ]
    kept = far.known("M1")
    assert kept
    assert kept.pseudonym == "X1"
    assert far.known("M3") is None


def test_people_see_counts_and_places(far: Far) -> None:
    far.service.runtime.crosswalk.assign("trial", Known(0, Identity("", "Zyxwvut"), "X1"))
    done = far.run(far.put("ids.csv", "Zyxwvut,Qponmlk\nM2,P2\n"), "--dry-run")
    assert done.exit_code == 1
    assert "Patients: 1 would be taken over, 0 known" in done.output
    assert f"Not taken: line 1: {OTHER_PSEUDONYM}" in done.output
    assert not any(word in done.output for word in ("Zyxwvut", "Qponmlk"))


def test_issuer_and_day_shift_are_the_patients(far: Far) -> None:
    file, shifts = far.put("ids.csv", "M1,P1\n"), far.put("s.json", '{"M1": -5}\n')
    assert far.run(file, "--issuer", "HOSP", "--day-shift", str(shifts)).exit_code == 0
    found = far.known("M1", "hosp")
    assert found
    assert found.offset_days == -5
    assert far.known("M1") is None
    far.put("s.json", '{"M1": 6}\n')
    again = far.counted(file, "--issuer", "HOSP", "--day-shift", str(shifts))
    assert [each["reason"] for each in again["conflicts"]] == [OTHER_OFFSET]


def test_uids_are_found_both_ways_and_never_changed(far: Far) -> None:
    (far.folder / "out" / "P1" / "2.25.1" / "2.25.2").mkdir(parents=True)
    far.put("patid_mapping.csv", "id_old,id_new\nM1,P1\n")
    file = far.put("uid_mapping.csv", "id_old,id_new\n1.1,2.25.1\n1.2,2.25.2\n")
    tree = ("--tree", str(far.folder / "out"))
    assert counts(1, values_new=2).items() <= far.counted(file, "--dry-run", *tree).items()
    assert counts(1, values_new=2).items() <= far.counted(file, *tree).items()
    assert counts(0, 1, 0, 2).items() <= far.counted(file, *tree).items()
    assert counts(0, 1, 0, 2).items() <= far.counted(file, "--dry-run", *tree).items()
    assert far.service.runtime.crosswalk.has("trial", STUDY, "1.1")
    for direction, value in (("original", "1.1"), ("pseudonym", "2.25.1")):
        body = {"direction": direction, "values": [value], "project": "trial", "reason": "a test of the import"}
        answer = far.service.ask("POST", "/deid/crosswalk/lookup", user=b"admin", body=json.dumps(body).encode())
        assert [(each["original"], each["replaced"]) for each in answer.body["items"]] == [("1.1", "2.25.1")]
    (far.folder / "out" / "P1" / "2.25.9").mkdir()
    far.put("uid_mapping.csv", "id_old,id_new\n1.1,2.25.9\n")
    assert [each["reason"] for each in far.counted(file, *tree)["conflicts"]] == [OTHER_VALUE]


def test_only_the_role_may_import(far: Far) -> None:
    far.user = b"bob"
    done = far.run(far.put("ids.csv", "M1,P1\n"))
    assert done.exit_code == 1
    assert "needs the role reidentify" in done.output
    assert far.rows() == 0


def test_rows_that_are_none_are_refused_without_their_values(far: Far) -> None:
    rows = [{"row": 0, "patient_id": "Zyxwvut\x07", "pseudonym": "P1"}]
    for wrong in (rows, [{"row": 0, "patient_id": "Zyxwvut", "pseudonym": "P", "kind": "study"}], []):
        body = json.dumps({"project": "trial", "rows": wrong}).encode()
        answer = far.service.ask("POST", "/deid/crosswalk/import", user=b"admin", body=body)
        assert answer.status == 422
        assert "Zyxwvut" not in json.dumps(answer.body)
    body = json.dumps({"project": "none", "rows": [{"row": 0, "patient_id": "M", "pseudonym": "P"}]}).encode()
    assert far.service.ask("POST", "/deid/crosswalk/import", user=b"admin", body=body).status == 404


def test_a_faulty_file_sends_nothing(far: Far) -> None:
    done = far.run(far.put("ids.csv", "M1,P1\nM2\n"))
    assert done.exit_code == 1
    assert "line 2: holds something else" in done.output
    assert far.server.sent() == []
    assert isinstance(import_file, click.Command)
