import socket
import time
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from orthanc_deid import states
from orthanc_deid.cli import doctor
from orthanc_deid.cli.asking import END_STATES
from orthanc_deid.cli.commands import main

COMMANDS = [name for name, command in main.commands.items() if not command.hidden]


def run(*words: str) -> Result:
    return CliRunner().invoke(main, words, prog_name="orthanc-deid")


def test_help_shows_every_command_with_a_whole_sentence() -> None:
    shown = run("--help")
    assert shown.exit_code == 0
    listed = shown.output.split("Commands:")[1]
    assert [name for name in COMMANDS if f"  {name}" not in listed] == []
    assert "..." not in listed
    assert "Exit codes" in shown.output


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_each_of_its_options_is_explained(name: str) -> None:
    assert run(name, "-h").exit_code == 0
    options = [p for p in main.commands[name].params if isinstance(p, click.Option)]
    assert [option.name for option in options if not option.help] == []


@pytest.mark.parametrize("words", [("studies", "--json"), ("show", "--json"), ("doctor", "--json")])
def test_a_flag_of_the_server_after_the_command_is_explained(words: tuple[str, ...]) -> None:
    shown = run(*words)
    assert shown.exit_code == 2
    assert f"--json stands before the command: orthanc-deid --json {words[0]}" in shown.output


@pytest.mark.parametrize("option", ["--url", "--user", "--password-file"])
def test_an_option_of_the_server_after_the_command_is_explained(option: str) -> None:
    shown = run("studies", option, "x")
    assert shown.exit_code == 2
    assert f"{option} stands before the command: orthanc-deid {option} ... studies" in shown.output


def test_an_option_that_nobody_has_is_refused_as_usual() -> None:
    shown = run("studies", "--statu", "done")
    assert shown.exit_code == 2
    assert "No such option '--statu'" in shown.output.replace(":", "")
    assert "--status" in shown.output


@pytest.mark.parametrize("command", ["show", "process", "retry", "cancel"])
def test_what_is_no_orthanc_id_is_refused_and_not_repeated(command: str) -> None:
    shown = run(command, "MRN-770001")
    assert shown.exit_code == 2
    assert "not an Orthanc id" in shown.output
    assert "MRN" not in shown.output


def test_a_wrong_state_is_named_beside_those_that_exist() -> None:
    shown = run("studies", "--status", "done,dnoe")
    assert shown.exit_code == 2
    assert "'dnoe' is not a state" in shown.output
    assert states.QUARANTINED in shown.output


def test_waiting_ends_where_nothing_moves_by_itself() -> None:
    assert set(END_STATES) == {"review", "done", "quarantined", "failed", "rejected", "cancelled", "ignored"}


def test_a_missing_password_file_says_what_to_do(tmp_path: Path) -> None:
    shown = run("--password-file", str(tmp_path / "none"), "studies")
    assert shown.exit_code == 1
    assert "name it by --password-file, or set ORTHANC_DEID_HOME" in shown.output


def test_doctor_finds_a_host_name_that_does_not_resolve(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def nowhere(_name: str) -> str:
        raise socket.gaierror

    monkeypatch.setattr(socket, "gethostbyname", nowhere)
    found = doctor.diagnose("http://127.0.0.1:1", "admin", tmp_path / "none")[0]
    assert (found.check, found.ok) == ("host name", False)
    assert "add it to /etc/hosts" in found.detail


def test_doctor_finds_a_host_name_that_resolves_slowly(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(doctor, "SLOW_LOOKUP_S", 0.01)
    monkeypatch.setattr(socket, "gethostbyname", lambda _name: time.sleep(0.05))
    found = doctor.diagnose("http://127.0.0.1:1", "admin", tmp_path / "none")[0]
    assert not found.ok
    assert "takes" in found.detail


def test_doctor_makes_nothing_in_a_folder_that_is_not_the_product_s(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    monkeypatch.setenv("ORTHANC_DEID_HOME", str(home))
    monkeypatch.delenv("ORTHANC_DEID_DATABASE_URL", raising=False)
    found = {result.check: result for result in doctor.diagnose("http://127.0.0.1:1", "admin", None)}
    assert not home.exists()
    assert [name for name in ("secrets", "database", "disk") if found[name].ok] == []
    assert "first start makes it" in found["database"].detail
