"""Studies that are waited for: a PACS that counts, a sender's manifest, and what comes late."""

import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from lying_pacs import LyingPacs
from servers import wait_for
from sites import DEID, Site
from studies import Person, ct_study

COUNTED = (
    DEID.replace("  reconcile_s: 2\n", "  reconcile_s: 2\n  completeness: {{by: count, ask: pacs-1, ask_every_s: 1}}\n")
    + "sources:\n  - {{name: pacs-1, kind: pacs, ae: PACS, host: 127.0.0.1, port: PORT}}\n"
)
ANNOUNCED = DEID.replace(
    "  reconcile_s: 2\n", "  reconcile_s: 2\n  completeness: {{by: manifest, deadline_s: 3600, then: hold}}\n"
)


def clock_of(iso: str) -> str:
    """Write a time of REST as people read it on this machine."""
    then = datetime.fromisoformat(iso).astimezone()
    today = then.date() == datetime.now().astimezone().date()
    return then.strftime("%H:%M" if today else "%Y-%m-%d %H:%M")


def await_reason(site: Site, source: str, begin: str, seconds: float = 30) -> str:
    """Wait until a study waits for that reason, and return all of it."""
    wait_for(lambda: str(site.study(source).get("reason")).startswith(begin), seconds, begin)
    study = site.study(source)
    assert study["status"] == "waiting"
    return str(study["reason"])


def test_213_of_240_wait_for_the_rest_that_the_pacs_has_and_survive_a_kill(
    new_site: Callable[..., Site],
) -> None:
    person = Person(1)
    files = ct_study(person, 240)
    with LyingPacs(files) as pacs:
        site = new_site(deid=COUNTED.replace("PORT", str(pacs.port))).start()
        source = site.send(files[:213])
        reason = await_reason(site, source, "213 of 240 instances, waiting until ")
        told = site.study(source)["awaited"]
        assert reason.removeprefix("213 of 240 instances, waiting until ") == clock_of(told["until"])
        assert {k: told[k] for k in ("expected", "present", "missing", "source", "requests")} == {
            "expected": 240, "present": 213, "missing": 27, "source": "pacs-1", "requests": 0,
        }  # fmt: skip
        site.clinical.kill()
        site.clinical.start()
        site.await_service()
        assert site.study(source)["awaited"]["until"] == told["until"]
        site.send(files[213:])
        study = site.await_status(source, "done")
        assert (study["instances"]["deidentified"], study["awaited"]) == (240, None)
        assert len(site.arrived(study["output"])) == 240
        assert {asked.level for asked in pacs.finds} >= {"STUDY", "IMAGE"}
        told_all = json.dumps(study) + site.clinical.log()
        assert [marker for marker in person.markers if marker in told_all] == []


def test_what_is_missing_is_sent_by_the_pacs_when_the_deadline_has_passed(new_site: Callable[..., Site]) -> None:
    files = ct_study(Person(2), 6)
    with LyingPacs(files) as pacs:
        deid = COUNTED.replace("PORT", str(pacs.port))
        site = new_site(deid=deid.replace("ask_every_s: 1", "ask_every_s: 1, deadline_s: 2, then: request")).start()
        pacs.known["CLINICAL"] = ("127.0.0.1", site.clinical.dicom_port)
        source = site.send(files[:4])
        study = site.await_status(source, "done")
        assert study["instances"]["deidentified"] == 6
        assert len(set(pacs.sent)) == 2


def test_a_manifest_lets_a_study_begin_and_leaves_no_identity(new_site: Callable[..., Site], tmp_path: Path) -> None:
    person = Person(3)
    file = tmp_path / "deid.sqlite"
    site = new_site(deid=ANNOUNCED, database_url=f"sqlite:///{file}").start()
    source = site.send(ct_study(person, 2))
    await_reason(site, source, "its sender has not announced its instances, waiting until ")
    uid = site.clinical.get(f"/studies/{source}").json()["MainDicomTags"]["StudyInstanceUID"]
    listed = [f"{uid}.1.{n}" for n in (1, 2, 3)]
    answer = site.clinical.post("/deid/manifests", json={"StudyInstanceUID": uid, "SOPInstanceUIDs": listed})
    assert (answer.status_code, answer.json()) == (
        201, {"items": [{"instances": 3, "listed": True, "replaced": False}]},
    )  # fmt: skip
    await_reason(site, source, "2 of 3 instances, waiting until ")
    again = site.clinical.post("/deid/manifests", json=[{"StudyInstanceUID": uid, "instances": 2}])
    assert (again.status_code, again.json()["items"][0]["replaced"]) == (200, True)
    site.await_status(source, "done")
    wrong = site.clinical.post(
        "/deid/manifests", json={"StudyInstanceUID": uid, "instances": 4, "SOPInstanceUIDs": listed}
    )
    assert (wrong.status_code, "instances is 4, and SOPInstanceUIDs names 3" in wrong.json()["detail"]) == (422, True)
    nobody = site.clinical.post("/deid/manifests", json={"StudyInstanceUID": person.PatientID, "instances": 4})
    assert (nobody.status_code, nobody.json()["field"]) == (422, "body.0.StudyInstanceUID")
    ways_out = [answer.text, again.text, wrong.text, nobody.text, site.clinical.log()]
    ways_out += [path.read_bytes().decode("latin-1") for path in tmp_path.glob("deid.sqlite*")]
    assert [(n, m) for n, text in enumerate(ways_out) for m in person.markers if m in text] == []


def test_200_a_pause_and_5_more_are_one_study_of_205_and_5_are_delivered(new_site: Callable[..., Site]) -> None:
    person = Person(4)
    site = new_site().start()
    source = site.send(ct_study(person, 200))
    first = site.await_status(source, "done", seconds=90)
    before = {i: site.research.get(f"/instances/{i}/metadata/ReceptionDate").text for i in site.research.instances()}
    uids = set(site.arrived(first["output"]))
    wait_for(lambda: site.clinical.get(f"/studies/{source}").json()["IsStable"], 20)
    site.send(ct_study(person, 5, first=201))
    second = site.await_status(source, "done", version=2)
    assert (second["output"], second["instances"]["deidentified"]) == (first["output"], 205)
    after = {i: site.research.get(f"/instances/{i}/metadata/ReceptionDate").text for i in site.research.instances()}
    assert {i: after.get(i) for i in before} == before
    assert (len(after), len(before)) == (205, 200)
    assert uids < set(site.arrived(second["output"]))
    assert len(site.research.studies()) == 1
    assert len(site.research.get(f"/studies/{second['output']}/series").json()) == 1
