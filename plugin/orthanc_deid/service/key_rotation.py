"""The thread that encrypts the crosswalk with another key, in the service."""

import logging
import threading
import time

from sqlalchemy.exc import SQLAlchemyError

from .. import faults, log
from ..database.rotation import Progress, Rotation
from ..errors import Conflict, DeidError

PASSES = 5  # over all rows: what another one holds is passed over
UNOPENED = "{} rows do not open: they were changed, or their key is another one; their old key is kept"


class KeyRotation:
    """A thread that encrypts the crosswalk again; one at a time."""

    def __init__(self, rotation: Rotation) -> None:
        self.rotation = rotation
        self.progress: Progress | None = None
        self.fault = ""
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def runs(self) -> bool:
        """Tell whether the thread is at work."""
        return self._thread is not None and self._thread.is_alive()

    def begin(self, actor: str) -> None:
        """Make the next key, or go on; raise Conflict while the thread is at work."""
        with self._lock:
            if self.runs:
                raise Conflict("a rotation is under way: see orthanc-deid keys check")
            self._start(self.rotation.begin(actor), actor)

    def resume(self) -> None:
        """Go on with what an earlier service has begun: rows that are old, or a key that nothing needs any more."""
        try:
            there = self.rotation.keyring.generations()
            if len(there) > 1 or self.rotation.is_under_way():
                with self._lock:
                    self._start(self.rotation.resume(there[-1]), "system")
        except (DeidError, SQLAlchemyError) as error:
            self.fault = str(error) if isinstance(error, DeidError) else type(error).__name__

    def stop(self) -> None:
        """End after the batch that is under way."""
        self._stopping.set()
        if self._thread:
            self._thread.join(5)

    def _start(self, progress: Progress, actor: str) -> None:
        self.progress, self.fault = progress, ""
        self._thread = threading.Thread(target=self._run, args=(progress, actor), name="key-rotation", daemon=True)
        self._thread.start()

    def _run(self, progress: Progress, actor: str) -> None:
        try:
            for _ in range(PASSES):
                self._pass(progress)
                if self._stopping.is_set() or self.rotation.finish(progress, actor):
                    return
            self.fault = UNOPENED.format(progress.unopened)
        except Exception as error:  # noqa: BLE001  # a fault must be seen in the answer, not only in the log
            self.fault = str(error) if isinstance(error, DeidError) else faults.told(error)
            log.event("key rotation failed", level=logging.ERROR, error=type(error).__name__)

    def _pass(self, progress: Progress) -> None:
        """Encrypt all that is old, with as long a pause after each batch as it took: others write too."""
        began = time.monotonic()
        for _ in self.rotation.batches(progress):
            if self._stopping.wait(min(1.0, time.monotonic() - began)):
                return
            began = time.monotonic()
