"""A real Orthanc for one test: its own ports, folder and password, ended by its process id."""

import json
import os
import random
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

CHECKOUT = Path(__file__).resolve().parents[1]
MAIN = CHECKOUT / "plugin" / "main.py"
PLUGINS = Path("/usr/share/orthanc/plugins")
ORTHANC = "Orthanc"


def free_port() -> int:
    """Answer a port that nobody listens on, below the range that the kernel gives to outgoing connections."""
    for port in random.sample(range(20000, 32000), 200):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("no free port")


def wait_for(condition: Callable[[], object], seconds: float = 20, what: str = "") -> None:
    """Ask until `condition` is true; fail after `seconds`."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds} s: {what or condition}"
        time.sleep(0.05)


def is_running(pid: int) -> bool:
    """Answer whether a process exists and is not a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def children(pid: int) -> list[int]:
    """Answer the ids of the running processes that `pid` and its descendants started."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            direct = [int(word) for word in task.read_text().split()]
        except (FileNotFoundError, ProcessLookupError):
            continue
        for child in direct:
            found += [child, *children(child)]
    return [child for child in found if is_running(child)]


class OrthancServer:
    """One Orthanc; `start`, `stop`, `kill` and `start` again keep ports, storage and password.

    Parameters
    ----------
    folder
        Holds everything: storage, configuration, log, home of the plugin.
    script
        The Python script to load, usually `MAIN`; None: no Python plugin.
    deid
        The text of deid.yaml; used with a script.
    configuration
        Further keys of orthanc.json.
    environment
        Further variables of Orthanc's process.
    plugins
        Further plugins by file name, "libOrthancDicomWeb.so".
    """

    def __init__(
        self,
        folder: Path,
        *,
        name: str = "ORTHANC",
        script: Path | None = None,
        deid: str = "",
        configuration: Mapping[str, Any] | None = None,
        environment: Mapping[str, str] | None = None,
        plugins: Sequence[str] = (),
    ) -> None:
        self.folder = folder
        self.name = name
        self.http_port = free_port()
        self.dicom_port = free_port()
        self.url = f"http://127.0.0.1:{self.http_port}"
        self.password = secrets.token_hex(16)
        self.users = {"admin": self.password}
        self.home = folder / "home"
        self.log_file = folder / "orthanc.log"
        self.deid_file = folder / "deid.yaml"
        self.process: subprocess.Popen[bytes] | None = None
        self.session = requests.Session()
        self.session.trust_env = False
        # Orthanc closes a connection that was quiet for a second: whoever asks in that moment is told nothing.
        once_more = Retry(
            total=1, connect=0, status=0, redirect=0, other=0, read=1, allowed_methods=["GET"],
            respect_retry_after_header=False,
        )  # fmt: skip
        self.session.mount("http://", HTTPAdapter(max_retries=once_more))
        self.session.auth = ("admin", self.password)
        self.session.headers["Accept-Encoding"] = "identity"
        self._script = script
        self._plugins = plugins
        self._configuration = dict(configuration or {})
        self._environment = dict(environment or {})
        self._prepare(deid)

    def _prepare(self, deid: str) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.home.mkdir(mode=0o700, exist_ok=True)
        for name, secret in (("admin-password", self.password), ("key", secrets.token_hex(32))):
            path = self.home / name
            path.touch(mode=0o600)
            path.write_text(secret + "\n")
        self.deid_file.write_text(deid)

    def _orthanc_json(self) -> dict[str, Any]:
        plugins = [str(PLUGINS / name) for name in self._plugins]
        written: dict[str, Any] = {
            "Name": self.name,
            "StorageDirectory": str(self.folder / "storage"),
            "IndexDirectory": str(self.folder / "storage"),
            "HttpPort": self.http_port,
            "RemoteAccessAllowed": False,
            "AuthenticationEnabled": True,
            "RegisteredUsers": self.users,
            "DicomPort": self.dicom_port,
            "DicomAet": self.name,
            "StableAge": 1,
            "KeepAlive": True,
            "Plugins": plugins,
        }
        if self._script:
            plugins.append(str(PLUGINS / "libOrthancPython.so"))
            written |= {"PythonScript": str(self._script), "PythonVerbose": False}
        return written | self._configuration

    def _environ(self) -> dict[str, str]:
        base = {k: v for k, v in os.environ.items() if not k.startswith("ORTHANC_DEID_")}
        ours = {
            "TCP_NODELAY": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
            "ORTHANC_DEID_HOME": str(self.home),
            "ORTHANC_DEID_CONFIG": str(self.deid_file),
            "ORTHANC_DEID_HTTP_PORT": str(self.http_port),
            "ORTHANC_DEID_DICOM_PORT": str(self.dicom_port),
            "ORTHANC_DEID_PYTHON": sys.executable,
        }
        return base | ours | self._environment

    @property
    def version(self) -> tuple[int, ...]:
        """Orthanc's own version."""
        return tuple(int(part) for part in self.get("/system").json()["Version"].split("."))

    def type_of_error(self, own: str) -> str:
        """Answer the Content-Type of a body that is sent with another status than 200."""
        return own if self.version < (1, 12) else "text/plain"  # newer Orthancs have no way to send another

    @property
    def pid(self) -> int:
        """The process id of Orthanc."""
        assert self.process
        return self.process.pid

    def launch(self) -> None:
        """Start Orthanc's process and return at once."""
        config = self.folder / "orthanc.json"
        config.write_text(json.dumps(self._orthanc_json()))
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(
                [ORTHANC, str(config)],
                env=self._environ(),
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def start(self, seconds: float = 30) -> Self:
        """Start Orthanc and wait until it answers."""
        self.launch()
        try:
            wait_for(self._answers, seconds, "Orthanc answers")
        except AssertionError:
            self.kill()
            raise AssertionError(f"Orthanc did not start:\n{self.log()[-3000:]}") from None
        return self

    def _answers(self) -> bool:
        assert self.process
        assert self.process.poll() is None, "Orthanc ended"
        try:
            return self.get("/system", timeout=2).ok
        except requests.RequestException:
            return False

    def stop(self, seconds: float = 20) -> float:
        """Send SIGTERM, wait, and answer the seconds it took; SIGKILL and a failure after `seconds`."""
        began = time.monotonic()
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                self.kill()
                raise AssertionError(f"Orthanc did not stop within {seconds} s") from None
        self.session.close()
        return time.monotonic() - began

    def kill(self) -> None:
        """Send SIGKILL and wait."""
        if self.process:
            self.process.kill()
            self.process.wait(10)
        self.session.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def log(self) -> str:
        """Answer all that Orthanc and its children have written."""
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    def request(self, method: str, path: str, *, timeout: float = 20, **more: Any) -> requests.Response:  # noqa: ANN401  # of requests
        """Send a request as `admin`."""
        return self.session.request(method, self.url + path, timeout=timeout, **more)

    def get(self, path: str, *, timeout: float = 20, **more: Any) -> requests.Response:  # noqa: ANN401  # of requests
        """GET as `admin`."""
        return self.request("GET", path, timeout=timeout, **more)

    def post(self, path: str, *, timeout: float = 20, **more: Any) -> requests.Response:  # noqa: ANN401  # of requests
        """POST as `admin`."""
        return self.request("POST", path, timeout=timeout, **more)

    def upload(self, dicom: bytes) -> requests.Response:
        """POST one instance."""
        return self.post("/instances", data=dicom, headers={"Content-Type": "application/dicom"})

    def c_store(self, *files: Path, calling: str = "TESTER", seconds: float = 60) -> subprocess.CompletedProcess[str]:
        """Send files over DICOM in the transfer syntax they have; exit 0: every one was accepted."""
        return subprocess.run(
            ["dcmsend", "-v", "-dn", "-nuc", "-aet", calling, "-aec", self.name, *self._address(), *map(str, files)],
            env=os.environ | {"TCP_NODELAY": "1"},
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )

    def _address(self) -> tuple[str, str]:
        return "127.0.0.1", str(self.dicom_port)

    def instances(self) -> list[str]:
        """Answer Orthanc's ids of all instances."""
        answer = self.get("/instances")
        answer.raise_for_status()
        return list(answer.json())

    def studies(self) -> list[str]:
        """Answer Orthanc's ids of all studies."""
        answer = self.get("/studies")
        answer.raise_for_status()
        return list(answer.json())
