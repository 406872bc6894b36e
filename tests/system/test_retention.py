"""What retention deletes of studies that went through, and what it never does."""

import io
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pydicom
import pytest

from servers import CHECKOUT, wait_for
from sites import Site
from studies import Person, ct_study

AT_ONCE = "{sources: {after_days: 0}, outputs: {after_days: 0}, results: {after_days: 0}}"
WHEN_LOW = "{sources: {when_disk_is_low: true}}"
# Modality -> destinations, conversions and rules of the project that takes it.
PROJECTS = {
    "CT": ("[share]", "[nifti]", AT_ONCE),
    "MR": ("[share, away]", "[]", AT_ONCE),
    "PT": ("[share, perhaps]", "[]", AT_ONCE),
    "NM": ("[share]", "[]", WHEN_LOW),
    "US": ("[share]", "[nifti]", "{}"),
    "XA": ("[]", "[]", "{sources: {after_days: 0}, outputs: {after_days: 0}}"),
}
DEID = """
projects:
{projects}
destinations:
  - {{name: share, kind: folder, path: {share}, keep_free_bytes: 0}}
  - {{name: away, kind: folder, path: {share}/not-there}}
  - {{name: perhaps, kind: folder, path: {share}/not-there, required: false}}
retention: {{free_bytes: {free}, most_bytes: 100, look_s: 3600}}
limits: {{backoff_s: 0.2, backoff_most_s: 0.5, delivery_attempts: 2}}
intake: {{reconcile_s: 0.5}}
"""
FREE = 10**15  # more than any disk has


class Archive:
    """A site with rules, and what people do there."""

    def __init__(self, site: Site, share: Path) -> None:
        self.site, self.share = site, share
        self._people = count(1)

    def person(self) -> Person:
        return Person(next(self._people))

    def send(self, modality: str, number: int = 3, person: Person | None = None, first: int = 1) -> str:
        person = person or self.person()
        source = self.site.send(as_modality(file, modality) for file in ct_study(person, number, first=first))
        self.site.clinical.post(f"/deid/studies/{source}/process")
        return source

    def done(self, modality: str, number: int = 3) -> dict[str, Any]:
        return self.rests(self.send(modality, number))

    def rests(self, source: str, status: str = "done", version: int = 1) -> dict[str, Any]:
        """Wait until a study is in a state and nothing of it is to be looked at again."""
        study = self.site.await_status(source, status, version=version)
        end = time.monotonic() + 2.5
        while time.monotonic() < end and not self.of(study, self.asked()):
            time.sleep(0.1)
        return study

    def asked(self, method: str = "GET") -> list[dict[str, Any]]:
        answer = self.site.clinical.request(method, "/deid/retention", timeout=60)
        assert answer.status_code == 200, answer.text
        told = dict(answer.json())
        assert told["bytes"] == sum(item["bytes"] for item in told["items"])
        return list(told["items"])

    def of(self, study: dict[str, Any], items: list[dict[str, Any]]) -> list[str]:
        return [item["what"] for item in items if item["study"] == study["source"]]

    def holds(self, study: str) -> bool:
        return self.site.clinical.get(f"/studies/{study}").ok

    def results(self, study: dict[str, Any]) -> list[Path]:
        return list((self.site.clinical.home / "results").glob(f"{study['id']}/*"))

    def delivered(self, study_uid: str) -> dict[str, tuple[int, int]]:
        """Answer the DICOM files at the destination, each with inode and time."""
        found = [path for path in self.share.rglob("*.dcm") if study_uid in str(path)]
        return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in found}

    def uid(self, study: dict[str, Any]) -> str:
        return str(self.site.clinical.get(f"/studies/{study['output']}").json()["MainDicomTags"]["StudyInstanceUID"])


def as_modality(file: bytes, modality: str) -> bytes:
    ds = pydicom.dcmread(io.BytesIO(file))
    ds.Modality = modality
    out = io.BytesIO()
    ds.save_as(out)
    return out.getvalue()


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archive]:
    folder = tmp_path_factory.mktemp("retention")
    share = folder / "share"
    share.mkdir()
    projects = "\n".join(
        f"  - {{name: of-{modality}, match: {{modality: [{modality}]}}, destinations: {names}, convert: {convert},"
        f" retention: {rules}}}"
        for modality, (names, convert, rules) in PROJECTS.items()
    )
    deid = DEID.format(projects=projects, share=share, free=FREE)
    site = Site(folder, deid=deid.replace("{", "{{").replace("}", "}}"))
    try:
        yield Archive(site.start(), share)
    finally:
        site.kill()


def test_what_was_shown_is_what_goes_and_the_copy_stays(archive: Archive) -> None:
    study = archive.done("CT")
    uid = archive.uid(study)
    delivered = archive.delivered(uid)
    assert len(delivered) == 3
    assert archive.results(study)
    shown = archive.asked()
    assert archive.of(study, shown) == ["results", "source", "output"]
    assert all(item["bytes"] > 1000 for item in shown)
    assert archive.holds(study["source"])
    mine = [item for item in shown if item["study"] == study["source"]]
    assert [item for item in archive.asked("POST") if item["study"] == study["source"]] == mine
    assert not archive.holds(study["source"])
    assert not archive.holds(study["output"])
    assert archive.results(study) == []
    assert archive.delivered(uid) == delivered
    told = [e for e in archive.site.study(study["source"])["events"] if " deleted: " in (e["reason"] or "")]
    assert {e["actor"] for e in told} == {"admin"}, "who asked for it"
    assert [e["reason"].split(":")[0] for e in told] == ["results deleted", "source deleted", "output deleted"]
    assert {e["status"] for e in told} == {"done"}
    assert archive.site.study(study["source"])["status"] == "done"
    assert archive.of(study, archive.asked()) == []


def test_nothing_goes_before_every_required_destination_has_confirmed(archive: Archive) -> None:
    failed = archive.rests(archive.send("MR"), "failed")
    assert failed["destinations"] == {"away": "failed", "share": "confirmed"}
    archive.asked("POST")
    assert archive.holds(failed["source"])
    assert archive.holds(failed["output"])
    assert archive.of(failed, archive.asked()) == []


def test_a_destination_that_is_not_required_does_not_keep_it(archive: Archive) -> None:
    study = archive.done("PT")
    assert study["destinations"] == {"perhaps": "failed", "share": "confirmed"}
    assert archive.of(study, archive.asked("POST")) == ["source", "output"]


def test_what_is_in_quarantine_cancelled_or_on_its_way_stays(archive: Archive) -> None:
    class Nobody(Person):
        PatientID = ""

    archive.site.clinical.post("/deid/destinations/share/pause")
    waiting = archive.send("CT")
    cancelled = archive.send("CT")
    for source in (waiting, cancelled):
        archive.site.await_status(source, "exporting")
    archive.site.clinical.post(f"/deid/studies/{cancelled}/cancel")
    quarantined = archive.send("CT", 1, Nobody(900))
    archive.rests(quarantined, "quarantined")
    # Conversions can be made again: those of what has ended go where they take more than most_bytes.
    went = {item["study"] for item in archive.asked("POST") if item["what"] != "results"}
    assert went.isdisjoint({waiting, cancelled, quarantined})
    assert all(archive.holds(source) for source in (waiting, cancelled, quarantined))
    archive.site.clinical.post("/deid/destinations/share/resume")
    archive.rests(waiting)
    assert waiting in {item["study"] for item in archive.asked("POST")}


def test_the_only_copy_stays(archive: Archive) -> None:
    study = archive.done("XA")
    assert archive.of(study, archive.asked("POST")) == ["source"]
    assert archive.holds(study["output"])


def test_a_source_stays_where_its_result_is_nowhere(archive: Archive) -> None:
    study = archive.done("XA")
    archive.site.clinical.request("DELETE", f"/studies/{study['output']}")
    assert archive.of(study, archive.asked("POST")) == []
    assert archive.holds(study["source"])


def test_late_instances_join_what_was_delivered_after_all_was_deleted_here(archive: Archive) -> None:
    person = archive.person()
    first = archive.rests(archive.send("CT", 3, person))
    uid = archive.uid(first)
    before = archive.delivered(uid)
    archive.asked("POST")
    assert not archive.holds(first["source"])
    archive.send("CT", 2, person, first=4)
    second = archive.rests(first["source"], version=2)
    assert second["output"] == first["output"]
    assert archive.uid(second) == uid
    after = archive.delivered(uid)
    assert len(after) == 5
    assert {name: after[name] for name in before} == before
    assert second["instances"] == {"received": 5, "deidentified": 5, "quarantined": 0}
    assert archive.of(second, archive.asked("POST"))[-2:] == ["source", "output"]
    assert not archive.holds(first["source"])


def test_an_instance_that_is_sent_again_after_it_was_deleted_goes_again_and_is_not_delivered(archive: Archive) -> None:
    person = archive.person()
    study = archive.rests(archive.send("CT", 3, person))
    uid = archive.uid(study)
    before = archive.delivered(uid)
    archive.asked("POST")
    archive.send("CT", 1, person)
    wait_for(lambda: "source" in archive.of(study, archive.asked()), 20, "the source is known to be there again")
    again = archive.site.study(study["source"])
    assert (again["status"], again["version"]) == ("done", 1)
    assert archive.of(study, archive.asked("POST")) == ["source"]
    assert not archive.holds(study["source"])
    assert archive.delivered(uid) == before


def test_where_the_disk_is_low_the_oldest_goes_first(archive: Archive) -> None:
    studies = [archive.done("NM") for _ in range(2)]
    shown = archive.asked()
    order = [item["study"] for item in shown if item["study"] in {study["source"] for study in studies}]
    assert order == [study["source"] for study in studies]
    assert {item["reason"] for item in shown if item["study"] in order} == {"less than free_bytes are free"}
    archive.asked("POST")
    assert not any(archive.holds(source) for source in order)
    assert all(archive.holds(study["output"]) for study in studies)


def test_conversions_are_bounded_even_where_they_are_kept(archive: Archive) -> None:
    study = archive.done("US")
    assert archive.results(study)
    (item,) = [item for item in archive.asked("POST") if item["study"] == study["source"]]
    assert (item["what"], item["reason"]) == ("results", "conversions take more than most_bytes")
    assert archive.results(study) == []
    assert archive.site.clinical.get(f"/deid/studies/{study['output']}/nifti", timeout=60).ok  # made again


def test_the_command_shows_first_and_deletes_when_told_to(archive: Archive) -> None:
    study = archive.done("CT")
    password = archive.site.clinical.home / "admin-password"
    command = [
        sys.executable,
        "-m",
        "orthanc_deid",
        "--url",
        archive.site.clinical.url,
        "--password-file",
        str(password),
    ]
    environment = os.environ | {"PYTHONPATH": str(CHECKOUT / "plugin")}
    for more, told, stays in ((), "would be deleted (--apply deletes it)", True), (("--apply",), " deleted", False):
        done = subprocess.run(
            [*command, "retention", *more], env=environment, capture_output=True, text=True, timeout=60, check=True
        )
        assert f"{study['source']}  source" in done.stdout
        assert told in done.stdout.splitlines()[-1]
        assert archive.holds(study["source"]) is stays
