"""Passes the audit's records on to Orthanc's own audit (plugin 7.1, Orthanc 1.13); standard library only.

Runs in Orthanc's process in a thread of its own, since only there can Orthanc be told. At least once: the cursor is
written after the records it counts, and what was passed on before a crash in between is passed on once more.
"""

import contextlib
import http.client
import json
import logging
import os
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from . import log
from .service_socket import Service, UnixConnection

CURSOR = "audit-passed-on"
PRODUCT = "orthanc-deid"
ASK_S = 10.0
LOOK_S, AWAY_S = 5.0, 15.0
USER_LENGTH = 64


class Emit(Protocol):
    """Orthanc's EmitAuditLog: six arguments, none by name; the data are bytes or text."""

    def __call__(self, plugin: str, user: str, level: int, resource: str, action: str, data: bytes, /) -> None: ...  # noqa: D102, PLR0913  # Orthanc's


@dataclass(frozen=True)
class Facility:
    """Orthanc's own audit: how it is told, and its numbers for a study and for no resource."""

    emit: Emit
    study: int
    nothing: int


def facility(module: Any) -> Facility | None:  # noqa: ANN401  # the embedded module has no types
    """Return it; None where this Orthanc has none."""
    if not hasattr(module, "EmitAuditLog"):
        return None
    levels = module.ResourceType
    return Facility(module.EmitAuditLog, levels.STUDY, getattr(levels, "NONE", levels.STUDY))


class Feed:
    """Asks the service for records after the last one that was passed on."""

    def __init__(self, service: Service, orthanc: Facility, home: Path) -> None:
        self._service, self._orthanc, self._cursor = service, orthanc, home / CURSOR
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="audit-feed", daemon=True)
        self._is_told = False

    def start(self) -> None:
        """Begin; returns at once. Once only."""
        self._thread.start()

    def stop(self, seconds: float = 1.0) -> None:
        """Have it end before Orthanc does; harmless when called twice or unstarted."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join(seconds)

    def pass_on(self) -> int:
        """Pass on the next records; answer how many.

        Raises
        ------
        OSError, http.client.HTTPException, ValueError
            The service is away, or the cursor cannot be kept.
        """
        after = self._read()
        told = self._ask(after)
        passed = min(after, int(told["last"]))  # an older state of the database was put back: its next are new
        try:
            for record in told["items"]:
                if self._ended.is_set():
                    break
                self._emit(record)
                passed = int(record["id"])
        finally:  # one that Orthanc does not take must not have those before it told for ever
            if passed != after:
                self._write(passed)
        return len(told["items"])

    def _run(self) -> None:
        wait = 0.0
        while not self._ended.wait(wait):
            try:
                wait = 0.0 if self.pass_on() else LOOK_S
                self._is_told = False
            except Exception as error:  # noqa: BLE001  # Orthanc's process goes on, and the next look tries again
                if not self._is_told:
                    log.event("audit not passed on", level=logging.WARNING, error=type(error).__name__)
                self._is_told, wait = True, AWAY_S

    def _ask(self, after: int) -> dict[str, Any]:
        with contextlib.closing(UnixConnection(self._service.socket, ASK_S)) as connection:
            connection.request("GET", f"/internal/audit?after={after}", headers={"X-Deid-Secret": self._service.secret})
            answer = connection.getresponse()
            body = answer.read()
        if answer.status != http.HTTPStatus.OK:
            raise http.client.HTTPException(str(answer.status))
        told: dict[str, Any] = json.loads(body)
        return told

    def _emit(self, record: dict[str, Any]) -> None:
        source = record.pop("source") or ""
        level = self._orthanc.study if source else self._orthanc.nothing
        data = json.dumps(record, separators=(",", ":"), sort_keys=True).encode()
        self._orthanc.emit(PRODUCT, str(record["actor"])[:USER_LENGTH], level, source, f"deid-{record['what']}", data)

    def _read(self) -> int:
        try:
            return int(self._cursor.read_text(encoding="ascii"))
        except FileNotFoundError:
            return 0

    def _write(self, number: int) -> None:
        new = self._cursor.with_suffix(".new")
        with new.open("w", encoding="ascii") as file:
            file.write(f"{number}\n")
            file.flush()
            os.fsync(file.fileno())
        new.replace(self._cursor)
