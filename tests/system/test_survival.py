"""What must survive: kills at random moments, lost events, an archive that is down, files that are no DICOM."""

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
import requests

from databases import PostgresqlServer
from servers import children, is_running, wait_for
from sites import DEID, Site
from studies import Person, ct_study

STUDIES = 30
KILLS = 20
INSTANCES = 3


def _victim(site: Site, rng: random.Random) -> None:
    """Kill a worker, the service or Orthanc itself."""
    running = children(site.clinical.pid)
    kind = rng.choice(["worker", "worker", "service", "orthanc"])
    named = [pid for pid in running if _is(pid, kind)]
    if kind == "orthanc" or not named:
        site.clinical.kill()
        wait_for(lambda: not any(is_running(pid) for pid in running), 15, "all children ended")
        site.clinical.start()
        return
    for pid in named[:1]:
        _signal(pid)


def _is(pid: int, kind: str) -> bool:
    try:
        return f"orthanc_deid.{kind}".encode() in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def _signal(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


@pytest.mark.timeout(600)
def test_every_study_arrives_exactly_once_through_random_kills(site: Site) -> None:
    rng = random.Random(7)
    studies = {n: ct_study(Person(n), INSTANCES) for n in range(1, STUDIES + 1)}
    sources: dict[int, str] = {}
    waiting = sorted(studies)
    for kill in range(KILLS):
        for number in waiting[: 1 + len(waiting) // (KILLS - kill)]:
            sources[number] = _send_until_stored(site, studies[number])
        waiting = [n for n in waiting if n not in sources]
        time.sleep(rng.uniform(0.2, 2.0))
        _victim(site, rng)
    for number in waiting:
        sources[number] = _send_until_stored(site, studies[number])
    found = {n: site.await_status(source, "done", seconds=240) for n, source in sources.items()}
    assert len(found) == STUDIES
    outputs = Counter(study["output"] for study in found.values())
    assert set(outputs.values()) == {1}
    assert sorted(site.research.studies()) == sorted(outputs)
    assert {len(site.arrived(output)) for output in outputs} == {INSTANCES}
    assert len(site.research.instances()) == STUDIES * INSTANCES


def _send_until_stored(site: Site, files: list[bytes]) -> str:
    """Send as a modality does: what was not acknowledged is sent again."""
    end = time.monotonic() + 60
    while True:
        try:
            return site.send(files)
        except (requests.RequestException, ValueError, KeyError):
            assert time.monotonic() < end, "Orthanc does not come back"
            time.sleep(0.5)


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_a_study_whose_stable_event_was_lost_is_processed_after_the_restart(
    new_site: Callable[..., Site], how: str
) -> None:
    site = new_site(stable_age=5).start()
    source = site.send(ct_study(Person(1), 2))
    getattr(site.clinical, how)()
    site.clinical.start()
    assert site.await_status(source, "done", seconds=60)["instances"]["deidentified"] == 2


def test_an_archive_that_is_down_delays_only_its_deliveries(shared_site: Site) -> None:
    site = shared_site
    site.research.stop()
    source = site.send(ct_study(Person(101), 2))
    study = site.await_status(source, "exporting")
    wait_for(lambda: site.study(source)["next_attempt_at"], 30, "the next attempt is visible")
    study = site.study(source)
    assert study["destinations"] == {"research": "pending"}
    assert "cannot be reached" in study["deliveries"][0]["reason"]
    other = site.send(ct_study(Person(102), 2))
    assert site.await_status(other, "exporting")["instances"]["deidentified"] == 2
    site.research.start()
    assert site.await_status(source, "done")["destinations"] == {"research": "confirmed"}
    assert site.await_status(other, "done")["destinations"] == {"research": "confirmed"}


def test_a_waiting_delivery_can_be_hastened(new_site: Callable[..., Site]) -> None:
    site = new_site(deid=DEID.replace("backoff_s: 1", "backoff_s: 3000")).start()
    site.research.stop()
    source = site.send(ct_study(Person(1), 2))
    wait_for(lambda: site.study(source).get("next_attempt_at"), 30, "the delivery waits")
    site.research.start()
    assert site.clinical.post(f"/deid/studies/{source}/retry").status_code == 202
    site.await_status(source, "done")


def test_a_cancelled_study_stays_where_it_is_until_it_is_retried(shared_site: Site) -> None:
    site = shared_site
    site.research.stop()
    source = site.send(ct_study(Person(103), 2))
    output = site.await_status(source, "exporting")["output"]
    assert site.clinical.post(f"/deid/studies/{source}/cancel").status_code == 202
    site.research.start()
    time.sleep(3)
    assert site.study(source)["status"] == "cancelled"
    assert site.arrived(output) == []
    assert site.clinical.post(f"/deid/studies/{source}/retry").status_code == 202
    assert site.await_status(source, "done")["destinations"] == {"research": "confirmed"}


def test_a_database_that_is_away_for_a_while_loses_nothing(
    new_site: Callable[..., Site], postgresql: PostgresqlServer
) -> None:
    site = new_site(database_url=postgresql.new_database()).start()
    postgresql.stop()
    source = site.send(ct_study(Person(1), 2))
    time.sleep(5)
    postgresql.start()
    site.await_status(source, "done", seconds=90)
