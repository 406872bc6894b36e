"""What the service itself has to say to the audit: its start and end, a changed configuration, who was refused."""

import hashlib
import logging
import threading
import time

from sqlalchemy.exc import SQLAlchemyError

from .. import __version__, log, profiles
from ..database.audit import Audit
from ..errors import ConfigurationError
from ..settings import Settings

ANCHOR_S = 86400.0
REFUSED_S = 60.0
SYSTEM = "system"


class OwnAudit:
    """Notes the service's life, and logs the newest record once a day, so that another place has its hash.

    A database that is put back to an older state is whole in itself: only what was noted elsewhere tells it.
    """

    def __init__(self, audit: Audit, settings: Settings) -> None:
        self._audit, self._settings = audit, settings
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self._refused, self._told_at = 0, 0.0

    def start(self) -> None:
        """Note the start, and what of the configuration is another than at the last one."""
        self._audit.write("service-started", actor=SYSTEM, version=__version__)
        for thing, before, now in changes(self._audit, digests(self._settings)):
            self._audit.write("configuration", actor=SYSTEM, thing=thing, before=before, now=now)
        threading.Thread(target=self._anchor_daily, name="audit-anchor", daemon=True).start()

    def stop(self) -> None:
        """Note the end."""
        self._ended.set()
        try:
            self._audit.write("service-stopped", actor=SYSTEM)
            self.anchor()
        except SQLAlchemyError as error:
            log.event("the database is away", level=logging.ERROR, error=type(error).__name__)

    def refuse(self) -> None:
        """Note a request without the secret: one record a minute at most, with how many there were."""
        with self._lock:
            self._refused += 1
            if time.monotonic() - self._told_at < REFUSED_S and self._told_at:
                return
            count, self._refused, self._told_at = self._refused, 0, time.monotonic()
        log.event("request without the plugin's secret", level=logging.WARNING, count=count)
        self._audit.write("refused", actor="unknown", why="without the plugin's secret", count=count)

    def anchor(self) -> None:
        """Log how many records there are and the newest one's hash."""
        head = self._audit.head()
        if head:
            level = logging.INFO if self._audit.is_head_right() else logging.ERROR
            log.event("audit anchor", level=level, count=head.last, hash=head.hash)

    def _anchor_daily(self) -> None:
        while True:
            try:
                self.anchor()
            except SQLAlchemyError as error:
                log.event("the database is away", level=logging.ERROR, error=type(error).__name__)
            if self._ended.wait(ANCHOR_S):
                return


def digests(settings: Settings) -> dict[str, str]:
    """Map the configuration and every profile that can be named to what its content is told by."""
    found = {"deid.yaml": _file(settings)}
    for name in profiles.known(settings):
        try:
            profile = profiles.load(settings, name)
            found[f"profile {name}"] = f"{profile.version} {profile.digest}"
        except ConfigurationError:
            found[f"profile {name}"] = "cannot be used"
    return found


def changes(audit: Audit, now: dict[str, str]) -> list[tuple[str, str, str]]:
    """Return what is another than the audit says: thing, before, now; empty where there is none."""
    before: dict[str, str] = {}
    after = 0
    while page := audit.page(after=after, limit=1000, what="configuration"):
        before |= {told["thing"]: told["now"] for told in (each.shown["detail"] for each in page)}
        after = page[-1].id
    names = sorted(before.keys() | now.keys())
    return [(n, before.get(n, ""), now.get(n, "")) for n in names if before.get(n, "") != now.get(n, "")]


def _file(settings: Settings) -> str:
    try:
        return hashlib.sha256(settings.config_file.read_bytes()).hexdigest()
    except OSError:
        return "none"
