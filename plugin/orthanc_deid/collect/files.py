"""Takes files, wherever they stand: which are due, what became of each, where it is put."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, suppress
from itertools import islice

from sqlalchemy.exc import SQLAlchemyError

from .. import faults, log
from ..database.collected import REFUSED, TAKEN, WAITING
from ..errors import ConfigurationError, Postponed, Retriable
from ..packed.refused import Refused, Word
from ..settings.sources import FolderSource, PrefixSource
from ..stores.store import Listed
from .base import Tools
from .depot import Depot, aged, folder_for, today
from .outcome import Outcome, Place
from .round import Dealt, Round
from .settling import Settling
from .taking import Directory, Taking

KIND, STAMP = "path", "stamp"  # of the digests
_LATER_MOST = 1000  # DICOMDIRs that are looked at after the rest
_STRIKES_MOST = 10  # files that may fail in one look until the place itself is taken to be away
_TIDY_S = 3600.0
_KNOWN_AT_ONCE = 500
_PAUSE_S = 0.2  # at least, between two looks

Opened = Callable[[], AbstractContextManager[Depot]]


class FileCollector:
    """The part that watch folders and object stores have in common."""

    def __init__(self, settings: FolderSource | PrefixSource, tools: Tools, opened: Opened, settle_s: float) -> None:
        self._settings, self._tools, self._opened = settings, tools, opened
        self._settling = Settling(settle_s)
        self._taking = Taking(settings.name, settings.project or "", settings.file_bytes, tools)
        self._tidied_at = float("-inf")
        self.settles_in_s: float | None = None  # seconds after the last look until the next file is due

    def look(self) -> bool:
        """Take what is new and whole; see `Collector`."""
        with self._opened() as depot:
            self._tidy(depot)
            self._taking.forget_studies()
            self._settling.begin()
            look = _Look(self, depot)
            look.run()
        return look.found

    def wait(self, seconds: float) -> None:
        """Wait that long, or until the next file may be whole, or `stopping` is set."""
        due = seconds if self.settles_in_s is None else min(seconds, self.settles_in_s)
        self._tools.stopping.wait(max(due, _PAUSE_S))

    def _tidy(self, depot: Depot) -> None:
        if time.monotonic() - self._tidied_at < _TIDY_S:
            return
        self._tidied_at = time.monotonic()
        for folder, days in aged(self._settings, tuple(Word)):
            depot.tidy(folder, days)


class _Look:
    """One look at everything."""

    def __init__(self, of: FileCollector, depot: Depot) -> None:
        self._settings, self._tools = of._settings, of._tools  # noqa: SLF001  # a part of it
        self._of, self._settling, self._taking = of, of._settling, of._taking  # noqa: SLF001
        self._keeps = self._settings.after == "keep"
        self._depot = depot
        self._round: Round[Listed] = Round(self._settings.name, self._settings.concurrency, self._tools)
        self._later: list[Listed] = []
        self._strikes = 0
        self._denied = 0  # files that may not be read or moved

    @property
    def found(self) -> bool:
        """Something was dealt with."""
        return self._round.dealt > 0

    def run(self) -> None:
        """Deal with every file that is due, then with the DICOMDIRs."""
        self._round.run(self._due(), self._deal)
        self._of.settles_in_s = self._settling.end()
        # A file that a DICOMDIR names may be about to come.
        if self._later and not self._round.waiting:
            self._round.run(iter(self._later), self._deal_with_directory)
        elif self._later:
            self._round.waiting += len(self._later)
        reason = self._reason()
        self._tools.collected.note_state(self._settings.name, WAITING, reason=reason, waiting=self._round.waiting)

    def _reason(self) -> str | None:
        told = []
        if self._depot.unreadable:
            told.append(f"{self._depot.unreadable} folders cannot be read")
        if self._denied:
            told.append(f"{self._denied} files may not be read or moved: see their permissions")
        return "; ".join(told) or None

    def _due(self) -> Iterator[Listed]:
        found = self._depot.walk()
        for item in self._unknown(found) if self._keeps else found:
            if self._settling.is_settled(item):
                yield item
            else:
                self._round.wait_for()

    def _unknown(self, items: Iterator[Listed]) -> Iterator[Listed]:
        """Leave out what was dealt with and stays where it is."""
        while some := list(islice(items, _KNOWN_AT_ONCE)):
            digests = [self._digest(item) for item in some]
            known = self._tools.collected.stamps(self._settings.name, digests)
            for item, digest in zip(some, digests, strict=True):
                if known.get(digest) != self._stamp(item):
                    yield item

    def _digest(self, item: Listed) -> str:
        return self._tools.seal.digest(KIND, item.key)

    def _stamp(self, item: Listed) -> str:
        return self._tools.seal.digest(STAMP, item.stamp)

    def _deal(self, item: Listed) -> Dealt:
        """Take one file; called by several threads."""
        try:
            with self._depot.local(item) as path:
                outcome = self._taking.take(path)
        except Directory:
            if len(self._later) < _LATER_MOST:
                self._later.append(item)
                return Dealt.GONE
            return Dealt.WAITS
        except Refused as error:
            outcome = Outcome()
            outcome.refuse(error, 0)
        except Exception as error:  # noqa: BLE001  # judged below
            return self._failed(error)
        return self._put(item, outcome)

    def _deal_with_directory(self, item: Listed) -> Dealt:
        try:
            with self._depot.local(item) as path:
                outcome = self._taking.directory(path)
        except Exception as error:  # noqa: BLE001  # judged below
            return self._failed(error)
        return self._put(item, outcome)

    def _put(self, item: Listed, outcome: Outcome) -> Dealt:
        """Put a file where it belongs now."""
        try:
            if not self._depot.is_unchanged(item):
                return Dealt.WAITS
            if self._keeps:
                return self._kept(item, outcome)
            if self._settings.after == "delete" and outcome.loses_nothing:
                self._depot.remove(item)
            else:
                self._depot.move(item, folder_for(outcome, today()), outcome.told())
        except Exception as error:  # noqa: BLE001  # judged below
            return self._failed(error)
        return Dealt.REFUSED if outcome.place is Place.REFUSED else Dealt.TAKEN

    def _kept(self, item: Listed, outcome: Outcome) -> Dealt:
        is_refused = outcome.place is Place.REFUSED
        if is_refused:
            with suppress(OSError, ConfigurationError):  # it may not be written there: then it is remembered
                self._depot.move(item, folder_for(outcome, today()), outcome.told())
                return Dealt.REFUSED
        self._tools.collected.note(
            self._settings.name,
            self._digest(item),
            self._stamp(item),
            REFUSED if is_refused else TAKEN,
            reason=outcome.told().strip() or None,
            instances=outcome.stored + outcome.same + outcome.other,
        )
        return Dealt.NOTED

    def _failed(self, error: Exception) -> Dealt:
        """Leave a file where it is and go on with the next, unless it is the whole place, or Orthanc, that is away."""
        if isinstance(error, Postponed | SQLAlchemyError):
            raise error
        if isinstance(error, FileNotFoundError):
            return Dealt.GONE
        if isinstance(error, PermissionError):
            self._denied += 1
            return Dealt.WAITS
        if isinstance(error, Retriable):
            self._tools.orthanc.system()
        elif not isinstance(error, OSError | ConfigurationError):
            told = faults.told(error)
            log.event("file left", level=logging.ERROR, collector=self._settings.name, error=told)
            return Dealt.WAITS
        self._strikes += 1
        if self._strikes > _STRIKES_MOST:
            raise error if isinstance(error, Retriable) else Retriable(_away(error))
        return Dealt.WAITS


def _away(error: Exception) -> str:
    return str(error) if isinstance(error, ConfigurationError) else f"files cannot be read ({type(error).__name__})"
