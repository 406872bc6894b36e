"""CPU work in child processes that can be killed: made on demand, dismissed when idle, ended with their worker."""

import os
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import connection, forkserver, get_context, parent_process
from typing import TypeVar

from . import log
from .errors import Retriable

IDLE_S = 60.0
ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")


class Processes:
    """A pool of child processes shared by the threads of one worker.

    They are forked from a server that has loaded `modules` once, so that a study does not wait for imports and
    an idle worker holds one such process instead of one for each core.
    """

    def __init__(self, count: int, modules: Sequence[str] = ()) -> None:
        self.count = count
        self._context = get_context("forkserver")
        self._context.set_forkserver_preload(list(modules))
        forkserver.ensure_running()
        self._lock = threading.Lock()
        self._pool: ProcessPoolExecutor | None = None
        self._users = 0
        self._idle: threading.Timer | None = None

    def map(self, function: Callable[[ItemT], ResultT], items: Sequence[ItemT], timeout_s: float) -> Iterator[ResultT]:
        """Yield results as they come, not in order; never more than two items a process are under way.

        Raises
        ------
        Retriable
            A child died or an item took longer than `timeout_s`; all children are ended then.
        """
        pool = self._acquire()
        pending: set[Future[ResultT]] = set()
        remaining = iter(items)
        try:
            for item in remaining:
                pending.add(pool.submit(function, item))
                if len(pending) >= 2 * self.count:
                    yield from _finished(pending, timeout_s)
            while pending:
                yield from _finished(pending, timeout_s)
        except (BrokenProcessPool, TimeoutError) as error:
            self._discard(pool)
            raise Retriable(f"a child process failed ({type(error).__name__})") from None
        finally:
            for future in pending:
                future.cancel()
            self._release()

    def close(self) -> None:
        """End all children."""
        with self._lock:
            pool, self._pool = self._pool, None
            if self._idle:
                self._idle.cancel()
        if pool:
            _end(pool)

    def _acquire(self) -> ProcessPoolExecutor:
        with self._lock:
            self._users += 1
            if self._idle:
                self._idle.cancel()
                self._idle = None
            if self._pool is None:
                self._pool = ProcessPoolExecutor(self.count, mp_context=self._context, initializer=_begin)
            return self._pool

    def _release(self) -> None:
        with self._lock:
            self._users -= 1
            if self._users == 0:
                self._idle = threading.Timer(IDLE_S, self._dismiss)
                self._idle.daemon = True
                self._idle.start()

    def _dismiss(self) -> None:
        with self._lock:
            if self._users or self._pool is None:
                return
            pool, self._pool = self._pool, None
        pool.shutdown(wait=True)

    def _discard(self, pool: ProcessPoolExecutor) -> None:
        with self._lock:
            if self._pool is pool:
                self._pool = None
        _end(pool)


class OnDemand:
    """A pool that is not there until somebody needs it."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._lock = threading.Lock()
        self._made: Processes | None = None

    def get(self) -> Processes:
        """Return the pool."""
        with self._lock:
            if self._made is None:
                self._made = Processes(self._count)
            return self._made

    def close(self) -> None:
        """End all children, where there are any."""
        if self._made is not None:
            self._made.close()


def _finished(pending: set[Future[ResultT]], timeout_s: float) -> Iterator[ResultT]:
    done, _ = wait(pending, timeout=timeout_s, return_when=FIRST_COMPLETED)
    if not done:
        raise TimeoutError
    pending -= done
    for future in done:
        yield future.result()


def _end(pool: ProcessPoolExecutor) -> None:
    # None where the pool has noticed by itself, or another thread was here before.
    for process in list((pool._processes or {}).values()):  # noqa: SLF001  # 3.14 has kill_workers() for this
        process.kill()
    pool.shutdown(wait=False, cancel_futures=True)
    log.event("child processes ended")


def _begin() -> None:
    """Keep this child quiet, and end it when its worker is gone, also by kill -9: nobody would take its results."""
    warnings.simplefilter("ignore")  # a library's warning may hold a value
    parent = parent_process()
    if parent is None:
        return

    def watch() -> None:
        connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
