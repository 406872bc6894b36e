"""What dciodvfy, dcmdump and gdcminfo say of DICOM files: only errors that the source did not have count."""

import re
import subprocess
import tempfile
from collections import Counter
from functools import lru_cache

# dciodvfy quotes: <value> after "=" or "value", a UID, "a text"; <Keyword> after "Element=" and "attribute" stays.
_QUOTES = re.compile(r'(?<== )<.*?>(?= - |$)|(?<=value )<.*?>|"[^"]*"|\b\d+(?:\.\d+){2,}\b|(?<=InstanceUID )[\d.]+')
_SECONDS = 60
_READERS = (("dcmdump", "--quiet"), ("gdcminfo",))


def errors(data: bytes) -> Counter[str]:
    """Answer dciodvfy's errors without the values in them, with how often each."""
    lines = _said("dciodvfy", data=data)[1].splitlines()
    return Counter(without_values(line) for line in lines if line.startswith(("Error", "Abort")))


def without_values(line: str) -> str:
    """Strip a message of the values it quotes, so that those of two files compare."""
    return " ".join(_QUOTES.sub("<>", line).split())


def new_errors(source: bytes, output: bytes) -> Counter[str]:
    """Answer the errors that the output has more often than the source."""
    after = errors(output)
    return after - errors(source) if after else after


def refusals(data: bytes) -> dict[str, str]:
    """Answer which of the two other readers refuse a file, each with the end of what it says."""
    answers = {command[0]: _said(*command, data=data) for command in _READERS}
    return {reader: said[-200:] for reader, (code, said) in answers.items() if code}


def new_refusals(source: bytes, output: bytes) -> dict[str, str]:
    """Answer the readers that open the source and not the output."""
    after = refusals(output)
    before = refusals(source) if after else {}
    return {reader: said for reader, said in after.items() if reader not in before}


@lru_cache(maxsize=1024)
def _said(*command: str, data: bytes) -> tuple[int, str]:
    """Run a program on a file; remembered, as every profile is compared with the same source."""
    with tempfile.NamedTemporaryFile(suffix=".dcm") as file:
        file.write(data)
        file.flush()
        done = subprocess.run([*command, file.name], capture_output=True, check=False, timeout=_SECONDS)
    return done.returncode, (done.stderr + done.stdout).decode("utf-8", "replace")
