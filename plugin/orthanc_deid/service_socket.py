"""The Unix socket between the plugin and the service."""

import contextlib
import fcntl
import http.client
import os
import shutil
import socket
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

HINT_S = 2.0  # time-out of a hint; a lost one costs nothing but seconds
PREFIX = "orthanc-deid-"
YOUNG_S = 60.0  # a folder this young may be about to be locked by its owner


class UnixConnection(http.client.HTTPConnection):
    """HTTP to the service over its Unix socket."""

    def __init__(self, path: Path, seconds: float) -> None:
        super().__init__("orthanc-deid", timeout=seconds)
        self._path = path

    def connect(self) -> None:
        """Connect; OSError where nobody listens."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


@dataclass(frozen=True)
class Service:
    """Where the service listens, and the secret that proves that a request comes from the plugin."""

    socket: Path
    secret: str

    def hint(self) -> None:
        """Tell the service to look at Orthanc's changes now; raises OSError or HTTPException where it is away."""
        with contextlib.closing(UnixConnection(self.socket, HINT_S)) as connection:
            headers = {"X-Deid-Secret": self.secret, "Content-Type": "application/json"}
            connection.request("POST", "/internal/hint", b"{}", headers)
            connection.getresponse().read()


class SocketFolder:
    """A folder that only we can enter, locked while its Orthanc lives, so that the next one can tell what is left."""

    def __init__(self) -> None:
        remove_left_folders(Path(tempfile.gettempdir()))
        self.path = Path(tempfile.mkdtemp(prefix=PREFIX))
        self._lock = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        fcntl.flock(self._lock, fcntl.LOCK_EX)

    def remove(self) -> None:
        """Remove the folder; harmless when called twice."""
        shutil.rmtree(self.path, ignore_errors=True)


def remove_left_folders(parent: Path) -> None:
    """Remove the folders of those Orthancs that were killed: ours, not young, and locked by nobody."""
    for path in parent.glob(PREFIX + "*"):
        with contextlib.suppress(OSError):  # locked, gone meanwhile, or of another user
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                found = os.fstat(descriptor)
                if found.st_uid != os.geteuid() or time.time() - found.st_mtime < YOUNG_S:
                    continue
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(path)
            finally:
                os.close(descriptor)
