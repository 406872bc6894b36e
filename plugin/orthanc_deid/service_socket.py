"""The Unix socket between the plugin and the service."""

import contextlib
import http.client
import socket
from dataclasses import dataclass
from pathlib import Path

HINT_S = 2.0  # time-out of a hint; a lost one costs nothing but seconds


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
