"""The commands on the audit, against the real routes; offline with a file and a key alone."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import delete, update

from http_servers import Handler, HttpServer, Received
from orthanc_deid import chain
from orthanc_deid.cli import audit as command
from orthanc_deid.cli.commands import main
from orthanc_deid.database.crosswalk_tables import audit, audit_head
from service_calls import Service


class Far:
    """A server whose answers are those of the service, with some records in its audit."""

    def __init__(self, server: HttpServer, folder: Path) -> None:
        self.server, self.folder = server, folder
        (folder / "home").mkdir()
        self.service = Service(folder / "home")
        server.always = self._answer
        self.write(7)

    def write(self, count: int) -> None:
        for number in range(count):
            self.service.runtime.audit.write("batch", actor="anna", project="brain", action="begin", batch=number)

    def _answer(self, handler: Handler, received: Received) -> None:
        answer = self.service.ask(received.method, received.path, user=b"anna", body=received.body or b"")
        body = answer.body if isinstance(answer.body, str) else json.dumps(answer.body)
        handler.reply(answer.status, body.encode())

    def cut(self, last: int) -> None:
        """Put the database back to an older state that is whole in itself."""
        (one,) = self.service.runtime.audit.page(after=last - 1, limit=1)
        head = self.service.runtime.audit.proven(one.id, one.hash, self.service.runtime.audit.head())
        mac = chain.mac_of(self.service.runtime.keyring.audit(), one.id, one.hash)
        with self.service.runtime.database.begin() as connection:
            connection.execute(delete(audit).where(audit.c.id > last))
            connection.execute(update(audit_head).values(last=head.last, hash=head.hash, mac=mac))

    @property
    def file(self) -> Path:
        return self.folder / "audit.jsonl"

    @property
    def key(self) -> Path:
        return self.folder / "home" / "key"


@pytest.fixture
def far(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Far]:
    monkeypatch.setenv("ORTHANC_DEID_PASSWORD", "secret")
    with HttpServer() as server:
        made = Far(server, tmp_path)
        yield made
        made.service.close()


def run(far: Far, *words: str | Path) -> Result:
    return CliRunner().invoke(main, ["--url", far.server.url, "audit", *map(str, words)], prog_name="orthanc-deid")


def offline(*words: str | Path) -> Result:
    return CliRunner().invoke(main, ["--url", "http://127.0.0.1:1", "audit", *map(str, words)])


def test_the_list_shows_the_newest_last(far: Far) -> None:
    lines = run(far, "list", "--limit", "2").output.splitlines()
    assert [line.split()[0] for line in lines] == ["6", "7"]
    assert lines[1].endswith("batch           anna       brain, action=begin, batch=6")
    assert [line.split()[0] for line in run(far, "list", "--after", "2", "--limit", "2").output.splitlines()] == [
        "3",
        "4",
    ]
    assert run(far, "list", "--what", "sealed").output == "There is no such record.\n"


def test_an_export_is_verified_without_server_and_database(far: Far, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "PART", 3)
    assert run(far, "export", far.file).exit_code == 0
    told = offline("verify", far.file, "--key-file", far.key)
    assert told.output.startswith("8 records, all in place. Note elsewhere: 8:")
    assert told.exit_code == 0


def test_the_audits_own_key_verifies_too(far: Far, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORTHANC_DEID_HOME", str(far.folder / "home"))
    monkeypatch.setenv("ORTHANC_DEID_CONFIG", str(far.folder / "home" / "deid.yaml"))
    saved = far.folder / "audit-key"
    assert offline("key", saved).exit_code == 0
    assert saved.stat().st_mode & 0o077 == 0
    assert far.key.read_text().strip() not in saved.read_text()
    run(far, "export", far.file)
    assert offline("verify", far.file, "--key-file", saved).exit_code == 0


def test_another_key_verifies_nothing(far: Far) -> None:
    run(far, "export", far.file)
    other = far.folder / "other"
    other.write_text("11" * 32)
    told = offline("verify", far.file, "--key-file", other)
    assert (told.exit_code, told.output.split()[:2]) == (1, ["record", "1"])


@pytest.mark.parametrize(
    ("spoil", "number"),
    [
        (lambda lines: lines[:3] + lines[4:], 4),
        (lambda lines: lines[:-1], 9),
        (lambda lines: lines[:-2] + lines[-1:], 8),
        (lambda lines: [lines[1], lines[0], *lines[2:]], 1),
        (lambda lines: [*lines[:2], lines[2].replace("anna", "otto"), *lines[3:]], 3),
        (lambda lines: [*lines[:2], lines[2].replace('"batch":2', '"batch":3'), *lines[3:]], 3),
        (lambda lines: [*lines[:4], lines[3], *lines[4:]], 4),
    ],
)
def test_a_file_that_was_tampered_with_names_the_first_wrong_record(far: Far, spoil, number: int) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001  # a list of lines to another
    run(far, "export", far.file)
    far.file.write_text("".join(spoil(far.file.read_text().splitlines(keepends=True))))
    told = offline("verify", far.file, "--key-file", far.key)
    assert (told.exit_code, told.output.split()[:2]) == (1, ["record", str(number)])


def test_an_export_of_a_part_verifies_with_what_stood_before_it(far: Far) -> None:
    run(far, "export", far.file, "--after", "4")
    assert len(far.file.read_text().splitlines()) == 5
    assert offline("verify", far.file, "--key-file", far.key).exit_code == 0


def test_an_export_after_a_record_that_is_not_there_proves_nothing(far: Far) -> None:
    answer = run(far, "export", far.file, "--after", "90")
    assert (answer.exit_code, answer.output) == (1, "Error: there is no record 90\n")
    assert not far.file.exists()
    assert far.service.ask("GET", "/deid/audit/export?after=90").status == 404


def test_a_database_put_back_is_told_by_an_earlier_export_and_by_an_anchor(far: Far) -> None:
    run(far, "export", far.file)
    noted = run(far, "verify").output.split()[-1]
    assert run(far, "verify", "--against", far.file).exit_code == 0
    assert run(far, "verify", "--anchor", noted).exit_code == 0
    far.cut(5)
    assert run(far, "verify").exit_code == 0
    assert "record 8 is missing" in run(far, "verify", "--against", far.file).output
    assert run(far, "verify", "--anchor", noted).exit_code == 1
    far.write(5)
    assert "record 8 is another" in run(far, "verify", "--against", far.file).output


def test_verification_in_parts_comes_to_the_end(far: Far, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orthanc_deid.database.audit._PAGE", 2)
    monkeypatch.setattr("orthanc_deid.service.audit.VERIFY_S", 1e-4)
    told = run(far, "verify")
    assert told.output.startswith("7 records")


@pytest.mark.parametrize("line", ["x", "[]", "{}", '{"id": "1"}', '{"id": 1, "detail": 3}'])
def test_what_is_no_export_is_refused(far: Far, line: str) -> None:
    far.file.write_text(line + "\n")
    told = offline("verify", far.file, "--key-file", far.key)
    assert (told.exit_code, told.output) == (1, "Error: line 1: not a line of an audit's export\n")


def test_options_that_contradict_each_other_are_refused(far: Far) -> None:
    assert offline("verify", "--key-file", far.key).exit_code == 2
    assert offline("verify", "--anchor", "7").exit_code == 2
