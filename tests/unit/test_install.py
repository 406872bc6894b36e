import json
import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from orthanc_deid import install, settings
from orthanc_deid.errors import ConfigurationError

MakeSite = Callable[..., settings.Settings]


@pytest.fixture
def make_site(tmp_path: Path) -> MakeSite:
    def make(**extra: str) -> settings.Settings:
        return settings.load({"ORTHANC_DEID_HOME": str(tmp_path / "home"), **extra})

    return make


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_first_start_makes_secrets_that_only_their_owner_reads(make_site: MakeSite) -> None:
    site = make_site()
    install.prepare(site, "product")
    assert len(bytes.fromhex(site.key_file.read_text())) == 32
    assert len(site.admin_password_file.read_text().strip()) >= 20
    for folder, _, files in os.walk(site.home):
        assert mode(Path(folder)) == 0o700
        assert all(mode(Path(folder, name)) == 0o600 for name in files)


def test_the_second_start_changes_nothing(make_site: MakeSite) -> None:
    site = make_site()
    install.prepare(site, "product")
    before = {p: p.read_bytes() for p in site.home.iterdir() if p.is_file()}
    install.prepare(site, "product")
    assert {p: p.read_bytes() for p in site.home.iterdir() if p.is_file()} == before


def test_orthanc_gets_ports_folders_user_and_script(make_site: MakeSite) -> None:
    site = make_site(ORTHANC_DEID_HTTP_PORT="18042", ORTHANC_DEID_DICOM_PORT="14242")
    values = json.loads(install.prepare(site, "product").read_text())
    assert (values["HttpPort"], values["DicomPort"]) == (18042, 14242)
    assert values["StorageDirectory"] == str(site.home / "storage")
    assert values["RegisteredUsers"] == {"admin": site.admin_password_file.read_text().strip()}
    assert values["PythonScript"].endswith("plugin/main.py")
    assert values["Plugins"][0].endswith("libOrthancPython.so")
    assert values["AuthenticationEnabled"]
    assert not values["RemoteAccessAllowed"]
    assert not values["OverwriteInstances"]
    assert values["StableAge"] == 60


def test_an_archive_has_no_plugin_of_ours_and_no_key(make_site: MakeSite) -> None:
    site = make_site()
    values = json.loads(install.prepare(site, "archive").read_text())
    assert "PythonScript" not in values
    assert not any("Python" in plugin for plugin in values["Plugins"])
    assert not site.key_file.exists()


def test_a_worker_on_another_machine_gets_its_own_user(make_site: MakeSite, tmp_path: Path) -> None:
    (tmp_path / "password").write_text("of the worker\n")
    site = make_site(
        ORTHANC_DEID_ORTHANC_USERNAME="deid-worker", ORTHANC_DEID_ORTHANC_PASSWORD_FILE=str(tmp_path / "password")
    )
    values = json.loads(install.prepare(site, "product").read_text())
    assert values["RegisteredUsers"]["deid-worker"] == "of the worker"


def test_a_lost_key_stops_the_start_where_pseudonyms_were_given(make_site: MakeSite) -> None:
    site = make_site()
    install.prepare(site, "product")
    (site.home / "deid.sqlite").touch()
    site.key_file.unlink()
    with pytest.raises(ConfigurationError, match="backup"):
        install.prepare(site, "product")
    assert not site.key_file.exists()


def test_a_damaged_key_stops_the_start(make_site: MakeSite) -> None:
    site = make_site()
    install.prepare(site, "product")
    site.key_file.write_text("half\n")
    with pytest.raises(ConfigurationError, match="64"):
        install.prepare(site, "product")


def test_a_secret_that_others_could_read_is_closed(make_site: MakeSite) -> None:
    site = make_site()
    install.prepare(site, "product")
    site.key_file.chmod(0o644)
    install.prepare(site, "product")
    assert mode(site.key_file) == 0o600


def test_a_template_beside_the_configuration_file_wins(make_site: MakeSite, tmp_path: Path) -> None:
    (tmp_path / "deid.yaml").touch()
    (tmp_path / "orthanc.json").write_text('{"StableAge": 7}')
    site = make_site(ORTHANC_DEID_CONFIG=str(tmp_path / "deid.yaml"))
    assert json.loads(install.prepare(site, "product").read_text())["StableAge"] == 7


def test_a_mistake_in_the_template_is_named_by_its_line(make_site: MakeSite, tmp_path: Path) -> None:
    (tmp_path / "deid.yaml").touch()
    (tmp_path / "orthanc.json").write_text('{\n"StableAge": seven}')
    with pytest.raises(ConfigurationError, match=r"^orthanc\.json:2:"):
        install.prepare(make_site(ORTHANC_DEID_CONFIG=str(tmp_path / "deid.yaml")), "product")


def test_a_port_in_use_is_named_with_its_variable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(ConfigurationError, match=f"port {port} is in use.*ORTHANC_DEID_HTTP_PORT=") as caught:
            install.check_ports({"ORTHANC_DEID_HTTP_PORT": port})
    assert "left alone" in str(caught.value)


def test_a_free_port_passes() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
    install.check_ports({"ORTHANC_DEID_HTTP_PORT": port})


def test_a_wrong_setting_ends_the_start_with_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("ORTHANC_DEID_HOME", str(tmp_path))
    monkeypatch.setenv("ORTHANC_DEID_HTTP_PORT", "eighty")
    assert install.main([]) == 2
    assert capsys.readouterr().err == "ORTHANC_DEID_HTTP_PORT: not a whole number\n"
