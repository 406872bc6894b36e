"""Pseudonyms from a file and from the studies themselves, through the whole product."""

import io
from collections.abc import Callable
from typing import Any

import pydicom
from pydicom.uid import ImplicitVRLittleEndian

from sites import Site
from studies import Person, ct_study

DEID = """
projects:
  - name: tagged
    match: {{modality: [MR]}}
    pseudonyms: {{kind: tag, preset: karnak}}
    destinations: [research]
  - name: listed
    pseudonyms: {{kind: file, path: names.csv, day_shift: shift.json}}
    destinations: [research]
destinations:
  - name: research
    kind: orthanc-peer
    url: {url}
    username: admin
    password_file: {password_file}
intake:
  reconcile_s: 1
limits:
  backoff_s: 1
"""
LISTED, UNLISTED, TAGGED = Person(1), Person(2), Person(3)


def tagged(data: bytes) -> bytes:
    ds = pydicom.dcmread(io.BytesIO(data))
    ds.Modality = "MR"
    ds.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian  # so that Orthanc does not show what it holds
    block = ds.private_block(0x000B, "CHUV_DEV_TML", create=True)
    block.add_new(0x01, "LO", "K-0001")
    block.add_new(0x03, "LO", "-31")
    file = io.BytesIO()
    ds.save_as(file, enforce_file_format=True)
    return file.getvalue()


def result(site: Site, found: dict[str, Any]) -> tuple[str, str]:
    tags = site.research.get(f"/studies/{found['output']}", timeout=10).json()
    return tags["PatientMainDicomTags"]["PatientID"], tags["MainDicomTags"]["StudyDate"]


def test_files_and_tags_name_patients_and_a_correction_frees_who_was_missing(new_site: Callable[..., Site]) -> None:
    site = new_site(deid=DEID)
    names = site.clinical.folder / "names.csv"
    names.write_text(f"{LISTED.PatientID},P0001\n")
    (site.clinical.folder / "shift.json").write_text(f'{{"sub-{LISTED.PatientID}": 10, "{UNLISTED.PatientID}": -5}}\n')
    site.start()
    one, two = (site.send(ct_study(person, 1)) for person in (LISTED, UNLISTED))
    three = site.send([tagged(data) for data in ct_study(TAGGED, 1)])
    assert result(site, site.await_status(one, "done")) == ("P0001", "20200625")
    assert result(site, site.await_status(three, "done")) == ("K-0001", "20200515")
    found = site.await_status(two, "quarantined")
    assert found["reason"] == "the file of pseudonyms does not list the patient"
    part = names.with_name("names.new")
    part.write_text(f"{LISTED.PatientID},P0001\n{UNLISTED.PatientID},P0002\n")
    part.replace(names)
    assert site.clinical.post(f"/deid/studies/{two}/retry", timeout=10).ok
    assert result(site, site.await_status(two, "done")) == ("P0002", "20200610")
    log = site.clinical.log_file.read_text(errors="replace")
    for person in (LISTED, UNLISTED, TAGGED):
        assert not any(marker in log for marker in person.markers)
