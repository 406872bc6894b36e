"""The two Orthancs of the demo: started, awaited and stopped together, dead when this process is."""

import ctypes
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from orthanc_deid import install, orthanc_rest, settings
from orthanc_deid.errors import DeidError

ORTHANC = "/usr/sbin/Orthanc"
STABLE_AGE_S = 2
KEPT = ("key", "admin-password")  # all else of an earlier demo is deleted


class NotUp(DeidError):
    """A server of the demo ended or did not answer in time."""


@dataclass
class Server:
    """One Orthanc process."""

    site: settings.Settings
    process: subprocess.Popen[bytes]
    log: Path

    def client(self) -> orthanc_rest.Orthanc:
        """Answer a connection as the administrator."""
        password = settings.read_secret(self.site.admin_password_file)
        address = orthanc_rest.Address(self.site.orthanc_url, orthanc_rest.basic("admin", password), timeout_s=10)
        return orthanc_rest.Orthanc(address)

    def await_answer(self, path: str, deadline: float) -> None:
        """Wait until a GET succeeds; raise NotUp when the process ends or `deadline` (monotonic, s) passes."""
        client = self.client()
        while True:
            try:
                client.get(path)
            except DeidError as error:
                if time.monotonic() > deadline:
                    raise NotUp(f"{path} does not answer ({error}); see {self.log}") from None
            else:
                return
            self.check()
            time.sleep(0.1)

    def check(self) -> None:
        """Raise NotUp where the process has ended."""
        code = self.process.poll()
        if code is not None:
            raise NotUp(f"an Orthanc ended with code {code}; see {self.log}")


class Pair:
    """The clinical Orthanc, with the product and one destination, and the research archive."""

    def __init__(self, site: settings.Settings) -> None:
        self._folder = site.home / "demo"
        for folder in (self._folder, self._folder / "clinical", self._folder / "research"):
            install.private_folder(folder)
        http, dicom = free_ports(site.http_port, site.dicom_port)
        self._environments = {
            "research": _environment(self._folder, "research", http, dicom, {}),
            "clinical": _environment(
                self._folder, "clinical", site.http_port, site.dicom_port, _product(self._folder, http)
            ),
        }
        self._servers: dict[str, Server] = {}

    def __enter__(self) -> Self:
        """Start both; the caller waits with `await_answers`."""
        try:
            self._start("research", "archive")
            self._start("clinical", "product")
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop both, together: each takes some 3 s."""
        self._stop()

    @property
    def clinical(self) -> Server:
        """The Orthanc that studies are sent to."""
        return self._servers["clinical"]

    @property
    def research(self) -> Server:
        """The Orthanc where they arrive."""
        return self._servers["research"]

    def await_answers(self, deadline: float) -> None:
        """Wait until the archive and the product answer."""
        self.research.await_answer("/system", deadline)
        self.clinical.await_answer("/deid/health", deadline)

    def _start(self, name: str, role: str) -> None:
        environment = self._environments[name]
        site = settings.load(environment)
        _clear(site.home)
        path = install.prepare(site, role, {"StableAge": STABLE_AGE_S})
        log = self._folder / f"{name}.log"
        with log.open("wb") as stream:
            process = subprocess.Popen(
                [ORTHANC, str(path)],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                preexec_fn=_die_with_parent,  # noqa: PLW1509  # this process has one thread
            )
        self._servers[name] = Server(site, process, log)

    def _stop(self) -> None:
        for server in self._servers.values():
            server.process.send_signal(signal.SIGTERM)
        for server in self._servers.values():
            try:
                server.process.wait(15)
            except subprocess.TimeoutExpired:
                server.process.kill()
                server.process.wait(5)


def free_ports(*taken: int) -> list[int]:
    """Answer for each port the next higher one that is free and not among them."""
    found: list[int] = []
    for port in taken:
        following = range(port + 1, 65536)
        found.append(next(p for p in following if p not in (*taken, *found) and not install.busy(p)))
    return found


def _environment(folder: Path, name: str, http: int, dicom: int, configuration: Mapping[str, Any]) -> dict[str, str]:
    """Write a server's deid.yaml (JSON is YAML) and answer its environment, with no setting of the person's own."""
    file = folder / f"{name}.yaml"
    install.replace_private(file, json.dumps(configuration, indent=2) + "\n")
    return {k: v for k, v in os.environ.items() if not k.startswith("ORTHANC_DEID_")} | {
        "TCP_NODELAY": "1",
        "ORTHANC_DEID_HOME": str(folder / name),
        "ORTHANC_DEID_CONFIG": str(file),
        "ORTHANC_DEID_HTTP_PORT": str(http),
        "ORTHANC_DEID_DICOM_PORT": str(dicom),
        "ORTHANC_DEID_PYTHON": sys.executable,
    }


def _product(folder: Path, archive_port: int) -> dict[str, Any]:
    """Answer the configuration of the clinical Orthanc: everything goes to the archive."""
    destination = {
        "kind": "orthanc-peer",
        "name": "research",
        "url": f"http://127.0.0.1:{archive_port}",
        "username": "admin",
        "password_file": str(folder / "research" / "admin-password"),
    }
    return {
        "projects": [{"name": "demo", "profile": "research", "destinations": ["research"]}],
        "destinations": [destination],
        "intake": {"reconcile_s": 1.0},
        "limits": {"backoff_s": 1.0},
    }


def _clear(home: Path) -> None:
    for path in home.iterdir():
        if path.name in KEPT:
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)  # PR_SET_PDEATHSIG
