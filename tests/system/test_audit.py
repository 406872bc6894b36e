"""The audit of a whole run: every decision is in it, it verifies without the server, and nobody's identity is in it."""

import json
from collections.abc import Callable
from typing import Any

from orthanc_deid import chain
from orthanc_deid.keyring import Keyring
from servers import wait_for
from sites import DEID, Site
from studies import Person, ct_study

MORE = """
access: {reidentify: [admin]}
sources: [{kind: pacs, name: away, ae: AWAY, host: 127.0.0.1, port: 1}]
"""


def exported(site: Site) -> str:
    return str(site.clinical.get("/deid/audit/export").text)


def verified(site: Site, text: str) -> chain.Fault | None:
    """Verify an export with nothing but the key."""
    *lines, last = [json.loads(line) for line in text.splitlines()]
    verifier = chain.Verifier(Keyring(site.clinical.home, {}).audit())
    return verifier.take(map(chain.entry, lines)) or verifier.end(chain.Head(**last["head"]))


def kinds(text: str) -> list[str]:
    return [str(line.get("what")) for line in map(json.loads, text.splitlines())]


def test_the_audit_tells_a_whole_run_survives_a_kill_and_names_nobody(new_site: Callable[..., Site]) -> None:
    site = new_site(deid=DEID.rstrip() + "\n" + MORE.replace("{", "{{").replace("}", "}}")).start()
    person = Person(31)
    study = site.await_status(site.send(ct_study(person, 2)), "done")
    asked = {"direction": "original", "values": [person.PatientID], "reason": "finding of interest"}
    assert site.clinical.post("/deid/crosswalk/lookup", json=asked).status_code == 200
    batch = {"list": f"PatientID,AccessionNumber\n{person.PatientID},{person.AccessionNumber}\n"}
    assert site.clinical.post("/deid/batches", json=batch).status_code == 201
    assert site.clinical.post(
        f"/deid/studies/{study['source']}/export", json={"destination": "research", "anew": True}
    ).ok
    site.await_status(study["source"], "done")
    site.kill()
    site.clinical.start()
    site.await_service()
    wait_for(lambda: kinds(exported(site)).count("service-started") == 2)
    text = exported(site)
    assert set(kinds(text)) >= {
        "service-started", "configuration", "received", "pseudonym", "profile", "verified", "exported", "confirmed",
        "done", "looked-up", "batch", "begun", "exported-records",
    }  # fmt: skip
    assert verified(site, text) is None
    told: Any = site.clinical.post("/deid/audit/verify", json={}).json()
    assert (told["wrong"], told["ended"]) == (None, True)
    assert [marker for marker in person.markers if marker in text or marker in json.dumps(told)] == []
    stored = b"".join(path.read_bytes() for path in site.clinical.home.glob("*.sqlite*"))
    assert [marker for marker in person.markers if marker.encode() in stored] == []
