"""Who is who, asked through a real Orthanc: roles, look-up, mappings, forgetting, sealing."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import requests
from click.testing import CliRunner, Result

from orthanc_deid.cli.commands import main
from sites import Site
from studies import Person, ct_study

DEID = "projects: [{{name: default}}]\naccess: {{reidentify: [ada]}}\nintake: {{reconcile_s: 0.5}}\n"
PASSWORD = "of-ada"
ONE, TWO, THREE = Person(1), Person(2), Person(3)


class Commands:
    """The command line, as a user."""

    def __init__(self, site: Site, user: str, password: str) -> None:
        self._begin = ["--url", site.clinical.url, "--user", user]
        self._environment = {"ORTHANC_DEID_PASSWORD": password}

    def run(self, *words: str, typed: str = "") -> Result:
        """Run `crosswalk` with a reason."""
        reason = [] if words[0] == "status" else ["--reason", "Rückfrage 12/26"]
        return CliRunner().invoke(main, [*self._begin, "crosswalk", *words, *reason], typed, env=self._environment)


@pytest.fixture
def site(new_site: Callable[..., Site]) -> Site:
    made = new_site(deid=DEID)
    made.clinical.users["ada"] = PASSWORD
    return made.start()


def test_who_has_the_role_finds_forgets_and_seals(site: Site, tmp_path: Path) -> None:
    sources = {person: site.send(ct_study(person, 2)) for person in (ONE, TWO)}
    outputs = {person: site.await_status(source, "done")["output"] for person, source in sources.items()}
    pseudonym = {
        person: site.clinical.get(f"/studies/{output}").json()["PatientMainDicomTags"]["PatientID"]
        for person, output in outputs.items()
    }
    ada = Commands(site, "ada", PASSWORD)

    _refuse_operators(site, pseudonym[ONE])
    found = ada.run("lookup", pseudonym[ONE])
    assert (found.exit_code, ONE.PatientID in found.output) == (0, True)
    _look_up_table(ada, pseudonym, tmp_path)
    _export(ada, pseudonym, tmp_path)

    told = ada.run("forget", "--original", "--project", "default", typed=ONE.PatientID + "\n")
    assert "1 studies marked" in told.output
    assert f"source: {sources[ONE]}" in told.output
    assert f"output: {outputs[ONE]}" in told.output
    assert ada.run("lookup", pseudonym[ONE]).exit_code == 1
    again = site.clinical.post(f"/deid/studies/{sources[ONE]}/process")
    assert (again.status_code, "erased by request" in again.text) == (409, True)
    assert ada.run("lookup", pseudonym[TWO]).exit_code == 0

    sealed = ada.run("seal", "default", "--confirm", "default")
    assert (sealed.exit_code, "key destroyed, 0 mappings" in sealed.output) == (0, True), sealed.output
    assert ada.run("lookup", pseudonym[TWO]).exit_code == 1
    assert "key sealed" in ada.run("status").output
    source = site.send(ct_study(THREE, 1))
    assert "sealed" in site.await_status(source, "ignored", "failed", version=0)["reason"]
    _look_for_markers(site)


def _refuse_operators(site: Site, pseudonym: str) -> None:
    body = {"direction": "pseudonym", "values": [pseudonym], "reason": "curious"}
    for headers in ({}, {"X-Deid-User": "ada"}, {"x-deid-user": "ada", "X-Remote-User": "ada"}):
        answer = site.clinical.post("/deid/crosswalk/lookup", json=body, headers=headers)
        assert (answer.status_code, "access.reidentify" in answer.text) == (403, True)
    wrong = requests.post(site.clinical.url + "/deid/crosswalk/lookup", json=body, auth=("ada", "x"), timeout=10)
    assert wrong.status_code == 401


def _look_up_table(ada: Commands, pseudonym: dict[Person, str], folder: Path) -> None:
    table, out = folder / "in.csv", folder / "out.csv"
    table.write_text(f"subject;age\n{pseudonym[ONE]};57\n{pseudonym[TWO]};58\nnobody;1\n")
    told = ada.run("lookup", "--csv", str(table), "--column", "subject", "--out", str(out))
    assert (told.exit_code, "1 not found" in told.output) == (1, True)
    rows = [line.split(",") for line in out.read_text().splitlines()]
    assert rows[0][:4] == ["subject", "age", "crosswalk_found", "crosswalk_kind"]
    assert [row[5] for row in rows[1:]] == [ONE.PatientID, TWO.PatientID, ""]
    assert out.stat().st_mode & 0o777 == 0o600


def _export(ada: Commands, pseudonym: dict[Person, str], folder: Path) -> None:
    told = ada.run("export", "--project", "default", "--out", str(folder / "maps"))
    assert told.exit_code == 0, told.output
    patients = (folder / "maps" / "patid_mapping.csv").read_text().splitlines()
    assert patients[0] == "id_old,id_new"
    assert set(patients[1:]) == {f"{person.PatientID},{name}" for person, name in pseudonym.items()}
    uids = folder / "maps" / "uid_mapping.csv"
    assert len(uids.read_text().splitlines()) == 1 + 2 * (1 + 1 + 2)
    assert uids.stat().st_mode & 0o777 == 0o600


def _look_for_markers(site: Site) -> None:
    """No identity is in a log or in what is left of the database, nor in the audit."""
    home = site.clinical.home
    left = b"".join(path.read_bytes() for path in home.rglob("*") if path.is_file() and "quarantine" not in path.parts)
    words = [m.encode() for person in (ONE, TWO, THREE) for m in (person.PatientID, person.PatientName.split("^")[0])]
    assert [word for word in (*words, "Rückfrage".encode()) if word in left + site.clinical.log().encode()] == []
    audit = site.clinical.get("/deid/audit?limit=200").json()["items"]
    assert {"looked-up", "forgotten", "sealed", "refused", "exported-records"} <= {record["what"] for record in audit}
    assert ONE.PatientID not in json.dumps(audit)
