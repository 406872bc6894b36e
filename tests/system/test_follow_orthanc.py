"""Another Orthanc is followed by the product's own process: to the end, and across kills."""

from pathlib import Path

import pytest

from servers import OrthancServer, wait_for
from sites import DEID, Site
from studies import Person, ct_study

SOURCE = """
sources:
  - name: other
    kind: orthanc
    url: {other}
    username: admin
    password_file: {other_password}
    poll_s: 0.5
"""


def product_beside(there: OrthancServer, folder: Path) -> Site:
    named = SOURCE.format(other=there.url, other_password=there.home / "admin-password")
    return Site(folder / "site", deid=DEID + named)


def test_a_study_of_another_orthanc_goes_through_to_done_also_across_a_kill(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    there = OrthancServer(tmp_path / "there", name="THERE")
    request.addfinalizer(there.kill)
    there.start()
    site = product_beside(there, tmp_path)
    request.addfinalizer(site.kill)
    site.start()
    wait_for(lambda: '"collector ready"' in site.clinical.log(), 30)
    first = [there.upload(file).json()["ParentStudy"] for file in ct_study(Person(), 3)][-1]
    done = site.await_status(first, "done")
    assert len(site.arrived(done["output"])) == 3
    second = [there.upload(file).json()["ParentStudy"] for file in ct_study(Person(2), 20)][-1]
    wait_for(lambda: second in site.clinical.studies(), 30)
    site.clinical.kill()  # in the middle of it, or just after
    site.clinical.start()
    site.await_service()
    done = site.await_status(second, "done", seconds=90)
    wait_for(lambda: len(site.arrived(site.study(second)["output"])) == 20, 60)
    assert sorted(there.studies()) == sorted([first, second])
    assert [marker for marker in Person(2).markers if marker in site.clinical.log()] == []
