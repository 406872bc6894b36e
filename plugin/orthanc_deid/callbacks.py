"""Orthanc's events become hints for the service; its start and stop are the service's."""

import contextlib
import http.client
import queue
import threading
from collections.abc import Callable
from typing import Any, Protocol

from .audit_feed import Feed
from .supervisor import Child


class Orthanc(Protocol):
    """The part of the embedded module that the plugin uses; it is an argument, so that tests can stand in."""

    ChangeType: Any
    InstanceOrigin: Any
    ReceivedInstanceAction: Any

    def CheckVersionAdvanced(self, major: int, minor: int, revision: int, /) -> int: ...  # noqa: N802, D102  # Orthanc's name
    def ExtendOrthancExplorer(self, javascript: str, /) -> None: ...  # noqa: N802, D102
    def GenerateRestApiAuthorizationToken(self) -> str: ...  # noqa: N802, D102
    def GetConfiguration(self) -> str: ...  # noqa: N802, D102
    def RegisterOnChangeCallback(self, callback: Callable[[int, int, str], None], /) -> None: ...  # noqa: N802, D102
    def RegisterReceivedInstanceCallback(self, callback: Callable[[bytes, int], Any], /) -> None: ...  # noqa: N802, D102
    def RegisterRestCallback(self, uri: str, callback: Callable[..., None], /) -> None: ...  # noqa: N802, D102


class Hints:
    """Passes hints on in a thread of its own; those that come during one are one."""

    def __init__(self, send: Callable[[], None]) -> None:
        self._send = send
        self._waiting: queue.SimpleQueue[None] = queue.SimpleQueue()
        threading.Thread(target=self._run, name="hints", daemon=True).start()

    def give(self) -> None:
        """Never blocks."""
        self._waiting.put(None)

    def _run(self) -> None:
        while True:
            self._waiting.get()
            with contextlib.suppress(queue.Empty):
                while True:
                    self._waiting.get_nowait()
            # Dropped where the service is away: it compares Orthanc with its ledger when it starts.
            with contextlib.suppress(OSError, http.client.HTTPException):
                self._send()


class Changes:
    """Orthanc's change callback; runs on the one thread that delivers every change."""

    def __init__(  # what it acts on
        self, change_types: Any, *, child: Child, hints: Hints, after_stop: Callable[[], None],  # noqa: ANN401  # Orthanc's enumeration
        feed: Feed | None = None,
    ) -> None:  # fmt: skip
        self._actions: dict[int, Callable[[], None]] = {
            change_types.ORTHANC_STARTED: self._start,
            change_types.STABLE_STUDY: hints.give,
            change_types.ORTHANC_STOPPED: self._stop,
        }
        self._child, self._feed = child, feed
        self._after_stop = after_stop

    def __call__(self, change: int, _level: int, _resource: str) -> None:
        """Act on the few changes that matter."""
        action = self._actions.get(change)
        if action:
            action()

    def _start(self) -> None:
        self._child.start()
        if self._feed:
            self._feed.start()

    def _stop(self) -> None:
        if self._feed:
            self._feed.stop()  # first: it speaks to Orthanc
        self._child.stop(5)  # of the 10 s that Orthanc as a whole may take
        self._after_stop()
