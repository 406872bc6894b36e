"""Connections that end when their time is up, however slowly bytes drip."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool


class Cut:
    """Ends connections when time is up: a time-out of a socket starts anew with each byte that drips in."""

    def __init__(self) -> None:
        self.fired = False
        self._sockets: set[socket.socket] = set()
        self._timer: threading.Timer | None = None

    @contextlib.contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """End what is open when the block takes longer; `fired` tells afterwards."""
        self.fired = False
        self.begin(seconds)
        try:
            yield
        finally:
            self._stop()

    def begin(self, seconds: float) -> None:
        """Start the time anew."""
        self._stop()
        self._timer = threading.Timer(seconds, self._fire)
        self._timer.daemon = True
        self._timer.start()

    def _stop(self) -> None:
        if self._timer:
            self._timer.cancel()

    def _fire(self) -> None:
        self.fired = True
        for each in tuple(self._sockets):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def watch(self, connected: socket.socket) -> socket.socket:
        """Answer a second handle of a connection, which stays when TLS takes the first."""
        double = connected.dup()
        self._sockets.add(double)
        return double

    def forget(self, double: socket.socket) -> None:
        """Close a second handle."""
        self._sockets.discard(double)
        double.close()


class Adapter(HTTPAdapter):
    """Makes connections that `Cut` can end."""

    def __init__(self, cut: Cut) -> None:
        self._pools = _pools(cut)
        super().__init__()

    def init_poolmanager(self, *arguments: Any, **more: Any) -> None:  # noqa: ANN401  # of requests
        """Take our kind of connections."""
        super().init_poolmanager(*arguments, **more)
        self.poolmanager.pool_classes_by_scheme = self._pools

    def proxy_manager_for(self, proxy: Any, **more: Any) -> Any:  # noqa: ANN401  # of requests
        """Take our kind of connections also through a proxy."""
        manager = super().proxy_manager_for(proxy, **more)
        manager.pool_classes_by_scheme = self._pools
        return manager


def _pools(cut: Cut) -> dict[str, type[HTTPConnectionPool]]:
    class Watched(HTTPConnection):
        double: socket.socket | None = None

        def _new_conn(self) -> socket.socket:
            connected = super()._new_conn()
            self.double = cut.watch(connected)
            return connected

        def close(self) -> None:
            super().close()
            if self.double:
                cut.forget(self.double)
                self.double = None

    class WatchedTls(Watched, HTTPSConnection):
        def send(self, data: Any) -> None:  # noqa: ANN401  # of http.client
            try:
                super().send(data)
            except ssl.SSLEOFError:
                # The far side may have answered and closed before all was sent: as without TLS, the answer is read.
                raise BrokenPipeError from None

    class Pool(HTTPConnectionPool):
        ConnectionCls = Watched

    class TlsPool(HTTPSConnectionPool):
        ConnectionCls = WatchedTls

    return {"http": Pool, "https": TlsPool}
