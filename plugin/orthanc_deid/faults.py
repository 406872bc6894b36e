"""Where a fault of ours happened, without its text: another library's message may hold an identity."""

import re
import traceback


def told(error: BaseException) -> str:
    """Name a fault by its type, file and line: `KeyError at nifti.py:33`."""
    return f"{type(error).__name__} at {place(error)}"


def place(error: BaseException) -> str:
    """Name file and line: `nifti.py:33`."""
    # A fault of a child process carries its traceback as text in its cause.
    lines = re.findall(r'File ".*?([^/"]+)", line ([0-9]+)', str(error.__cause__ or ""))
    if lines:
        return ":".join(lines[-1])
    frames = traceback.extract_tb(error.__traceback__)
    return f"{frames[-1].filename.rsplit('/', 1)[-1]}:{frames[-1].lineno}" if frames else "unknown place"
