import os
import signal
from pathlib import Path

import pytest

from conftest import NewOrthanc
from servers import MAIN, OrthancServer, children, is_running, wait_for


def started(new_orthanc: NewOrthanc, python: Path | None = None) -> OrthancServer:
    environment = {"ORTHANC_DEID_PYTHON": str(python)} if python else {}
    server = new_orthanc(script=MAIN, environment=environment).start()
    wait_for(lambda: server.get("/deid/health").status_code != 503, 30, "the service answers")
    return server


def test_kill_9_of_orthanc_leaves_no_process(new_orthanc: NewOrthanc) -> None:
    server = started(new_orthanc)
    wait_for(lambda: len(children(server.pid)) >= 2, 20, "service and worker run")
    pids = children(server.pid)
    server.kill()
    wait_for(lambda: not any(map(is_running, pids)), 5, "the service and its children are gone")


def test_sigterm_ends_everything_within_10_s(new_orthanc: NewOrthanc) -> None:
    server = started(new_orthanc)
    wait_for(lambda: len(children(server.pid)) >= 2, 20, "service and worker run")
    pids = children(server.pid)
    assert server.stop() < 10
    wait_for(lambda: not any(map(is_running, pids)), 1, "the service and its children are gone")


def test_a_service_that_dies_is_started_again(new_orthanc: NewOrthanc, python_with_stub: Path) -> None:
    server = started(new_orthanc, python_with_stub)
    [pid] = children(server.pid)
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: server.get("/deid/health").status_code == 503, 3, "its absence is seen")
    wait_for(lambda: server.get("/deid/health").ok, 10, "it answers again")
    assert children(server.pid) != [pid]


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_orthanc_starts_again_with_a_new_service(new_orthanc: NewOrthanc, python_with_stub: Path, end: str) -> None:
    server = started(new_orthanc, python_with_stub)
    getattr(server, end)()
    server.start()
    wait_for(lambda: server.get("/deid/health").ok, 10, "it answers again")
