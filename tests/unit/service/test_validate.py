"""What validate tells of studies: project, subject, session and what is missing; identities for their role alone."""

import csv
import json
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import pytest
import requests
from click.testing import CliRunner, Result
from fastapi.testclient import TestClient

from fake_archive import FakeArchive, FakeStudy
from orthanc_deid import settings
from orthanc_deid.cli import commands, mapping_sheets, server
from orthanc_deid.database.origins import Origin
from orthanc_deid.orthanc_rest import Orthanc
from orthanc_deid.service.app import build
from orthanc_deid.service.reasons import open_reason
from orthanc_deid.service.runtime import Runtime

SECRET = "of this test"
STUDIES = [f"{n:08x}" + 4 * f"-{n:08x}" for n in range(1, 8)]
ANNA, BEAT, CARL, DORA, GONE, ELSA = STUDIES[:6]
MARKERS = ("MRN-770", "ACC-550", "Zyxwvut", "20130519", "20100101", "1.2.77")
DEID = """
access: {reidentify: [ada]}
projects:
  - name: brains
    match: {modality: [MR]}
    pseudonyms: {kind: file, path: map.csv}
    session: {required: true}
    also: [rest]
  - name: rest
    match: {modality: [CT]}
    pseudonyms: {kind: sequence}
"""


def attributes(number: int, **more: str) -> dict[str, str]:
    return {
        "PatientID": f"MRN-770{number}", "PatientName": f"Zyxwvut{number}", "AccessionNumber": f"ACC-550{number}",
        "PatientBirthDate": "20100101", "StudyDate": "20130519", "StudyTime": "091512",
        "StudyDescription": "MR Brain", "StudyInstanceUID": f"1.2.77.{number}",
    } | more  # fmt: skip


TAGS = {
    "PatientID": "0010,0020", "PatientName": "0010,0010", "AccessionNumber": "0008,0050",
    "PatientBirthDate": "0010,0030", "StudyDate": "0008,0020", "StudyTime": "0008,0030",
    "StudyDescription": "0008,1030", "StudyInstanceUID": "0020,000d",
}  # fmt: skip


class Archive(FakeArchive):
    """An archive whose studies have patients."""

    def __init__(self) -> None:
        super().__init__()
        self.values: dict[str, dict[str, str]] = {}

    def add(self, study: str, modality: str, values: dict[str, str]) -> None:
        self.held[study] = FakeStudy([f"i{study}"], modality)
        self.values[study] = values

    def study(self, study: str) -> dict[str, Any]:
        found = super().study(study)
        values = self.values[study]
        return found | {"MainDicomTags": values, "PatientMainDicomTags": {"PatientID": values["PatientID"]}}

    def tags(self, instance: str) -> dict[str, Any]:
        values = self.values[instance.removeprefix("i")]
        return {tag: {"Name": name, "Type": "String", "Value": values[name]} for name, tag in TAGS.items()}

    def post(self, path: str, body: Mapping[str, Any]) -> list[Any]:
        assert path == "/tools/find", body
        return []


class Service:
    """The application with a real ledger and an archive of four studies."""

    def __init__(self, folder: Path, deid: str = DEID) -> None:
        (folder / "deid.yaml").write_text(deid)
        (folder / "key").write_text("00" * 32)
        (folder / "map.csv").write_text("MRN-7701,C100\nMRN-7702,C200\n")
        paths = {"ORTHANC_DEID_HOME": str(folder), "ORTHANC_DEID_CONFIG": str(folder / "deid.yaml")}
        self.runtime = Runtime(settings.load(paths))
        self.archive = Archive()
        self.archive.add(ANNA, "MR", attributes(1))
        self.archive.add(BEAT, "MR", attributes(2, StudyDescription="toe"))
        self.archive.add(CARL, "MR", attributes(3))
        self.archive.add(DORA, "US", attributes(4))
        self.runtime.orthanc = cast("Orthanc", self.archive)
        object.__setattr__(self.runtime.intake, "orthanc", self.archive)
        self.client = TestClient(build(self.runtime, SECRET))

    def ask(self, user: str = "bob", /, **body: object) -> Any:  # noqa: ANN401  # an answer of httpx
        headers = {"X-Deid-Secret": SECRET, "X-Deid-User": user}
        return self.client.post("/deid/validate", json=body, headers=headers)

    def items(self, *studies: str, **more: object) -> list[dict[str, Any]]:
        return list(self.ask(studies=list(studies), **more).json()["items"])


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    made = Service(tmp_path_factory.mktemp("service"))
    yield made
    made.runtime.queue.close()
    made.runtime.database.dispose()


def test_project_subject_and_session_are_told_for_each_project_of_a_study(service: Service) -> None:
    first, further = service.items(ANNA)
    assert (first["project"], first["why"]) == ("brains", "match: modality")
    assert (first["subject"], first["session"], first["missing"]) == ("C100", "1234d_B_brain_09h15m", [])
    assert (further["project"], further["why"], further["subject"]) == ("rest", "also of brains", "P000+")
    assert first["mrn"] is None
    assert not first["given"]


def test_projects_are_told_that_a_study_is_in_already_or_that_are_named_no_more(tmp_path: Path) -> None:
    service = Service(tmp_path)
    ledger = service.runtime.ledger
    ledger.join(ledger.add(DORA, "").id, dict.fromkeys(("rest", "not there"), "asked for by a person"))
    known = ledger.add(BEAT, "former").id
    ledger.set_output(known, 0, ELSA)
    told = [(each["source"], each["project"], each["why"]) for each in service.items(DORA, BEAT)]
    ledger.join(known, {"of before": "asked for by a person"})
    (found,) = service.items(ledger.further(BEAT)[0].address)
    service.runtime.queue.close()
    service.runtime.database.dispose()
    assert told == [(DORA, "rest", "as a further project"), (BEAT, None, "")]
    assert "of before" in found["missing"][0]["reason"]


def test_what_is_missing_is_told_with_its_reason(service: Service) -> None:
    found = {item["source"]: item for item in service.items(BEAT, CARL, DORA, GONE) if item["project"] != "rest"}
    missing = {source: [each["what"] for each in item["missing"]] for source, item in found.items()}
    assert missing == {BEAT: ["session"], CARL: ["subject"], DORA: ["project"], GONE: ["project"]}
    assert "does not list" in found[CARL]["missing"][0]["reason"]
    assert found[DORA]["missing"][0]["reason"] == "no project matches"


def test_nothing_is_made_and_no_number_is_given(service: Service) -> None:
    before = service.items(*STUDIES[:4])
    assert service.items(*STUDIES[:4]) == before
    assert service.runtime.ledger.find(ANNA) is None
    with service.runtime.database.connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM crosswalk").scalar() == 0


def test_the_pseudonym_of_a_list_is_shown(service: Service) -> None:
    service.archive.add(ELSA, "US", attributes(5))
    service.runtime.origins.note("1.2.77.5", Origin(project="rest", pseudonym="L9"))
    (found,) = service.items(ELSA)
    del service.archive.held[ELSA]
    assert (found["project"], found["why"], found["pseudonym"]) == ("rest", "named by its list", "L9")


def test_all_new_studies_are_told_page_after_page(service: Service) -> None:
    seen, cursor = [], None
    for _ in range(5):
        page = service.ask(limit=1, cursor=cursor).json()
        seen += [item["source"] for item in page["items"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert list(dict.fromkeys(seen)) == STUDIES[:4]
    only = service.ask(project="rest").json()["items"]
    assert {item["project"] for item in only} <= {"rest"}


def test_without_the_role_no_answer_names_a_patient(service: Service) -> None:
    told = service.ask(studies=STUDIES[:5]).text
    assert not [marker for marker in MARKERS if marker in told]
    refused = service.ask(studies=[ANNA], identified=True, reason="review")
    assert refused.status_code == 403
    assert "MRN" not in refused.text


def test_whoever_has_the_role_gets_identities_for_a_reason_that_is_recorded(service: Service) -> None:
    assert service.ask("ada", studies=[ANNA], identified=True).status_code == 422
    first = service.ask("ada", studies=[ANNA], identified=True, reason="review of November").json()["items"][0]
    assert (first["mrn"], first["accession_num"]) == ("MRN-7701", "ACC-5501")
    records = service.runtime.audit.page(what="looked-up", newest=True, limit=2)[::-1]
    assert [(each.actor, each.project, json.loads(each.detail)["asked"]) for each in records] == [
        ("ada", "brains", 1), ("ada", "rest", 1),
    ]  # fmt: skip
    keyring = service.runtime.keyring
    assert {open_reason(keyring, each.detail, each.project) for each in records} == {"review of November"}
    assert not [marker for marker in MARKERS for each in records if marker in each.detail]


@pytest.mark.parametrize("body", [{"project": "none"}, {"studies": ["MRN-7701"]}, {"studies": []}, {"limit": 0}])
def test_a_wrong_question_is_refused(service: Service, body: dict[str, object]) -> None:
    assert service.ask(**body).status_code == 422


@pytest.fixture
def run(service: Service, monkeypatch: pytest.MonkeyPatch) -> Any:  # noqa: ANN401  # a function
    """Answer what runs the command against the application."""

    def ask(self: server.Server, method: str, path: str, query: Any, body: Any = None) -> requests.Response:  # noqa: ANN401, ARG001
        headers = {"X-Deid-Secret": SECRET, "X-Deid-User": "ada"}
        told = service.client.request(method, path, json=body, headers=headers)
        answer = requests.Response()
        answer.status_code, answer._content = told.status_code, told.content  # noqa: SLF001  # as requests does
        return answer

    monkeypatch.setattr(server.Server, "_ask", ask)
    monkeypatch.setenv("ORTHANC_DEID_PASSWORD", "x")

    def invoke(*words: str, lines: str = "") -> Result:
        return CliRunner().invoke(commands.main, list(words), input=lines, catch_exceptions=False)

    return invoke


def test_the_command_prints_a_line_for_each_and_ends_with_3_where_something_is_missing(run: Any) -> None:  # noqa: ANN401
    done = run("validate", "-", lines=f"{ANNA}\n{DORA}\n")
    assert done.exit_code == 3
    lines = done.stdout.splitlines()
    assert lines[0].split() == [ANNA, "brains", "C100", "1234d_B_brain_09h15m"]
    assert lines[1].split()[:3] == [ANNA, "rest", "P000+"]
    assert lines[2].endswith("no project: no project matches")
    assert not [marker for marker in MARKERS if marker in done.output]
    assert "3 looked at, 1 with something missing" in done.stderr
    assert run("validate", ANNA).exit_code == 0
    assert len(run("--json", "validate", "--new", "--limit", "1").stdout.splitlines()) == 2


@pytest.mark.parametrize("words", [(), ("--new", ANNA), ("--new", "--csv", "x")])
def test_a_command_that_does_not_say_what_is_refused(run: Any, words: tuple[str, ...]) -> None:  # noqa: ANN401
    assert run("validate", *words).exit_code == 2


def test_the_tables_name_patients_for_their_owner_alone(run: Any, tmp_path: Path) -> None:  # noqa: ANN401
    out = tmp_path / "tables"
    for _ in range(2):
        done = run("validate", "--new", "--csv", str(out), "--reason", "review")
        assert done.exit_code == 3
        assert not [marker for marker in MARKERS if marker in done.output]
    names = sorted(path.name for path in out.iterdir())
    assert len(names) == 8
    assert sum(name.endswith("_1.csv") for name in names) == 4
    assert {name.partition("_20")[0] for name in names} == {
        "sub_mapping", "missing_subject_ids", "missing_sessions", "missing_projects",
    }  # fmt: skip
    assert {stat.S_IMODE(path.stat().st_mode) for path in out.iterdir()} == {0o600}
    rows = read(out, "sub_mapping")
    assert rows[0] == {
        "mrn": "MRN-7701", "accession_num": "ACC-5501", "subject": "C100", "session_label": "1234d_B_brain_09h15m",
        "project": "brains", "fw_proj": "", "pseudonym": "C100", "study": ANNA,
    }  # fmt: skip
    assert [row["accession_num"] for row in read(out, "missing_sessions")] == ["ACC-5502"]
    assert [row["accession_num"] for row in read(out, "missing_subject_ids")] == ["ACC-5503"]


def test_tables_that_are_not_finished_leave_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyError), mapping_sheets.Sheets(tmp_path / "out") as sheets:
        sheets.add({})
    assert list((tmp_path / "out").iterdir()) == []


def read(folder: Path, name: str) -> list[dict[str, str]]:
    path = min(folder.glob(f"{name}_*.csv"), key=lambda each: len(each.name))
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_diagnosis_that_names_no_project_is_missing(tmp_path: Path) -> None:
    table = tmp_path / "diagnoses.csv"
    table.write_text(
        "CBTN Subject ID,Diagnosis,Age at Diagnosis\nC100,Medulloblastoma,100\nC200,Unheard,1\n", encoding="utf-8"
    )
    deid = DEID.replace("    also: [rest]\n", "    destinations: [fw]\n").replace("{required: true}", "{}") + (
        f"destinations:\n  - {{name: fw, kind: flywheel, group: lab, api_key_env: K, diagnoses: {{table: {table}}}}}\n"
    )
    service = Service(tmp_path, deid)
    anna, beat = service.items(ANNA, BEAT)
    assert (anna["diagnosis_project"], anna["missing"]) == ("Medullo_v2", [])
    assert [each["what"] for each in beat["missing"]] == ["diagnosis"]
    assert "Unheard" not in json.dumps(beat)
    service.runtime.queue.close()
    service.runtime.database.dispose()


def test_a_list_that_cannot_be_read_is_told_and_nobody_is_called_missing(tmp_path: Path) -> None:
    service = Service(tmp_path)
    (tmp_path / "map.csv").unlink()
    told = service.ask(studies=[ANNA])
    assert told.status_code == 503
    assert "file of pseudonyms" in told.json()["detail"]
    service.runtime.queue.close()
    service.runtime.database.dispose()
