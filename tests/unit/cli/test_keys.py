"""Keys: what the service tells of them, and what the commands show."""

import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import update

from http_servers import Handler, HttpServer, Received
from orthanc_deid.cli import keys
from orthanc_deid.cli.commands import main
from orthanc_deid.database.crosswalk import Identity, Known
from orthanc_deid.database.crosswalk_tables import crosswalk
from service_calls import Service

MASTER = "00" * 32  # of service_calls


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    made = Service(tmp_path)
    yield made
    made.runtime.rotation.stop()
    made.close()


@pytest.fixture
def filled(service: Service) -> Service:
    for number in range(20):
        service.runtime.crosswalk.assign("default", Known(0, Identity("", f"MRN-{number}"), f"P{number}"))
    return service


class Near:
    """The service itself behind a socket, as Orthanc stands before it."""

    def __init__(self, server: HttpServer, service: Service) -> None:
        self.url, self._service = server.url, service
        server.always = self._answer

    def _answer(self, handler: Handler, received: Received) -> None:
        told = self._service.ask(received.method, received.path, user=b"operator")
        handler.reply(told.status, json.dumps(told.body).encode())

    def __call__(self, *words: str) -> Result:
        return CliRunner().invoke(main, ["--url", self.url, *words], prog_name="orthanc-deid")


@pytest.fixture
def run(filled: Service, monkeypatch: pytest.MonkeyPatch) -> Iterator[Near]:
    monkeypatch.setenv("ORTHANC_DEID_PASSWORD", "secret")
    monkeypatch.setattr(keys, "LOOK_S", 0.05)
    with HttpServer() as server:
        yield Near(server, filled)


def ended(service: Service) -> Any:  # noqa: ANN401  # JSON
    for _ in range(200):
        told = service.ask("GET", "/deid/keys").body
        if not told["rotation"]["runs"]:
            return told
        time.sleep(0.05)
    raise AssertionError("the rotation does not end")


def test_all_is_well_with_keys_that_fit(run: Near) -> None:
    done = run("keys", "check")
    assert done.exit_code == 0, done.output
    lines = done.output.splitlines()
    assert lines[:3] == ["master key: the file key", "here     project default", "here     crosswalk-1: 20 rows"]
    assert {"0600     key", "0700     keys", "0600     keys/project-default"} <= set(lines)
    assert json.loads(run("--json", "keys", "check").output)["generations"] == [
        {"number": 1, "state": "here", "rows": 20}
    ]


def test_a_rotation_encrypts_all_and_destroys_the_old_key(run: Near, filled: Service, tmp_path: Path) -> None:
    done = run("keys", "rotate")
    assert done.exit_code == 0, done.output
    assert "crosswalk-2: 20 rows encrypted, 0 left, crosswalk-1 destroyed" in done.output
    assert sorted(path.name for path in (tmp_path / "keys").iterdir()) == ["crosswalk-2", "project-default"]
    assert run("keys", "check").exit_code == 0
    found = filled.runtime.crosswalk.patient("default", Identity("", "MRN-7"))
    assert found is not None
    assert found.pseudonym == "P7"
    assert json.loads(run("--json", "keys", "rotate", "--no-wait").output)["generation"] == 3
    assert ended(filled)["ok"]


def test_a_key_that_is_gone_is_told_everywhere_and_never_made_anew(run: Near, filled: Service, tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "keys")
    done = run("keys", "check")
    assert done.exit_code == 1
    assert "wrong    project default" in done.output
    assert "mount the folder, or bring project-default back from a backup" in done.output
    assert "project-default is not in the folder" in filled.ask("GET", "/deid/health").body["checks"]["keys"]
    assert run("keys", "rotate").exit_code == 1
    assert not (tmp_path / "keys").exists()


def test_another_key_and_an_open_file_are_told(run: Near, tmp_path: Path) -> None:
    (tmp_path / "keys").chmod(0o755)
    assert "keys can be read by others: chmod 0700 it" in run("keys", "check").output
    (tmp_path / "keys").chmod(0o700)
    (tmp_path / "keys" / "crosswalk-1").write_text("77" * 32)
    done = run("keys", "check")
    assert done.exit_code == 1
    assert "wrong    crosswalk-1: 20 rows" in done.output


def test_a_row_that_does_not_open_is_counted_and_its_key_kept(run: Near, filled: Service) -> None:
    with filled.runtime.database.begin() as connection:
        connection.execute(update(crosswalk).where(crosswalk.c.id == 3).values(sealed=b"changed" * 9))
    done = run("keys", "rotate")
    assert done.exit_code == 1
    assert "stopped: 1 rows do not open" in done.output
    assert filled.runtime.keyring.generations() == [1, 2]


def test_a_service_that_was_killed_goes_on_with_its_rotation(filled: Service) -> None:
    filled.runtime.rotation.rotation.begin("operator")
    filled.runtime.rotation.resume()
    told = ended(filled)
    assert (told["rotation"]["done"], told["rotation"]["retired"], told["ok"]) == (20, [1], True)


def test_one_that_was_killed_right_before_it_destroyed_the_old_key_destroys_it(filled: Service) -> None:
    rotation = filled.runtime.rotation.rotation
    for _ in rotation.batches(rotation.begin("operator")):
        pass
    filled.runtime.rotation.resume()
    assert ended(filled)["rotation"]["retired"] == [1]


def test_two_rotations_at_once_are_refused(filled: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(filled.runtime.rotation), "runs", True)
    assert filled.ask("POST", "/deid/keys/rotate").status == 409


def test_no_answer_holds_a_key_or_an_identity(run: Near, tmp_path: Path) -> None:
    secrets = [MASTER, "MRN-", *(p.read_text().strip() for p in (tmp_path / "keys").iterdir())]
    told = run("--json", "keys", "check").output + run("keys", "rotate").output + run("keys", "check").output
    assert [each for each in secrets if each in told] == []
    assert str(tmp_path) not in told
