"""One look at a source: its items dealt with by several threads, while counts, pauses and the end are watched."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from enum import Enum
from typing import Generic, TypeVar

from ..database.collected import WORKING
from .base import Tools

Item = TypeVar("Item")
_LOOK_S = 2.0  # seconds between two looks at gate and windows
_TELL_S = 0.5  # seconds of which the counts may be lost


class Dealt(Enum):
    """What became of an item."""

    TAKEN = "taken"
    REFUSED = "refused"
    NOTED = "noted"  # and counted already
    WAITS = "waits"  # looked at again next time
    GONE = "gone"  # somebody else has it


class Round(Generic[Item]):
    """Never more than a few items in hand, so that a source of any size needs no more memory than a small one."""

    def __init__(self, source: str, threads: int, tools: Tools) -> None:
        self._source, self._threads, self._tools = source, threads, tools
        self._free = threading.BoundedSemaphore(2 * threads)
        self._lock = threading.Lock()
        self._fresh: dict[Dealt, int] = {}
        self._fault: Exception | None = None
        self._looked_at = self._told_at = 0.0
        self.waiting = 0
        self.dealt = 0

    def run(self, items: Iterator[Item], deal: Callable[[Item], Dealt]) -> None:
        """Deal with every item; ends early when it is to stop.

        Raises
        ------
        Retriable, Postponed
            What `deal` raised first, or the gate; everything that was begun has ended.
        """
        with ThreadPoolExecutor(self._threads, thread_name_prefix=self._source) as pool:
            try:
                for item in items:
                    self._watch()
                    self._free.acquire()
                    if self._tools.stopping.is_set() or self._fault:
                        break
                    pool.submit(self._one, item, deal)
            finally:
                pool.shutdown(wait=True)
                self._tell()
        if self._fault:
            raise self._fault

    def wait_for(self) -> None:
        """Count an item that is not dealt with in this look."""
        self._watch()
        with self._lock:
            self.waiting += 1

    def _one(self, item: Item, deal: Callable[[Item], Dealt]) -> None:
        try:
            if self._fault is None:
                dealt = deal(item)
                with self._lock:
                    self._fresh[dealt] = self._fresh.get(dealt, 0) + 1
        except Exception as error:  # noqa: BLE001  # raised again by `run`, in the thread of the source
            self._fault = self._fault or error
        finally:
            self._free.release()

    def _watch(self) -> None:
        now = time.monotonic()
        if now - self._told_at >= _TELL_S:
            self._told_at = now
            self._tell()
        if now - self._looked_at >= _LOOK_S:
            self._looked_at = now
            self._tools.demand_open()
            self._tools.collected.note_state(self._source, WORKING, waiting=self.waiting)

    def _tell(self) -> None:
        with self._lock:
            fresh, self._fresh = self._fresh, {}
            self.waiting += fresh.get(Dealt.WAITS, 0)
        taken, refused = fresh.get(Dealt.TAKEN, 0), fresh.get(Dealt.REFUSED, 0)
        self.dealt += taken + refused + fresh.get(Dealt.NOTED, 0)
        if taken or refused:
            self._tools.collected.count(self._source, taken=taken, refused=refused)
