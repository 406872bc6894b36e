"""A worker's slot: taken for its life, with the engine, its resources and its heartbeat."""

import os
import shutil
import signal
import socket
import threading

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from .. import engine, log
from ..child_process import await_keys, await_tables, take
from ..database import open_database, workers
from ..database.batches import Batches
from ..database.crosswalk import Crosswalk
from ..database.deliveries import Deliveries
from ..database.gates import Gates
from ..database.key_states import KeyStates
from ..database.ledger import Ledger
from ..database.origins import Origins
from ..errors import DeidError
from ..keyring import Keyring
from ..orthanc_rest import Orthanc, local_address
from ..pipeline import Job
from ..processes import Processes
from ..pseudonymization.pseudonymizer import Pseudonymizer
from ..results.study import converters
from ..sealed import Seal
from ..settings import Settings
from ..steps import Resources
from ..steps.perform import perform

HEARTBEAT_S = 5.0
CONCURRENCY = 4  # studies at once in one worker: while one waits for a destination, others use the processes


def executor(slot: int) -> str:
    """Return the name under which the engine knows this worker."""
    return f"{socket.gethostname()}-{slot}"


def run(loaded: Settings, slot: int) -> int:
    """Take jobs until SIGTERM; 3: another worker has the slot."""
    lock = take(loaded.home / "slots" / f"{slot}.lock")
    if lock is None:
        log.event("slot is taken", slot=slot)
        return 3
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    database = open_database(loaded.database_url, Keyring(loaded.home).audit())
    projects = [project.name for project in loaded.configuration.projects]
    keys = KeyStates(database, Keyring(loaded.home))
    if not (await_tables(database, stopping) and await_keys(keys, projects, stopping)):
        return 0
    resources = _resources(loaded, database, slot)

    def work(step: str, job: Job) -> engine.Outcome:
        return perform(step, job, resources)

    engine.launch(loaded.database_url, executor(slot), CONCURRENCY, work, loaded.configuration.lanes())
    log.event("worker ready", slot=slot, pid=os.getpid())
    while True:
        _beat(database, executor(slot))
        if stopping.wait(HEARTBEAT_S):
            break
    engine.stop(5)
    resources.processes.close()
    return 0


def _resources(loaded: Settings, database: Engine, slot: int) -> Resources:
    orthanc = Orthanc(local_address(loaded))
    processes = Processes(loaded.processes, ["orthanc_deid.steps.instances"])
    work = loaded.home / "work" / str(slot)
    keyring = Keyring(loaded.home)
    seal = Seal(keyring.master)
    crosswalk = Crosswalk(database, keyring)
    shutil.rmtree(work, ignore_errors=True)  # of a worker that was killed: the slot is ours now
    return Resources(
        settings=loaded,
        orthanc=orthanc,
        ledger=Ledger(database),
        deliveries=Deliveries(database),
        gates=Gates(database),
        batches=Batches(database),
        origins=Origins(database, seal),
        seal=seal,
        processes=processes,
        converters=converters(loaded, orthanc, lambda: processes),
        pseudonymizer=Pseudonymizer(loaded.configuration, crosswalk, loaded.config_file.parent),
        work=work,
    )


def _beat(database: Engine, name: str) -> None:
    try:
        workers.beat(database, name)
    except (SQLAlchemyError, DeidError) as error:
        log.event("heartbeat not written", error=type(error).__name__)
