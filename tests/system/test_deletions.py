"""What somebody deletes while we need it: sources, outputs, our database; nothing may be stuck afterwards."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.filebase import DicomBytesIO

from servers import wait_for
from sites import DEID, Site
from studies import Person, ct_instance, ct_study

SHORT = DEID.replace("limits:\n", "limits:\n  attempts: 2\n  delivery_attempts: 2\n")


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Answer a running Site that gives up soon; each test has a patient of its own."""
    made = Site(tmp_path_factory.mktemp("site"), deid=SHORT).start()
    yield made
    made.kill()


def test_a_late_instance_arrives_although_the_outputs_were_deleted(short: Site) -> None:
    site = short
    first = site.await_status(site.send(ct_study(Person(11), 3)), "done")
    site.clinical.request("DELETE", f"/studies/{first['output']}")
    site.send(ct_study(Person(11), 1, first=4))
    second = site.await_status(first["source"], "done", version=2)
    assert len(site.arrived(second["output"])) == 4


def test_two_series_that_share_a_sop_instance_uid_both_arrive(short: Site) -> None:
    site = short
    ds = dcmread(DicomBytesIO(ct_instance(Person(12))))
    ds.SeriesInstanceUID += ".7"
    stream = DicomBytesIO()
    ds.save_as(stream, enforce_file_format=True)
    study = site.await_status(site.send([ct_instance(Person(12)), bytes(stream.getvalue())]), "done")
    assert len(site.arrived(study["output"])) == 2


def test_studies_are_done_again_after_the_ledger_was_lost(new_site: Callable[..., Site], tmp_path: Path) -> None:
    site = new_site(database_url=f"sqlite:///{tmp_path / 'deid.sqlite'}").start()
    sources = [site.send(ct_study(Person(n), 2)) for n in (1, 2)]
    outputs = [site.await_status(source, "done")["output"] for source in sources]
    site.clinical.stop()
    for file in tmp_path.glob("deid.sqlite*"):
        file.unlink()
    site.clinical.start()
    site.await_service()
    wait_for(lambda: all(site.study(source) for source in sources), 30)
    assert [site.await_status(source, "done")["output"] for source in sources] == outputs
    assert len(site.research.instances()) == 4


def test_a_late_instance_waits_while_the_key_is_another_one_and_makes_no_second_study(
    new_site: Callable[..., Site],
) -> None:
    site = new_site().start()
    first = site.await_status(site.send(ct_study(Person(1), 2)), "done")
    site.clinical.stop()
    key = site.clinical.home / "key"
    before = key.read_text()
    key.write_text("ab" * 32 + "\n")
    site.clinical.start()
    site.await_service()
    site.send(ct_study(Person(1), 1, first=3))
    assert site.await_status(first["source"], "queued", version=2)["output"] == first["output"]
    assert "bring" in site.clinical.get("/deid/health").json()["checks"]["keys"]
    assert site.research.studies() == [first["output"]]
    site.clinical.stop()
    key.write_text(before)
    site.clinical.start()
    site.await_service()
    assert len(site.arrived(site.await_status(first["source"], "done", version=2)["output"])) == 3


def test_a_late_instance_is_done_although_another_source_was_deleted(short: Site) -> None:
    site = short
    first = site.await_status(site.send(ct_study(Person(13), 3)), "done")
    oldest = site.clinical.get(f"/studies/{first['source']}/instances").json()[0]["ID"]
    site.clinical.request("DELETE", f"/instances/{oldest}")
    site.send(ct_study(Person(13), 1, first=4))
    assert len(site.arrived(site.await_status(first["source"], "done", version=2)["output"])) == 4


def test_outputs_that_were_deleted_before_they_left_are_made_and_verified_again(
    new_site: Callable[..., Site],
) -> None:
    site = new_site(deid=SHORT.replace("delivery_attempts: 2", "delivery_attempts: 20")).start()
    site.research.stop()
    source = site.send(ct_study(Person(1), 2))
    output = site.await_status(source, "exporting")["output"]
    site.clinical.request("DELETE", f"/studies/{output}")
    assert site.clinical.post(f"/deid/studies/{source}/cancel").status_code == 202
    site.research.start()
    assert site.clinical.post(f"/deid/studies/{source}/retry").status_code == 202
    study = site.await_status(source, "done")
    assert len(site.arrived(output)) == 2
    assert [e["status"] for e in study["events"]].count("verifying") == 2


def test_what_a_cancelled_run_left_is_replaced_where_the_profile_is_another_now(new_site: Callable[..., Site]) -> None:
    site = new_site().start()
    source = site.send(ct_study(Person(1), 150))
    wait_for(lambda: len(site.clinical.instances()) > 150, 30, "the first results are stored")
    assert site.clinical.post(f"/deid/studies/{source}/cancel").status_code == 202
    site.clinical.stop()
    text = site.clinical.deid_file.read_text()
    site.clinical.deid_file.write_text(text.replace("name: default\n", "name: default\n    profile: basic\n"))
    site.clinical.start()
    site.await_service()
    assert site.clinical.post(f"/deid/studies/{source}/retry").status_code == 202
    output = site.await_status(source, "done")["output"]
    tags = site.research.get(f"/studies/{output}/instances-tags?simplify").json().values()
    assert len(tags) == 150
    assert {tag["DeidentificationMethod"].split("\\")[1].split()[0] for tag in tags} == {"basic"}


def test_what_a_cancelled_run_stored_is_withdrawn_since_nobody_searched_it(new_site: Callable[..., Site]) -> None:
    site = new_site().start()
    source = site.send(ct_study(Person(1), 150))
    wait_for(lambda: site.study(source).get("instances", {}).get("deidentified", 0) >= 16, 30, "it is at work")
    assert site.clinical.post(f"/deid/studies/{source}/cancel").status_code == 202
    assert len(site.clinical.studies()) == 2
    wait_for(lambda: site.clinical.studies() == [source], 60, "the unverified output is gone")
    wait_for(lambda: site.study(source)["instances"]["deidentified"] == 0, 10, "the ledger knows")
    assert site.clinical.post(f"/deid/studies/{source}/retry").status_code == 202
    assert len(site.arrived(site.await_status(source, "done")["output"])) == 150
