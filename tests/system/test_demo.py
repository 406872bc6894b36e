import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from servers import free_port

ROOT = Path(__file__).resolve().parents[2]
Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def environment(home: Path) -> dict[str, str]:
    return os.environ | {
        "ORTHANC_DEID_HOME": str(home),
        "ORTHANC_DEID_HTTP_PORT": str(free_port()),
        "ORTHANC_DEID_DICOM_PORT": str(free_port()),
    }


@pytest.fixture
def start(environment: dict[str, str]) -> Iterator[Start]:
    started = []

    def run(*words: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            ["./run", *words], cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.communicate(timeout=10)


def processes_of(home: Path) -> list[int]:
    """Answer every process, however far down, that was started with this home."""
    wanted = f"ORTHANC_DEID_HOME={home}".encode()
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            environment = (folder / "environ").read_bytes()
        except OSError:
            continue  # it ended meanwhile
        if wanted in environment:
            found.append(int(folder.name))
    return found


def await_end_of_all(home: Path, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while processes_of(home) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert processes_of(home) == []


def read_until(process: subprocess.Popen[str], text: str) -> None:
    assert process.stdout
    for line in process.stdout:
        if text in line:
            return
    pytest.fail(f"ended before it said {text!r}")


def test_the_demo_brings_every_sample_to_the_archive_twice(start: Start, home: Path) -> None:
    for _ in range(2):
        began = time.monotonic()
        process = start("demo", "--once")
        output, _ = process.communicate(timeout=150)
        assert process.returncode == 0, output
        assert "whole and without their identity" in output
    assert time.monotonic() - began < 30, "the second time everything is installed"
    await_end_of_all(home, 5)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_a_signal_to_the_demo_ends_everything(start: Start, home: Path, number: signal.Signals) -> None:
    process = start("demo")
    read_until(process, ": sent")
    assert len(processes_of(home)) >= 4
    process.send_signal(number)
    process.wait(timeout=20)
    await_end_of_all(home, 10)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_a_signal_to_the_product_ends_everything(start: Start, home: Path, number: signal.Signals) -> None:
    process = start()
    read_until(process, "worker ready")
    process.send_signal(number)
    process.wait(timeout=20)
    await_end_of_all(home, 10)


def test_a_taken_port_is_told_by_its_variable(start: Start) -> None:
    first = start("archive")
    read_until(first, "Orthanc has started")
    second = start("archive")
    output, _ = second.communicate(timeout=20)
    assert second.returncode == 2
    assert "choose another: ORTHANC_DEID_HTTP_PORT=" in output


def test_a_containers_health_check_sees_its_server(start: Start, environment: dict[str, str]) -> None:
    check = [sys.executable, "-m", "orthanc_deid.healthcheck", "archive"]
    environment["PYTHONPATH"] = str(ROOT / "plugin")
    read_until(start("archive"), "Orthanc has started")
    assert subprocess.run(check, env=environment, timeout=20, check=False).returncode == 0
    environment["ORTHANC_DEID_HTTP_PORT"] = str(free_port())
    assert subprocess.run(check, env=environment, timeout=20, check=False, stderr=subprocess.DEVNULL).returncode == 1
