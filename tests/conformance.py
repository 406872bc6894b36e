"""What dciodvfy, dcmdump and gdcminfo say of DICOM files: only errors that the source did not have count."""

import re
import subprocess
from collections import Counter
from pathlib import Path

# "<what> (0x0008,0x0005) CS Specific Character Set <value> ..." and the like: values go, so that two files compare.
_VALUES = re.compile(r"<[^<>]*>|= ?\S+$|\[[0-9]+\]|\b[0-9.]{6,}\b")
_SECONDS = 60


def errors(data: bytes, folder: Path) -> Counter[str]:
    """Answer dciodvfy's errors without the values in them, with how often each."""
    path = _saved(data, folder)
    done = subprocess.run(["dciodvfy", path], capture_output=True, check=False, timeout=_SECONDS)
    lines = (done.stderr + done.stdout).decode("utf-8", "replace").splitlines()
    return Counter(normal(line) for line in lines if line.startswith(("Error", "Abort")))


def normal(line: str) -> str:
    """Strip a message of the values it quotes."""
    return " ".join(_VALUES.sub("<>", line).split())


def new_errors(source: bytes, output: bytes, folder: Path) -> list[str]:
    """Answer the kinds of errors that the output has and the source has not; a kind is a message without values."""
    return sorted(errors(output, folder).keys() - errors(source, folder).keys())


def unreadable(data: bytes, folder: Path) -> list[str]:
    """Answer which of the two other readers refuse a file, with the end of what they say."""
    path = _saved(data, folder)
    refused = []
    commands: tuple[list[str | Path], ...] = (["dcmdump", "--quiet", "+E", path], ["gdcminfo", path])
    for command in commands:
        done = subprocess.run(command, capture_output=True, check=False, timeout=_SECONDS)
        if done.returncode or b"Segmentation" in done.stderr:
            refused.append(f"{command[0]}: {(done.stderr or done.stdout)[-200:].decode('utf-8', 'replace')}")
    return refused


def _saved(data: bytes, folder: Path) -> Path:
    path = folder / "object.dcm"
    path.write_bytes(data)
    return path
