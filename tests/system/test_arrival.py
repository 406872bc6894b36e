"""De-identification on arrival: whatever is sent, and however, Orthanc never stores what identifies."""

import io
import json
import shutil
import subprocess
import threading
import time
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
import requests

from conftest import NewOrthanc
from instances import instance
from made_objects import everything
from objects import MARKER, PATIENT, ROOT, written
from orthanc_deid.confidentiality.pseudonyms import Patient, Pseudonyms
from orthanc_deid.database import open_database
from orthanc_deid.database.crosswalk import Crosswalk, Identity
from orthanc_deid.database.crosswalk_tables import INSTANCE
from orthanc_deid.keyring import Keyring
from orthanc_deid.steps.subject import orthanc_id
from servers import MAIN, OrthancServer, wait_for
from studies import Person, ct_instance, ct_study

DEID = "intake: {on_arrival: true, reconcile_s: 0.5}\n"
STOW = "libOrthancDicomWeb.so"
PRIVATE_SYNTAX = (b"1.2.840.10008.1.2.1\0", b"1.2.840.99999.1.2.1\0")


@pytest.fixture
def server(new_orthanc: NewOrthanc) -> OrthancServer:
    return started(new_orthanc)


def started(new_orthanc: NewOrthanc, deid: str = DEID, **more: object) -> OrthancServer:
    return new_orthanc(script=MAIN, deid=deid, **more).start()


def to_files(folder: Path, dicoms: Iterable[bytes]) -> list[Path]:
    """Write instances outside of everything that Orthanc has."""
    folder.mkdir(exist_ok=True)
    paths = []
    for number, dicom in enumerate(dicoms):
        paths.append(folder / f"{number:04}.dcm")
        paths[-1].write_bytes(dicom)
    return paths


def quarantined(server: OrthancServer) -> list[str]:
    incoming = server.home / "quarantine" / "incoming"
    return sorted(str(json.loads(path.read_text())["reason"]) for path in incoming.glob("*.json"))


def holding(server: OrthancServer, markers: Iterable[str]) -> dict[str, list[str]]:
    """Name every file of that Orthanc and its plugin, quarantine aside, that holds a marker."""
    found = {}
    for path in server.folder.rglob("*"):
        if path.is_file() and server.home / "quarantine" not in path.parents:
            data = path.read_bytes()
            if left := [marker for marker in markers if marker.encode() in data]:
                found[str(path.relative_to(server.folder))] = left
    return found


def answers(server: OrthancServer) -> bytes:
    """Answer all that Orthanc and the plugin tell of what is stored."""
    paths = ["/patients?expand", "/studies?expand", "/series?expand", "/changes", "/exports", "/deid/studies"]
    for stored in server.instances():
        paths += [f"/instances/{stored}/{kind}" for kind in ("tags", "header", "metadata?expand", "file")]
    return b"".join(server.get(path).content for path in paths)


def zipped(dicoms: Iterable[bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for number, dicom in enumerate(dicoms):
            archive.writestr(f"{number}.dcm", dicom)
    return packed.getvalue()


def stow(server: OrthancServer, dicom: bytes) -> requests.Response:
    body = b"\r\n".join((b"--X", b"Content-Type: application/dicom", b"", dicom, b"--X--", b""))
    kind = "multipart/related; type=application/dicom; boundary=X"
    return server.post("/dicom-web/studies", data=body, headers={"Content-Type": kind})


def test_no_marker_is_anywhere_in_an_orthanc_that_was_sent_identified_studies(
    new_orthanc: NewOrthanc, tmp_path: Path
) -> None:
    server = started(new_orthanc, plugins=[STOW])
    one, two, three, four = (Person(number) for number in range(1, 5))
    assert server.c_store(*to_files(tmp_path / "sent", ct_study(one, 5))).returncode == 0
    assert {server.upload(dicom).json()["Status"] for dicom in ct_study(two, 5)} == {"Success"}
    assert {each["Status"] for each in server.post("/instances", data=zipped(ct_study(three, 5))).json()} == {"Success"}
    assert stow(server, ct_instance(four)).ok
    wait_for(lambda: len(server.get("/deid/studies").json().get("items", [])) == 4, 60, "all studies are seen")
    assert len(server.instances()) == 16
    markers = {marker for person in (one, two, three, four) for marker in person.markers}
    told = answers(server)
    assert [marker for marker in markers if marker.encode() in told] == []
    server.stop()
    assert holding(server, markers) == {}
    server.start()
    assert len(server.instances()) == 16


def test_every_kind_of_object_is_stored_without_its_markers(server: OrthancServer) -> None:
    hidden = (MARKER, "Qponmlk", PATIENT.patient_id, "MRN-770002", "ACC-550001", "SID-0001", ROOT, "19630417")
    status = {name: server.upload(written(ds)).json()["Status"] for name, ds in everything().items()}
    assert set(status.values()) == {"Success"}, (status, quarantined(server))
    told = answers(server)
    assert [marker for marker in hidden if marker.encode() in told] == []
    server.stop()
    assert holding(server, hidden) == {}


def test_ids_are_those_of_the_pipeline_in_every_orthanc_with_the_same_key(new_orthanc: NewOrthanc) -> None:
    person = Person(5)
    first, second = started(new_orthanc), new_orthanc(script=MAIN, deid=DEID)
    (second.home / "key").write_bytes((first.home / "key").read_bytes())
    shutil.copytree(first.home / "keys", second.home / "keys", dirs_exist_ok=True)
    second.start()
    pseudonyms = Pseudonyms(Keyring(first.home, {}).project("default"))
    uids = (f"{ROOT}.5.1", f"{ROOT}.5.1.1", f"{ROOT}.5.1.1.1")
    expected = orthanc_id(pseudonyms.patient_id(Patient("", person.PatientID)), *map(pseudonyms.uid, uids))
    answers = [server.upload(ct_instance(person)).json() for server in (first, second, second)]
    assert [answer["ID"] for answer in answers] == [expected] * 3
    assert [answer["Status"] for answer in answers] == ["Success", "Success", "AlreadyStored"]
    file = f"/instances/{expected}/file"
    assert first.get(file).content == second.get(file).content
    wait_for(lambda: first.get("/deid/health").ok, 30, "the service is ready")
    crosswalk = Crosswalk(open_database(f"sqlite:///{first.home / 'deid.sqlite'}"), Keyring(first.home, {}))
    wait_for(lambda: crosswalk.has("default", INSTANCE, uids[-1]), 30, "it is in the crosswalk")
    known = crosswalk.patient("default", Identity("", person.PatientID))
    assert known
    assert known.pseudonym == pseudonyms.patient_id(Patient("", person.PatientID))
    crosswalk.engine.dispose()


def test_what_cannot_be_deidentified_is_in_quarantine_and_nowhere_else(server: OrthancServer, tmp_path: Path) -> None:
    class Nobody(Person):
        PatientID = ""

    whole = ct_instance(Person(6))
    nobody = server.upload(ct_instance(Nobody(6)))
    unknown = server.upload(whole.replace(*PRIVATE_SYNTAX))
    assert [(a.status_code, a.json()["Status"]) for a in (nobody, unknown)] == [(200, "FilteredOut")] * 2
    cut = server.upload(whole[:-100])
    assert (cut.status_code, cut.json()["Message"]) == (400, "Bad file format")
    assert server.c_store(*to_files(tmp_path / "sent", [ct_instance(Nobody(7))])).returncode == 0
    assert quarantined(server) == [
        "it has no PatientID",
        "it has no PatientID",
        "the file does not say a transfer syntax of the standard",
        "the file ends inside an attribute",
    ]
    assert server.instances() == []
    assert server.upload(whole).json()["Status"] == "Success"
    server.stop()
    assert holding(server, (*Person(6).markers, *Nobody(7).markers[:2])) == {}


def test_the_sender_sees_a_failure_when_the_quarantine_cannot_be_written(server: OrthancServer, tmp_path: Path) -> None:
    class Nobody(Person):
        PatientID = ""

    (server.home / "quarantine").write_text("a file where the folder should be")
    assert server.upload(ct_instance(Nobody(8))).status_code == 400
    sent = server.c_store(*to_files(tmp_path / "sent", [ct_instance(Nobody(8))]))
    assert "OutOfResources" in sent.stdout + sent.stderr
    assert server.instances() == []


def test_values_that_break_the_rules_of_their_vr_are_not_in_the_log(server: OrthancServer) -> None:
    uid = f"{ROOT}.9.1\0".encode()
    broken = ct_instance(Person(9)).replace(uid, b"1.2.Zyxwvut009.MRN-770009\0".rjust(len(uid), b"1"))
    assert broken.count(b"Zyxwvut009.MRN") == 2
    assert server.upload(broken).status_code == 200
    other = ct_instance(Person(9), number=2).replace(uid, b"1.2.Zyxwvut009.MRN-770009\0".rjust(len(uid), b"1"))
    assert server.upload(other.replace(b"20200615", b"Xanadu09")).status_code == 200
    server.stop()
    assert holding(server, ("Zyxwvut", "MRN-", "Xanadu")) == {}


def test_without_a_key_orthanc_does_not_start_and_nothing_is_stored(new_orthanc: NewOrthanc, tmp_path: Path) -> None:
    server = new_orthanc(script=MAIN, deid=DEID)
    (server.home / "key").unlink()
    server.launch()
    assert server.process
    assert server.process.wait(30) != 0
    assert "the key cannot be read (FileNotFoundError)" in server.log()
    assert server.c_store(*to_files(tmp_path / "sent", [ct_instance(Person(10))])).returncode != 0
    assert holding(server, Person(10).markers) == {}


def test_our_mark_on_an_identified_instance_does_not_let_it_in(server: OrthancServer, tmp_path: Path) -> None:
    marked = instance(
        PatientName="Zyxwvut^Anna",
        PatientID="MRN-770011",
        PatientIdentityRemoved="YES",
        DeidentificationMethod=["Orthanc De-ID 0.1.0", "research 2 98e402cc60cc"],
    )
    assert server.upload(marked).json()["Status"] == "Success"
    assert server.c_store(*to_files(tmp_path / "sent", [marked])).returncode == 0
    assert len(server.instances()) == 1
    told = answers(server)
    assert [marker for marker in ("Zyxwvut", "Anna", "MRN-770011") if marker.encode() in told] == []


@pytest.mark.parametrize("action", ["modify", "anonymize"])
def test_orthancs_own_jobs_cannot_store_an_identity_either(server: OrthancServer, action: str) -> None:
    server.upload(ct_instance(Person(12)))
    [study] = server.studies()
    body = {"Replace": {"StudyDescription": "Zyxwvut012", "PatientName": "Zyxwvut012^Anna"}, "Force": True}
    if action == "modify":
        del body["Replace"]["PatientName"]  # type: ignore[attr-defined]  # of a study it may not be changed
    assert server.post(f"/studies/{study}/{action}", json=body, timeout=60).ok
    assert len(server.studies()) == 2
    assert b"Zyxwvut" not in answers(server)


def test_a_study_that_was_deidentified_on_arrival_is_delivered_and_a_late_instance_alone(
    new_orthanc: NewOrthanc, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    projects = f"""
projects:
  - {{name: mr, match: {{modality: [MR]}}}}
  - {{name: trial, match: {{modality: [CT]}}, destinations: [files]}}
destinations: [{{kind: folder, name: files, path: {out}}}]
"""
    server = started(new_orthanc, DEID + projects)
    first = server.upload(ct_instance(Person(13))).json()
    study = server.get(f"/instances/{first['ID']}/study").json()["ID"]

    def told() -> dict[str, Any]:
        return dict(server.get(f"/deid/studies/{study}").json())

    wait_for(lambda: told().get("status") == "done", 60, "it is delivered")
    assert (told()["project"], told()["output"]) == ("trial", study)
    assert told()["instances"] == {"received": 1, "deidentified": 1, "quarantined": 0}
    sent = {path: path.stat().st_mtime_ns for path in out.rglob("*.dcm")}
    assert len(sent) == 1
    server.upload(ct_instance(Person(13), number=2))
    wait_for(lambda: told().items() >= {"status": "done", "version": 2}.items(), 60, "the late one is delivered")
    assert len(list(out.rglob("*.dcm"))) == 2
    assert all(path.stat().st_mtime_ns == at for path, at in sent.items()), "the first is not sent again"
    assert not [path for path in out.rglob("*.dcm") if b"Zyxwvut" in path.read_bytes()]
    assert len(server.instances()) == 2


def test_kill_9_while_instances_arrive_loses_none_that_was_acknowledged(server: OrthancServer, tmp_path: Path) -> None:
    class Nobody(Person):
        PatientID = ""

    by_rest: list[dict[str, str]] = []
    rest = threading.Thread(target=_upload_until_gone, args=(server, Person(14), Nobody(15), by_rest))
    files = to_files(tmp_path / "sent", ct_study(Person(16), 400))
    command = ["dcmsend", "-v", "-aec", server.name, "127.0.0.1", str(server.dicom_port), *map(str, files)]
    with (tmp_path / "dcmsend.log").open("w") as log:
        sender = subprocess.Popen(command, stdout=log, stderr=log)
    rest.start()
    wait_for(lambda: len(by_rest) >= 30, 30)
    server.kill()
    rest.join(30)
    sender.wait(30)
    by_dicom = (tmp_path / "dcmsend.log").read_text().count("Received C-STORE Response (Success)")
    assert 0 < by_dicom < 400
    server.start()
    stored = set(server.instances())
    acknowledged = {answer["ID"] for answer in by_rest if answer["Status"] == "Success"}
    assert acknowledged <= stored
    assert len(stored) >= len(acknowledged) + by_dicom
    assert len(quarantined(server)) >= sum(answer["Status"] == "FilteredOut" for answer in by_rest) > 0
    server.stop()
    assert holding(server, {*Person(14).markers, *Person(16).markers}) == {}


def _upload_until_gone(server: OrthancServer, one: Person, nobody: Person, told: list[dict[str, str]]) -> None:
    for number in range(1, 400):
        try:
            told.append(server.upload(ct_instance(nobody if number % 5 == 0 else one, number=number)).json())
        except requests.RequestException:
            return


def test_our_routes_answer_while_instances_arrive(server: OrthancServer, tmp_path: Path) -> None:
    wait_for(lambda: server.get("/deid/health").ok, 60, "the service answers")
    files = to_files(tmp_path / "sent", ct_study(Person(17), 300))
    sent: list[int] = []
    sender = threading.Thread(target=lambda: sent.append(server.c_store(*files).returncode))
    sender.start()
    seconds = []
    while sender.is_alive():
        began = time.monotonic()
        assert server.get("/deid/studies").ok
        seconds.append(time.monotonic() - began)
    assert sent == [0]
    assert len(seconds) > 10
    assert max(seconds) < 2


def test_one_patient_sent_by_many_at_once_is_one_patient(server: OrthancServer) -> None:
    studies = [ct_study(Person(18), 10, study=number) for number in range(1, 5)]
    status: list[str] = []

    def send(dicoms: list[bytes]) -> None:
        session = requests.Session()
        session.auth = ("admin", server.password)
        status.extend(session.post(f"{server.url}/instances", data=d, timeout=30).json()["Status"] for d in dicoms)

    threads = [threading.Thread(target=send, args=(dicoms,)) for dicoms in studies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert status == ["Success"] * 40
    assert len(server.get("/patients").json()) == 1
    assert len(server.studies()) == 4


def test_switching_the_mode_on_keeps_the_pipeline_from_what_was_stored_before(
    new_orthanc: Callable[..., OrthancServer],
) -> None:
    server = started(new_orthanc, "intake: {automatic: false, reconcile_s: 0.5}\n")
    study = server.upload(ct_instance(Person(19))).json()["ParentStudy"]
    server.stop()
    server.deid_file.write_text(DEID)
    server.start()
    wait_for(lambda: server.get(f"/deid/studies/{study}").ok, 60, "it is known")
    assert server.post(f"/deid/studies/{study}/process").status_code == 409
    assert len(server.instances()) == 1


def test_what_changes_under_its_uids_is_compared_by_what_would_be_stored_of_it(server: OrthancServer) -> None:
    first = ct_instance(Person(1))
    stored = server.upload(first).json()["ID"]
    before = server.get(f"/instances/{stored}/file").content
    # Of another name nothing stays; of another kind of image all.
    assert server.upload(first.replace(b"Qponmlk001", b"Qponmlk00X")).json()["Status"] == "FilteredOut"
    wait_for(lambda: not list((server.home / "conflicts").glob("*")), 20, "the outputs are the same")
    assert server.get("/deid/conflicts").json()["items"] == []
    assert server.upload(first.replace(b"AXIAL", b"OTHER")).json()["Status"] == "FilteredOut"
    wait_for(lambda: server.get("/deid/conflicts").json()["items"], 20, "the outputs differ")
    [conflict] = server.get("/deid/conflicts").json()["items"]
    assert conflict["attributes"] == ["ImageType"]
    assert server.post(f"/deid/conflicts/{conflict['id']}", json={"keep": "arrived"}).status_code == 202
    wait_for(lambda: not server.get("/deid/conflicts").json()["items"], 5)
    wait_for(lambda: not list((server.home / "conflicts").glob("*")), 30, "it is carried out")
    after = server.get(f"/instances/{stored}/file").content
    assert (b"AXIAL" in before, b"OTHER" in after) == (True, True)
    assert not any(marker.encode() in after for marker in Person(1).markers)
