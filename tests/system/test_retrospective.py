"""An archive that was there before: checked, run from a list, marked, imported; and STOW-RS as a way in."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from servers import CHECKOUT, wait_for
from sites import Site
from studies import ROOT, Person, ct_study

GONE = "0" * 8 + 4 * ("-" + "0" * 8)
DEID = """
projects:
  - name: default
    destinations: [research]
destinations:
  - name: research
    kind: orthanc-peer
    url: {url}
    username: admin
    password_file: {password_file}
intake:
  automatic: false
  reconcile_s: 1
"""


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Answer a site that starts nothing by itself."""
    site = Site(tmp_path_factory.mktemp("archive"), deid=DEID).start()
    yield site
    site.kill()


def command(site: Site, *words: str, lines: str | None = None) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("ORTHANC_DEID_")}
    return subprocess.run(
        [sys.executable, "-m", "orthanc_deid", "--url", site.clinical.url, *words],
        env=clean | {"PYTHONPATH": str(CHECKOUT / "plugin"), "ORTHANC_DEID_HOME": str(site.clinical.home)},
        input=lines,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )


def unprocessed(site: Site) -> list[str]:
    done = command(site, "check", "--raw")
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_an_older_archive_is_checked_marked_imported_and_run(archive: Site, tmp_path: Path) -> None:
    studies = [archive.send(ct_study(Person(number), 2)) for number in (1, 2, 3, 4)]
    assert set(unprocessed(archive)) == set(studies)
    imported = tmp_path / "uuids.json"
    imported.write_text(json.dumps([studies[0], GONE]))
    told = json.loads(command(archive, "--json", "import-uuids", str(imported)).stdout)
    assert (told["marked"], told["absent"]) == (2, 1)
    assert command(archive, "mark-processed", "-", lines=studies[1]).returncode == 0
    wait_for(lambda: archive.study(studies[0]).get("reason") == "marked as processed by admin", 10)
    assert set(unprocessed(archive)) == set(studies[2:])
    ran = command(archive, "run", "--wait", "-", lines="\n".join(unprocessed(archive)))
    assert (ran.returncode, ran.stderr.splitlines()[-1]) == (0, "2 taken, 0 refused")
    assert unprocessed(archive) == []
    outputs = [archive.study(study)["output"] for study in studies[2:]]
    assert [len(archive.arrived(output)) for output in outputs] == [2, 2]
    assert archive.study(studies[1])["status"] == "ignored"
    again = command(archive, "run", "--wait", studies[1])
    assert (again.returncode, archive.study(studies[1])["status"]) == (0, "done")
    shown = ran.stdout + ran.stderr + again.stdout + command(archive, "check").stdout + archive.clinical.log()
    markers = [marker for person in (1, 2, 3, 4) for marker in Person(person).markers if marker != ROOT]
    assert [marker for marker in markers if marker in shown] == []
