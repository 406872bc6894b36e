import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from conftest import NewOrthanc
from orthanc_deid.cli import doctor
from servers import OrthancServer, free_port

DICOMWEB = "libOrthancDicomWeb.so"


class Asking:
    """`doctor` beside one Orthanc, with one destination."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.home = folder / "product"
        self.home.mkdir()
        self.file = folder / "doctor.yaml"
        monkeypatch.setenv("ORTHANC_DEID_HOME", str(self.home))
        monkeypatch.setenv("ORTHANC_DEID_CONFIG", str(self.file))
        monkeypatch.delenv("ORTHANC_DEID_DATABASE_URL", raising=False)

    def __call__(self, destination: str, server: OrthancServer | None = None, check: str = "to x") -> tuple[bool, str]:
        self.file.write_text(f"destinations: [{{name: x, {destination}}}]\n")
        url = server.url if server else f"http://127.0.0.1:{free_port()}"
        results = doctor.diagnose(url, "admin", server.home / "admin-password" if server else None)
        [found] = [result for result in results if result.check == check]
        return found.ok, found.detail


@pytest.fixture
def ask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Asking:
    return Asking(tmp_path, monkeypatch)


def web(server: OrthancServer, more: str = "") -> str:
    login = f"username: admin, password_file: {server.home / 'admin-password'}"
    return f"kind: dicomweb, url: '{server.url}/dicom-web/', {login}{more}"


def test_a_dicomweb_server_and_a_dicom_node_answer_through_our_orthanc(ask: Asking, new_orthanc: NewOrthanc) -> None:
    server = new_orthanc(plugins=[DICOMWEB]).start()
    assert ask(web(server), server) == (True, "answers QIDO-RS")
    node = f"kind: dicom, ae: {server.name}, host: 127.0.0.1, port: {server.dicom_port}"
    assert ask(node, server) == (True, "answers C-ECHO and C-FIND")


def test_a_missing_dicomweb_plugin_is_named_where_the_kind_needs_it(ask: Asking, new_orthanc: NewOrthanc) -> None:
    server, there = new_orthanc().start(), new_orthanc(plugins=[DICOMWEB]).start()
    ok, detail = ask(web(there), server)
    assert (ok, "install the package orthanc-dicomweb" in detail) == (False, True)
    assert ask(web(there, ", sent_by: worker"), server) == (True, "answers QIDO-RS")


def test_an_orthanc_that_is_down_is_named_by_the_kinds_that_send_through_it(ask: Asking) -> None:
    ok, detail = ask(f"kind: dicom, ae: X, host: 127.0.0.1, port: {free_port()}")
    assert (ok, detail.partition(" (")[0]) == (False, "Orthanc cannot be reached")


def test_dcmtk_is_missed_where_the_kind_needs_it(ask: Asking, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    karnak = f"kind: karnak, dicom: {{ae: KARNAK, host: 127.0.0.1, port: {free_port()}}}"
    assert "does not answer" in ask(karnak)[1]
    monkeypatch.setattr(doctor, "DCMTK", str(tmp_path))
    assert ask(karnak) == (False, "echoscu is not there: install the package dcmtk")


WITHOUT = """
import sys
sys.modules["s3fs"] = None
from orthanc_deid.cli import doctor
print([result.detail for result in doctor.diagnose("http://127.0.0.1:1", "admin", None) if result.check == "to x"])
"""


def test_a_library_that_is_not_installed_is_named(ask: Asking, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret\n")
    keys = f"access_key_id: KEY, secret_access_key_file: {tmp_path / 'secret'}, region: eu-central-1"
    ask.file.write_text(f"destinations: [{{name: x, kind: object-store, url: 's3://bucket/prefix', {keys}}}]\n")
    # A process of its own: what this one has imported stays imported.
    told = subprocess.run([sys.executable, "-c", WITHOUT], capture_output=True, text=True, timeout=60, check=False)
    assert told.stdout == "['the library s3fs is not installed: ./run setup']\n", told.stderr


def test_a_folder_is_written_to(ask: Asking, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    assert ask(f"kind: folder, path: {tmp_path / 'out'}")[0]
    ok, detail = ask(f"kind: folder, path: {tmp_path / 'none'}")
    assert (ok, str(tmp_path) in detail) == (False, False)


@contextmanager
def small_disk(path: Path) -> Iterator[None]:
    path.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(path)], capture_output=True, timeout=20, check=False
    )
    if mounted.returncode:
        pytest.skip("only root may mount a small disk")
    try:
        yield
    finally:
        subprocess.run(["umount", str(path)], timeout=20, check=True)


def test_results_on_a_disk_of_their_own_need_room_too(ask: Asking, tmp_path: Path) -> None:
    folder = f"kind: folder, path: {tmp_path}"
    assert ask(folder, check="disk")[0]
    with small_disk(ask.home / "results"):
        assert ask(folder, check="disk") == (False, "0 MiB free in the folder of results")
