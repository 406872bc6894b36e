"""What comes in: which project takes a study, and that one study does not hold up those behind it."""

import time
from collections.abc import Callable

from pydicom import dcmread
from pydicom.filebase import DicomBytesIO

from servers import wait_for
from sites import DEID, Site
from studies import Person, ct_instance, ct_study

ONLY_CT = DEID.replace("name: default\n", "name: ct\n    match: {{modality: [CT]}}\n", 1)


def _of_modality(dicom: bytes, modality: str) -> bytes:
    ds = dcmread(DicomBytesIO(dicom))
    ds.Modality = modality
    stream = DicomBytesIO()
    ds.save_as(stream, enforce_file_format=True)
    return bytes(stream.getvalue())


def test_the_whole_study_decides_on_its_project_and_not_the_series_that_came_first(
    new_site: Callable[..., Site],
) -> None:
    site = new_site(deid=ONLY_CT, stable_age=3).start()
    source = site.send([_of_modality(ct_instance(Person(1), series=9), "SR")])
    wait_for(lambda: site.study(source), 20, "the study is known by its first series")
    site.send(ct_study(Person(1), 2))
    study = site.await_status(source, "done")
    assert (study["project"], study["instances"]["deidentified"]) == ("ct", 3)


def test_a_study_of_no_project_can_be_started_when_one_matches(new_site: Callable[..., Site]) -> None:
    site = new_site(deid=ONLY_CT).start()
    source = site.send([_of_modality(ct_instance(Person(1), series=9), "SR")])
    site.await_status(source, "ignored")
    assert site.clinical.post(f"/deid/studies/{source}/process").status_code == 409
    site.clinical.stop()
    site.clinical.deid_file.write_text(site.clinical.deid_file.read_text().replace("[CT]", "[CT, SR]"))
    site.clinical.start()
    site.await_service()
    assert site.clinical.post(f"/deid/studies/{source}/process").status_code == 202
    wait_for(lambda: site.study(source)["status"] == "done", 30)


def test_a_study_whose_project_is_gone_holds_up_no_other(new_site: Callable[..., Site]) -> None:
    site = new_site().start()
    old = site.send(ct_study(Person(1), 2))
    site.await_status(old, "done")
    site.clinical.stop()
    site.clinical.deid_file.write_text(site.clinical.deid_file.read_text().replace("name: default", "name: trial"))
    site.clinical.start()
    site.await_service()
    site.send(ct_study(Person(1), 1, first=3))
    wait_for(lambda: site.study(old)["version"] == 2, 30, "the late instance is seen")
    time.sleep(1)
    assert site.await_status(site.send(ct_study(Person(2), 2)), "done")["project"] == "trial"
