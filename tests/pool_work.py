"""Work for the child processes of test_processes.py: they import it by name. Run as a program, it is their parent."""

import os
import sys
import time
from pathlib import Path

from orthanc_deid.errors import Rejected
from orthanc_deid.processes import Processes


def square(number: int) -> tuple[int, int]:
    """Answer the number squared, and which process did it."""
    return number * number, os.getpid()


def die(number: int) -> int:
    """End the process in the middle of the third item, as the kernel does when memory is short."""
    if number == 3:
        os._exit(9)
    return number


def hang(number: int) -> int:
    """Never return from the third item."""
    if number == 3:
        time.sleep(300)
    return number


def refuse(number: int) -> int:
    """Find something wrong with the third item."""
    if number == 3:
        raise Rejected("instance 3: no")
    return number


def note_and_hang(folder: str) -> None:
    """Leave a file named after this process, and stay."""
    Path(folder, str(os.getpid())).touch()
    time.sleep(300)


if __name__ == "__main__":
    list(Processes(2).map(note_and_hang, sys.argv[1:] * 2, 300))
