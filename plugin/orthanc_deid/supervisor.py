"""Child processes that are restarted when they die and that end with their parent; standard library only."""

import ctypes
import logging
import os
import signal
import stat
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from . import log

PR_SET_PDEATHSIG = 1  # linux/prctl.h


def die_with_parent() -> bool:
    """End this process, at once and without clean-up, when the parent that started it as a `Child` is gone.

    Two ways, because each has a hole: the signal follows the parent's thread, the pipe may have been passed on.
    Does nothing and answers False where stdin is no pipe: the process was started by hand or by an init system.
    """
    if not stat.S_ISFIFO(os.fstat(0).st_mode):
        return False
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    threading.Thread(target=_exit_at_end_of_stdin, name="die-with-parent", daemon=True).start()
    return True


def _exit_at_end_of_stdin() -> None:
    # os.read, not sys.stdin: a daemon thread that holds the lock of sys.stdin aborts the interpreter at its end.
    while os.read(0, 4096):
        pass
    os._exit(1)


@dataclass(frozen=True)
class BackOff:
    """Seconds between the death of a child and its next start: `first`, doubled to `most`."""

    first: float = 0.5
    most: float = 30.0
    healthy_after: float = 60.0  # a child that lived so long starts again at `first`

    def next(self, before: float, lived: float) -> float:
        """Answer the wait after a child that lived `lived` s, where the wait before it was `before` s (0: none)."""
        if before == 0 or lived >= self.healthy_after:
            return self.first
        return min(before * 2, self.most)


class Child:
    """One child process: started, watched, restarted, stopped.

    The child inherits stdout and stderr and holds the end of a pipe as stdin; it should call `die_with_parent`.
    One thread does every start, since the death signal is bound to the thread that forked.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        *,
        name: str,
        environment: Mapping[str, str] | None = None,
        back_off: BackOff = BackOff(),  # frozen
    ) -> None:
        self._arguments = list(arguments)
        self._environment = None if environment is None else dict(environment)
        self._name = name
        self._back_off = back_off
        self._stopping = threading.Event()
        self._lock = threading.Lock()  # between "is it stopping?" and the start of a process
        self._process: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._watch, name=f"watch-{name}", daemon=True)
        self.starts = 0

    @property
    def pid(self) -> int | None:
        """The process id while the child runs."""
        process = self._process
        return process.pid if process and process.returncode is None else None

    def start(self) -> None:
        """Start the child and watch it until `stop`; returns at once. Once only."""
        self._thread.start()

    def stop(self, seconds: float = 8.0) -> None:
        """Send SIGTERM, after `seconds` SIGKILL, and wait for the end; harmless when called twice or unstarted."""
        with self._lock:
            self._stopping.set()
        if not self._thread.is_alive():
            return
        self._signal(signal.SIGTERM)
        self._thread.join(seconds)
        if self._thread.is_alive():
            log.event("child killed", level=logging.WARNING, step=self._name, pid=self.pid)
            self._signal(signal.SIGKILL)
            self._thread.join(5)

    def _signal(self, number: signal.Signals) -> None:
        process = self._process
        if process:
            process.send_signal(number)  # does nothing once the process is reaped

    def _watch(self) -> None:
        wait = 0.0
        while not self._stopping.wait(wait):
            began = time.monotonic()
            code = self._run_once()
            lived = time.monotonic() - began
            if self._stopping.is_set():
                return
            wait = self._back_off.next(wait, lived)
            log.event("child ended", level=logging.WARNING, step=self._name, code=code, seconds=round(lived, 1))

    def _run_once(self) -> int | None:
        """Run the child to its end; answer its exit code, None where it could not be started."""
        with self._lock:
            if self._stopping.is_set():
                return None
            try:
                self._process = subprocess.Popen(self._arguments, env=self._environment, stdin=subprocess.PIPE)
            except OSError:
                return None
        self.starts += 1
        log.event("child started", step=self._name, pid=self._process.pid, attempt=self.starts)
        code = self._process.wait()  # blocking: a wait with a time-out polls, 20 times a second
        if self._process.stdin:
            self._process.stdin.close()
        return code
