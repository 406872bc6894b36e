"""Fixtures for tests with a real Orthanc and the plugin; the service behind it is a stub unless said otherwise."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from servers import MAIN, OrthancServer, wait_for

STUB = Path(__file__).parents[1] / "stub_service.py"
REFUSE = "intake: {refuse: [{name: screen-save, image_type: SCREEN SAVE}]}\n"


def write_python_with_stub(folder: Path) -> Path:
    """Answer a Python for ORTHANC_DEID_PYTHON that runs the stub where the service is asked for."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "python"
    path.write_text(
        "#!/bin/sh\n"
        f'if [ "$2" = orthanc_deid.service ]; then exec {sys.executable} {STUB} "$@"; fi\n'
        f'exec {sys.executable} "$@"\n'
    )
    path.chmod(0o755)
    return path


@pytest.fixture
def python_with_stub(tmp_path: Path) -> Path:
    return write_python_with_stub(tmp_path)


@pytest.fixture(scope="module")
def with_plugin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OrthancServer]:
    """Answer one Orthanc with the plugin and the stub for all tests of a module."""
    folder = tmp_path_factory.mktemp("orthanc")
    python = write_python_with_stub(folder)
    server = OrthancServer(folder / "a", script=MAIN, deid=REFUSE, environment={"ORTHANC_DEID_PYTHON": str(python)})
    with server:
        wait_for(lambda: server.get("/deid/x").ok, what="the stub answers")
        yield server


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OrthancServer]:
    """Answer one Orthanc without the plugin for all tests of a module."""
    server = OrthancServer(tmp_path_factory.mktemp("plain"))
    yield server.start()
    server.kill()
