"""What somebody deletes while we need it: sources, outputs, our database; nothing may be stuck afterwards."""

from collections.abc import Callable
from pathlib import Path

from pydicom import dcmread
from pydicom.filebase import DicomBytesIO

from sites import DEID, Site
from studies import Person, ct_instance, ct_study

SHORT = DEID.replace("limits:\n", "limits:\n  attempts: 2\n  delivery_attempts: 2\n")


def test_a_late_instance_arrives_although_the_outputs_were_deleted(new_site: Callable[..., Site]) -> None:
    site = new_site(deid=SHORT).start()
    first = site.await_status(site.send(ct_study(Person(1), 3)), "done")
    site.clinical.request("DELETE", f"/studies/{first['output']}")
    site.send(ct_study(Person(1), 1, first=4))
    second = site.await_status(first["source"], "done", version=2)
    assert len(site.arrived(second["output"])) == 4


def test_two_series_that_share_a_sop_instance_uid_both_arrive(new_site: Callable[..., Site]) -> None:
    site = new_site(deid=SHORT).start()
    ds = dcmread(DicomBytesIO(ct_instance(Person(1))))
    ds.SeriesInstanceUID += ".7"
    stream = DicomBytesIO()
    ds.save_as(stream, enforce_file_format=True)
    study = site.await_status(site.send([ct_instance(Person(1)), bytes(stream.getvalue())]), "done")
    assert len(site.arrived(study["output"])) == 2
