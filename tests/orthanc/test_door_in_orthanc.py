import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydicom.data import get_testdata_file

from conftest import NewOrthanc
from instances import instance
from made_objects import everything
from objects import MARKER, written
from servers import MAIN, OrthancServer


@pytest.fixture
def server(with_plugin: OrthancServer) -> Iterator[OrthancServer]:
    yield with_plugin
    shutil.rmtree(quarantine(with_plugin), ignore_errors=True)
    quarantine(with_plugin).unlink(missing_ok=True)
    for study in with_plugin.studies():
        with_plugin.request("DELETE", f"/studies/{study}")


def quarantine(server: OrthancServer) -> Path:
    return server.home / "quarantine" / "incoming"


def kept(server: OrthancServer) -> list[dict[str, object]]:
    return [json.loads(path.read_text()) for path in quarantine(server).glob("*.json")]


def file(folder: Path, dicom: bytes) -> Path:
    path = folder / "x.dcm"
    path.write_bytes(dicom)
    return path


def screen_save() -> bytes:
    return instance(ImageType=["DERIVED", "SECONDARY", "SCREEN SAVE"]).replace(b"SCREEN SAVE", b"Screen Save")


def test_the_plugin_loads_without_an_error(server: OrthancServer) -> None:
    assert "python" in server.get("/plugins").json()
    loading = server.log().partition("Orthanc has started")[0]
    assert "Traceback" not in loading
    assert [line for line in loading.splitlines() if line.startswith("E")] == []


def test_an_instance_comes_in_by_rest_and_by_dicom(server: OrthancServer, tmp_path: Path) -> None:
    assert server.upload(instance()).json()["Status"] == "Success"
    assert server.c_store(file(tmp_path, instance())).returncode == 0
    assert len(server.instances()) == 2
    assert kept(server) == []


@pytest.mark.parametrize("name", ["CT_small.dcm", "JPEG2000.dcm", "image_dfl.dcm", "rtplan.dcm", "reportsi.dcm"])
def test_each_kind_of_instance_comes_in_unchanged(server: OrthancServer, name: str) -> None:
    path = get_testdata_file(name)
    assert isinstance(path, str)
    dicom = Path(path).read_bytes()
    answer = server.upload(dicom).json()
    assert answer["Status"] == "Success"
    assert server.get(f"/instances/{answer['ID']}/file").content == dicom


def test_a_screen_save_by_rest_is_in_quarantine_and_not_in_orthanc(server: OrthancServer) -> None:
    dicom = screen_save()
    answer = server.upload(dicom)
    assert (answer.status_code, answer.json()["Status"]) == (200, "FilteredOut")
    assert server.instances() == []
    [about] = kept(server)
    assert (about["reason"], about["rule"], about["origin"]) == ("refused by a rule", "screen-save", "REST_API")
    assert [path.read_bytes() for path in quarantine(server).glob("*.dcm")] == [dicom]


def test_a_screen_save_by_dicom_is_in_quarantine_and_not_in_orthanc(server: OrthancServer, tmp_path: Path) -> None:
    assert server.c_store(file(tmp_path, screen_save())).returncode == 0
    assert server.instances() == []
    [about] = kept(server)
    assert (about["rule"], about["origin"]) == ("screen-save", "DICOM_PROTOCOL")


@pytest.mark.parametrize("data", [b"x", b"not dicom " * 200, bytes(1000)])
def test_the_rest_sender_of_what_is_no_dicom_is_told_so(server: OrthancServer, data: bytes) -> None:
    answer = server.upload(data)
    assert (answer.status_code, answer.json()["Message"]) == (400, "Bad file format")
    assert kept(server) == []
    assert server.upload(instance()).json()["Status"] == "Success"


def test_the_rest_sender_of_a_truncated_file_is_told_so(server: OrthancServer) -> None:
    answer = server.upload(instance(rows=256)[:20000])
    assert (answer.status_code, answer.json()["Message"]) == (400, "Bad file format")
    assert server.upload(instance()).json()["Status"] == "Success"


def test_a_file_cut_inside_its_header_is_in_quarantine_or_refused(server: OrthancServer) -> None:
    for length in (133, 150, 200, 300, 340):
        answer = server.upload(instance()[:length])
        assert answer.status_code == 400 or answer.json()["Status"] == "FilteredOut"
    assert server.instances() == []
    assert server.upload(instance()).json()["Status"] == "Success"


def test_broken_files_by_dicom_leave_orthanc_at_work(server: OrthancServer, tmp_path: Path) -> None:
    whole = tmp_path / "whole.dcm"
    whole.write_bytes(instance())
    for data in (b"x", b"not dicom " * 200, instance(rows=256)[:20000], instance()[:340]):
        server.c_store(file(tmp_path, data))  # DCMTK itself may refuse to send it
        assert server.c_store(whole).returncode == 0
    assert len(server.instances()) == 1


def test_the_sender_sees_a_failure_when_the_quarantine_cannot_be_written(server: OrthancServer, tmp_path: Path) -> None:
    quarantine(server).parent.mkdir(exist_ok=True)
    quarantine(server).write_text("a file where the folder should be")
    assert server.upload(screen_save()).status_code == 400
    sent = server.c_store(file(tmp_path, screen_save()))
    assert "OutOfResources" in sent.stdout + sent.stderr
    assert server.instances() == []
    assert server.upload(instance()).json()["Status"] == "Success"


def test_no_compiled_library_of_our_environment_is_in_orthancs_process(server: OrthancServer) -> None:
    assert server.upload(instance()).json()["Status"] == "Success"
    maps = Path(f"/proc/{server.pid}/maps").read_text()
    assert "libOrthancPython" in maps
    assert "site-packages" not in maps


ON_ARRIVAL = "intake: {on_arrival: true}\nprojects: [{name: default, profile: documents}]\n"
CLEAN_DOCUMENTS = 'name: documents\nversion: "1"\ntitle: T\nbased_on: research\ndocuments: clean\n'
# main.py, and a route that tells what is loaded into Orthanc's process.
PROBE = f"""
import json, sys
import orthanc
sys.path.insert(0, {str(MAIN.parent)!r})
import main
orthanc.RegisterRestCallback("/modules", lambda output, uri, **request: output.AnswerBuffer(
    json.dumps(sorted(sys.modules)), "application/json"))
"""


def test_deidentification_on_arrival_works_without_numpy_in_orthancs_process(
    new_orthanc: NewOrthanc, tmp_path: Path, python_with_stub: Path
) -> None:
    (tmp_path / "probe.py").write_text(PROBE)
    (tmp_path / "there" / "numpy").mkdir(parents=True)
    (tmp_path / "there" / "numpy" / "__init__.py").touch()  # one that could be loaded, as where Debian's is installed
    environment = {"PYTHONPATH": str(tmp_path / "there"), "ORTHANC_DEID_PYTHON": str(python_with_stub)}
    server = new_orthanc(script=tmp_path / "probe.py", deid=ON_ARRIVAL, environment=environment)
    (server.folder / "profiles").mkdir()
    (server.folder / "profiles" / "documents.yaml").write_text(CLEAN_DOCUMENTS)
    server.start()
    answers = {name: server.upload(written(ds)).json() for name, ds in everything().items()}
    assert {name: answer["Status"] for name, answer in answers.items() if answer["Status"] != "Success"} == {}
    stored = server.get(f"/instances/{answers['pdf']['ID']}/file").content
    assert b"%PDF" in stored
    assert MARKER.encode() not in stored
    modules = {name.partition(".")[0] for name in server.get("/modules").json()}
    assert {"pydicom", "pydantic", "pypdf"} <= modules
    assert {"numpy", "yaml", "PIL", "requests", "sqlalchemy", "dbos"} & modules == set()


UIDS: dict[str, Any] = {"SOPInstanceUID": "1.2.3.4.5", "StudyInstanceUID": "1.2.3", "SeriesInstanceUID": "1.2.3.4"}


def test_an_instance_that_changed_under_its_uids_is_put_aside_and_what_is_stored_stays(
    server: OrthancServer, tmp_path: Path
) -> None:
    first, changed = instance(**UIDS), instance(**UIDS, SeriesNumber=7)
    stored = server.upload(first).json()["ID"]
    assert server.upload(first).json()["Status"] == "AlreadyStored"
    assert server.c_store(file(tmp_path, changed)).returncode == 0
    assert server.upload(changed).json()["Status"] == "FilteredOut"
    assert server.get(f"/instances/{stored}/file").content == first
    [aside] = (server.home / "conflicts").glob("*.json")
    assert json.loads(aside.read_text())["origin"] == "DICOM_PROTOCOL"
    server.request("DELETE", f"/instances/{stored}")
    assert server.upload(first).json()["Status"] == "Success"


def test_with_overwriting_what_is_stored_is_not_replaced_by_what_changed(
    new_orthanc: NewOrthanc, python_with_stub: Path
) -> None:
    environment = {"ORTHANC_DEID_PYTHON": str(python_with_stub)}
    server = new_orthanc(script=MAIN, environment=environment, configuration={"OverwriteInstances": True}).start()
    first = instance(**UIDS)
    stored = server.upload(first).json()["ID"]
    assert server.upload(instance(**UIDS, SeriesNumber=7)).json()["Status"] == "FilteredOut"
    assert server.get(f"/instances/{stored}/file").content == first


def test_an_orthanc_that_cannot_compare_lets_instances_in(new_orthanc: NewOrthanc, python_with_stub: Path) -> None:
    server = new_orthanc(script=MAIN, environment={"ORTHANC_DEID_PYTHON": str(python_with_stub)})
    (server.home / "seen.sqlite").mkdir()
    server.start()
    assert [server.upload(instance()).json()["Status"] for _ in range(2)] == ["Success", "Success"]
    assert server.log().count("repeated instances are not compared") == 1
