"""What dciodvfy, dcmdump and gdcminfo say of DICOM files: only errors that the source did not have count."""

import re
import subprocess
from collections import Counter
from pathlib import Path

# dciodvfy quotes: <value> after "=" or "value", a UID, "a text"; <Keyword> after "Element=" and "attribute" stays.
_QUOTES = re.compile(r'(?<== )<.*?>(?= - |$)|(?<=value )<.*?>|"[^"]*"|\b\d+(?:\.\d+){2,}\b|(?<=InstanceUID )[\d.]+')
_SECONDS = 60


def errors(data: bytes, folder: Path) -> Counter[str]:
    """Answer dciodvfy's errors without the values in them, with how often each."""
    path = _saved(data, folder)
    done = subprocess.run(["dciodvfy", path], capture_output=True, check=False, timeout=_SECONDS)
    lines = (done.stderr + done.stdout).decode("utf-8", "replace").splitlines()
    return Counter(without_values(line) for line in lines if line.startswith(("Error", "Abort")))


def without_values(line: str) -> str:
    """Strip a message of the values it quotes, so that those of two files compare."""
    return " ".join(_QUOTES.sub("<>", line).split())


def new_errors(source: bytes, output: bytes, folder: Path) -> Counter[str]:
    """Answer the errors that the output has more often than the source."""
    return errors(output, folder) - errors(source, folder)


def refusals(data: bytes, folder: Path) -> dict[str, str]:
    """Answer which of the two other readers refuse a file, each with the end of what it says."""
    path = _saved(data, folder)
    commands: tuple[list[str | Path], ...] = (["dcmdump", "--quiet", path], ["gdcminfo", path])
    refused = {}
    for command in commands:
        done = subprocess.run(command, capture_output=True, check=False, timeout=_SECONDS)
        if done.returncode:
            refused[str(command[0])] = (done.stderr or done.stdout)[-200:].decode("utf-8", "replace")
    return refused


def new_refusals(source: bytes, output: bytes, folder: Path) -> dict[str, str]:
    """Answer the readers that open the source and not the output."""
    before = refusals(source, folder)
    return {reader: said for reader, said in refusals(output, folder).items() if reader not in before}


def _saved(data: bytes, folder: Path) -> Path:
    path = folder / "object.dcm"
    path.write_bytes(data)
    return path
