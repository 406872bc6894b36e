"""What a child of the service does at its start: takes its lock, and waits for tables of this version and for keys."""

import fcntl
import logging
import os
import threading
from collections.abc import Collection
from pathlib import Path

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from . import log
from .database import demand_current
from .database.key_states import KeyStates
from .errors import ConfigurationError, DeidError, Retriable

_FIRST_S, _MOST_S = 0.2, 5.0


def take(path: Path) -> int | None:
    """Lock a file for the life of this process; None: another one has it, and would do the same work at once."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    file = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(file)
        return None
    return file


def await_tables(database: Engine, stopping: threading.Event) -> bool:
    """Wait until the service has made or migrated the tables; False: told to stop before."""
    pause = _FIRST_S
    while True:
        try:
            demand_current(database)
        except (Retriable, ConfigurationError, SQLAlchemyError) as error:
            log.event("waiting for the database", error=type(error).__name__)
        else:
            return True
        if stopping.wait(pause):
            return False
        pause = min(pause * 2, _MOST_S)


def await_keys(states: KeyStates, projects: Collection[str], stopping: threading.Event) -> bool:
    """Wait until the keys of all projects are those that the database knows; False: told to stop before.

    With another key, or none, known patients would get other pseudonyms.
    """
    pause = _FIRST_S
    while True:
        try:
            states.demand(projects)
        except (DeidError, SQLAlchemyError) as error:
            log.event("waiting for keys: see orthanc-deid keys check", level=logging.ERROR, error=type(error).__name__)
        else:
            return True
        if stopping.wait(pause):
            return False
        pause = min(pause * 2, _MOST_S)
