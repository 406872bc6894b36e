"""What the service holds: ledger, queue, reconcile loop and the workers of this machine."""

import os
import sys
import threading
from collections.abc import Callable

from .. import arrival, door_rules, engine, log
from ..arrived import Arrived
from ..collect import KINDS as COLLECTED
from ..database import migrate, open_database
from ..database.audit import Audit
from ..database.batches import Batches
from ..database.crosswalk import Crosswalk
from ..database.ledger import Ledger
from ..database.origins import Origins
from ..database.rotation import Rotation
from ..engine import Queue
from ..intake import arrivals
from ..intake.conflicts import ConflictingFiles, Places, in_children
from ..intake.counting import Counting
from ..intake.examine import Intake
from ..intake.patient_lists import PatientLists
from ..intake.reconcile import Reconcile
from ..intake.retain import Retainer
from ..intake.take_up import take_up
from ..keyring import Keyring
from ..orthanc_rest import Orthanc, local_address
from ..pacs import connect
from ..processes import OnDemand
from ..pseudonymization.pseudonymizer import Pseudonymizer
from ..results.study import converters
from ..sealed import Seal
from ..seen import Seen
from ..settings import Settings
from ..supervisor import Child
from .conversions import Conversions
from .forgotten import remove_conversions
from .key_rotation import KeyRotation
from .own_audit import OwnAudit


class Runtime:
    """Everything the routes use; `start` and `stop` follow the application's life."""

    def __init__(self, loaded: Settings) -> None:
        self.settings = loaded
        self.keyring = Keyring(loaded.home)
        self.database = open_database(loaded.database_url, self.keyring.audit())
        migrate(self.database)
        engine.migrate(loaded.database_url)
        self.orthanc = Orthanc(local_address(loaded))
        self.audit = Audit(self.database, self.keyring.audit())
        self.own_audit = OwnAudit(self.audit, loaded)
        self.ledger = Ledger(self.database)
        self.queue = Queue(loaded.database_url, loaded.configuration.lanes())
        self.seal = Seal(self.keyring.master)
        self.origins = Origins(self.database, self.seal)
        self.crosswalk = Crosswalk(self.database, self.keyring)
        self.rotation = KeyRotation(Rotation(self.database, self.keyring))
        self.pseudonymizer = Pseudonymizer(loaded.configuration, self.crosswalk, loaded.config_file.parent)
        self.batches = Batches(self.database)
        since_s = arrivals.since(loaded.arrival_since)
        self.intake = Intake(
            loaded.configuration, self.orthanc, self.ledger, self.queue, self.origins, since_s,
            PatientLists(loaded.config_file.parent), self.keyring.is_sealed,
        )  # fmt: skip
        self.retainer = Retainer(self.intake, loaded.home, loaded.results)
        self.processes = OnDemand(loaded.processes)
        self.conflicts = _conflicts(loaded, self.intake, self.processes)
        self.arrived = Arrived(loaded.arrived, self.keyring)
        self.taking_up = threading.Lock()
        self.reconcile = Reconcile(self.intake, loaded.stable_age_s, self.retainer, self._before_looking)
        self.counting = Counting(self.intake, connect, self.reconcile.hint)
        made_by = converters(loaded, self.orthanc, self.processes.get)
        self.conversions = Conversions(self.orthanc, self.ledger, made_by, self.crosswalk)
        self.workers = [_worker(slot) for slot in range(loaded.workers)]
        if any(source.kind in COLLECTED for source in loaded.configuration.sources):
            self.workers.append(_collector())

    def _before_looking(self) -> None:
        self.take_up()
        self.conflicts.look()

    def take_up(self) -> None:
        """Take up whom the door has de-identified on arrival; when this returns, nobody is about to note one."""
        with self.taking_up:
            take_up(self.arrived, self.crosswalk)

    def start(self) -> None:
        """Start workers and reconciliation."""
        self.own_audit.start()
        remove_conversions(self.settings.results, self.database)
        for worker in self.workers:
            worker.start()
        self.reconcile.start()
        self.counting.start()
        self.rotation.resume()
        log.event("service ready", count=self.settings.workers)

    def stop(self) -> None:
        """Stop them; what workers leave unfinished goes on after the next start."""
        self.rotation.stop()
        self.counting.stop()
        self.reconcile.stop()
        # Side by side: Orthanc gives the service 5 s in all.
        ends = [threading.Thread(target=worker.stop) for worker in self.workers]
        for end in ends:
            end.start()
        for end in ends:
            end.join()
        self.own_audit.stop()
        self.conversions.close()
        self.processes.close()
        self.queue.close()


def _conflicts(loaded: Settings, intake: Intake, processes: OnDemand) -> ConflictingFiles:
    places = Places(loaded.conflicts, loaded.quarantine / "incoming", loaded.results)
    seen = Seen(loaded.seen, Keyring(loaded.home).master)
    as_stored: Callable[[bytes], bytes] = (
        arrival.load(door_rules.arrival(loaded), notes=False) if loaded.configuration.intake.on_arrival else bytes
    )
    return ConflictingFiles(intake, places, seen, as_stored, in_children(processes.get))


def _worker(slot: int) -> Child:
    return Child(
        [sys.executable, "-m", "orthanc_deid.worker", "--slot", str(slot)],
        name=f"worker-{slot}",
        environment=dict(os.environ),
    )


def _collector() -> Child:
    words = [sys.executable, "-m", "orthanc_deid.collect"]
    return Child(words, name="collect", environment=dict(os.environ))
