"""The collector process: a thread for each source, which never waits for another."""

import logging
import os
import shutil
import signal
import threading

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from .. import faults, log
from ..child_process import await_tables, take
from ..database import open_database
from ..database.collected import AWAY, PAUSED
from ..database.collected import Collected as Status
from ..database.gates import Gates
from ..database.lease import Leases
from ..database.origins import Origins
from ..errors import DeidError, Postponed, Retriable
from ..keyring import Keyring
from ..openings import demand_open
from ..orthanc_rest import Orthanc, local_address
from ..sealed import Seal
from ..settings import Settings
from . import KINDS, Collected, connect
from .base import Collector, Tools

_FIRST_S, _MOST_S = 1.0, 60.0  # between two looks at a source that is away
_GATE_S = 2.0  # between two looks whether a paused source may go on
_LEASE_S = 5.0
_END_S = 5.0


def run(loaded: Settings) -> int:
    """Collect until SIGTERM; 3: another process of this home does."""
    lock = take(loaded.home / "slots" / "collect.lock")
    if lock is None:
        log.event("slot is taken", step="collect")
        return 3
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    database = open_database(loaded.database_url, Keyring(loaded.home).audit())
    if not await_tables(database, stopping):
        return 0
    shutil.rmtree(loaded.home / "work" / "collect", ignore_errors=True)  # of one that was killed
    leases = Leases(database)
    threads = [threading.Thread(target=each.run, daemon=True) for each in _sources(loaded, database, leases, stopping)]
    for thread in threads:
        thread.start()
    log.event("collector ready", count=len(threads), pid=os.getpid())
    stopping.wait()
    for thread in threads:
        thread.join(_END_S)
    leases.close()
    return 0


def _sources(loaded: Settings, database: Engine, leases: Leases, stopping: threading.Event) -> list["Attended"]:
    seal = Seal(Keyring(loaded.home).master)
    gates, origins, status = Gates(database), Origins(database, seal), Status(database)
    attended = []
    for source in loaded.configuration.sources:
        if source.kind in KINDS:
            tools = Tools(
                orthanc=Orthanc(local_address(loaded)),
                origins=origins,
                collected=status,
                seal=seal,
                work=loaded.home / "work" / "collect" / source.name,
                stopping=stopping,
                demand_open=lambda source=source: demand_open(source, gates),  # type: ignore[misc]  # bound now
            )
            attended.append(Attended(source, tools, leases))  # type: ignore[arg-type]  # its kind says so
    return attended


class Attended:
    """One source: looked at again and again, told of where it is away."""

    def __init__(self, settings: Collected, tools: Tools, leases: Leases) -> None:
        self._settings, self._tools, self._leases = settings, tools, leases
        self._collector: Collector | None = None
        self._away_s = 0.0  # waited after the last failure
        self._told: tuple[str, str] | None = None

    def run(self) -> None:
        """Attend to it until `stopping` is set."""
        while not self._tools.stopping.is_set():
            if self._leases.take(self._settings.name):
                self._attend()
            else:
                self._tools.stopping.wait(_LEASE_S)  # another machine has it

    def _attend(self) -> None:
        try:
            self._tools.demand_open()
            if self._collector is None:
                self._collector = connect(self._settings, self._tools)
            found = self._collector.look()
        except Postponed as error:
            self._tell(PAUSED, str(error))
            self._tools.stopping.wait(min(error.after_s, _GATE_S))
        except (DeidError, SQLAlchemyError) as error:
            self._fail(_reason(error), error.after_s if isinstance(error, Retriable) else 0.0)
        except Exception as error:  # noqa: BLE001  # a fault of ours must not end the thread
            self._fail(faults.told(error), 0.0)
        else:
            self._away_s, self._told = 0.0, None
            if not found:
                self._collector.wait(self._settings.poll_s)

    def _fail(self, reason: str, after_s: float) -> None:
        """Say it, let another machine try, wait longer each time."""
        self._leases.drop(self._settings.name)
        self._away_s = min(self._away_s * 2 or _FIRST_S, _MOST_S)
        log.event("source is away", level=logging.WARNING, collector=self._settings.name, next_attempt_s=self._away_s)
        self._tell(AWAY, reason)
        self._tools.stopping.wait(max(self._away_s, min(after_s, 3600.0)))

    def _tell(self, state: str, reason: str) -> None:
        if self._told == (state, reason):
            return
        name = self._settings.name
        try:
            waiting = self._tools.collected.status(name).waiting
            self._tools.collected.note_state(name, state, reason=reason, waiting=waiting)
            self._told = (state, reason)
        except SQLAlchemyError as error:
            log.event("state not written", collector=name, error=type(error).__name__)


def _reason(error: Exception) -> str:
    return "the database is away" if isinstance(error, SQLAlchemyError) else str(error)
