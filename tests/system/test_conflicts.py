"""Instances that come twice, changed and unchanged, on their whole way; and what a person decides."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.uid import ImplicitVRLittleEndian

from planting import read
from servers import children, wait_for
from sites import DEID, Site
from studies import Person, ct_instance, ct_study

STABLE_AGE_S = 3
FAST = DEID.replace("reconcile_s: 2", "reconcile_s: 0.5")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    made = Site(tmp_path_factory.mktemp("site"), deid=FAST, stable_age=STABLE_AGE_S)
    try:
        yield made.start()
    finally:
        made.kill()


def changed(dicom: bytes, **attributes: Any) -> bytes:  # noqa: ANN401  # any value
    ds = dcmread(BytesIO(dicom))
    for keyword, value in attributes.items():
        setattr(ds, keyword, value)
    file = BytesIO()
    ds.save_as(file, enforce_file_format=True)
    return file.getvalue()


def implicit(dicom: bytes) -> bytes:
    ds = dcmread(BytesIO(dicom))
    ds.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    file = BytesIO()
    ds.save_as(file, enforce_file_format=True, implicit_vr=True)
    return file.getvalue()


def conflicts(site: Site, source: str) -> list[dict[str, Any]]:
    answer = site.clinical.get("/deid/conflicts", params={"study": source})
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


def await_conflict(site: Site, source: str, count: int = 1) -> dict[str, Any]:
    wait_for(lambda: site.study(source).get("conflicts") == count, 20, "the conflict is shown")
    return conflicts(site, source)[0]


def aside(site: Site) -> list[Path]:
    return sorted((site.clinical.home / "conflicts").glob("*"))


def decide(site: Site, conflict: dict[str, Any], keep: str, code: int = 202) -> None:
    answer = site.clinical.post(f"/deid/conflicts/{conflict['id']}", json={"keep": keep})
    assert answer.status_code == code, answer.text


def delivered(site: Site, study: dict[str, Any]) -> list[bytes]:
    ids = site.research.get(f"/studies/{study['output']}/instances").json()
    return [site.research.get(f"/instances/{one['ID']}/file").content for one in ids]


def test_an_instance_that_is_sent_twice_changes_nothing(site: Site) -> None:
    files = ct_study(Person(1), 3)
    source = site.send(files)
    before = site.await_status(source, "done")
    assert site.clinical.upload(files[0]).json()["Status"] == "AlreadyStored"
    assert site.clinical.upload(implicit(files[1])).json()["Status"] == "FilteredOut"
    wait_for(lambda: not aside(site), 20, "the other encoding is compared and gone")
    time.sleep(1)
    assert site.study(source) == before


def test_a_change_before_the_start_holds_the_study_until_it_is_decided(site: Site) -> None:
    files = ct_study(Person(2), 2)
    source = site.send(files)
    marked = changed(files[0], SeriesNumber=7, PatientComments="Vorgelmund")
    assert site.clinical.upload(marked).json()["Status"] == "FilteredOut"
    assert site.clinical.upload(marked).json()["Status"] == "FilteredOut"
    conflict = await_conflict(site, source)
    assert conflict["attributes"] == ["PatientComments", "SeriesNumber"]
    assert (conflict["state"], conflict["origin"], conflict["actor"]) == ("open", "REST_API", "system")
    time.sleep(STABLE_AGE_S + 1)
    held = site.study(source)
    assert held["status"] == "waiting"
    assert held["reason"] == "1 instance came again with another content: see conflicts"
    decide(site, conflict, "stored")
    study = site.await_status(source, "done")
    assert {int(read(file).SeriesNumber) for file in delivered(site, study)} == {1}
    assert aside(site) == []
    decide(site, conflict, "arrived", 409)
    told = str([study, conflicts(site, source), site.clinical.log()])
    assert "Vorgelmund" not in told
    assert not any(marker in site.clinical.log() for marker in Person(2).markers)


def test_what_arrived_takes_the_place_of_what_is_stored_before_anything_is_made_of_it(site: Site) -> None:
    files = ct_study(Person(3), 2)
    source = site.send(files)
    site.clinical.upload(changed(files[0], SeriesNumber=7))
    decide(site, await_conflict(site, source), "arrived")
    study = site.await_status(source, "done")
    assert sorted(int(read(file).SeriesNumber) for file in delivered(site, study)) == [1, 7]
    assert [one["state"] for one in conflicts(site, source)] == ["replaced"]
    assert aside(site) == []


def test_a_change_of_what_was_delivered_is_shown_and_made_and_delivered_anew_when_it_is_taken(site: Site) -> None:
    files = ct_study(Person(4), 3)
    source = site.send(files)
    before = site.await_status(source, "done")
    site.clinical.upload(changed(files[2], SeriesNumber=7))
    conflict = await_conflict(site, source)
    after = site.study(source)
    assert (after["status"], after["version"]) == ("done", before["version"])
    assert after["events"][-1]["reason"] == "an instance came again with another content"
    decide(site, conflict, "arrived")
    refused = site.await_status(source, "failed", version=2)
    assert "1 instances at the destination are not those that were verified" in refused["reason"]
    numbers = {int(read(file).SeriesNumber): file for file in delivered(site, before)}
    assert set(numbers) == {1}
    for one in site.research.get(f"/studies/{before['output']}/instances").json():
        site.research.request("DELETE", f"/instances/{one['ID']}")
    assert site.clinical.post(f"/deid/studies/{source}/retry").status_code == 202
    study = site.await_status(source, "done", version=2)
    assert study["conflicts"] == 0
    assert study["output"] == before["output"]
    assert sorted(int(read(file).SeriesNumber) for file in delivered(site, study)) == [1, 1, 7]


def test_an_instance_that_was_deleted_before_its_study_started_comes_in_changed(site: Site) -> None:
    files = ct_study(Person(5), 1)
    [instance] = [site.clinical.upload(file).json()["ID"] for file in files]
    site.clinical.request("DELETE", f"/instances/{instance}")
    assert site.clinical.upload(changed(files[0], SeriesNumber=7)).json()["Status"] == "FilteredOut"
    for path in aside(site):
        os.utime(path, (time.time() - 60, time.time() - 60))
    wait_for(lambda: instance in site.clinical.instances(), 30, "the service stores it")
    assert b"Zyxwvut005" in site.clinical.get(f"/instances/{instance}/file").content
    wait_for(lambda: not aside(site), 10)


def test_a_service_that_is_killed_goes_on_with_what_was_decided(new_site: Callable[..., Site]) -> None:
    site = new_site(deid=FAST).start()
    source = site.send(ct_study(Person(6), 2))
    site.await_status(source, "done")
    site.clinical.upload(changed(ct_instance(Person(6), number=2), SeriesNumber=7))
    conflict = await_conflict(site, source)
    for pid in children(site.clinical.pid):
        if b"orthanc_deid.service" in Path(f"/proc/{pid}/cmdline").read_bytes():
            decide(site, conflict, "arrived")
            os.kill(pid, signal.SIGKILL)
    site.await_service()
    site.await_status(source, "failed", "done", version=2)
    assert [one["state"] for one in conflicts(site, source)] == ["replaced"]
    assert aside(site) == []
