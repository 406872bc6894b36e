"""The two converters as child processes: bounded in time, silent, with a home folder of their own."""

import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from ..errors import Retriable

NOT_OF_ITS_KIND = 3  # exit code of the script below
SECOND = Path(__file__).with_name("nifti_second.py")
# util-linux, which every Debian has: also where we are ended by kill -9 nobody would take the result.
ENDS_WITH_US = ["/usr/bin/setpriv", "--pdeathsig", "KILL", "--"]
_TEXT = 1 << 20  # bytes of a converter's text that are looked at


@dataclass(frozen=True)
class Said:
    """How a converter ended. Its text holds values of the series: it is searched, never shown."""

    code: int
    text: str


@dataclass(frozen=True)
class Dcm2niix:
    """The first converter: writes `x*.nii` and `x*.json`."""

    program: Path
    precise: bool  # scale images of Philips by the private factors that make them comparable, not as displayed
    times: bool  # leave times of day in the side-car

    def run(self, source: Path, target: Path, timeout_s: float) -> Said:
        """Convert the files of a folder into another, which must not exist."""
        options = {
            "-g": "i",  # no options from a file in the home folder
            "-f": "x",
            "-b": "y",
            "-ba": "o" if self.times else "y",
            "-c": "",
            "-z": "n",
            "-p": "y" if self.precise else "n",
            "-d": "1",
            "-w": "2",
            "-o": str(target),
        }
        words = [word for pair in options.items() for word in pair]
        return _run([str(self.program), *words, str(source)], target, timeout_s)


@dataclass(frozen=True)
class Dicom2nifti:
    """The second: writes `x.nii`, and `x.bval`, `x.bvec` where there is diffusion."""

    def run(self, source: Path, target: Path, timeout_s: float) -> Said:
        """Convert the files of a folder into another, which must not exist."""
        # -P: the folder of the script holds modules whose names others may look for.
        return _run([sys.executable, "-P", str(SECOND), str(source), str(target / "x.nii")], target, timeout_s)


def _run(command: list[str], target: Path, timeout_s: float) -> Said:
    """Run in a process group of its own, so that what it starts ends with it."""
    log = target.with_suffix(".txt")
    home = target.with_suffix(".home")
    home.mkdir()
    target.mkdir()
    kept = {name: value for name in ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH") if (value := os.environ.get(name))}
    environment = kept | {"HOME": str(home), "TMPDIR": str(home), "LC_ALL": "C.UTF-8", "OMP_NUM_THREADS": "1"}
    with log.open("wb") as output:
        child = subprocess.Popen(
            [*ENDS_WITH_US, *command], stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
            cwd=home, env=environment, start_new_session=True,
        )  # fmt: skip
        try:
            code = child.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise Retriable(f"the converter took longer than {timeout_s:.0f} s") from None
        finally:
            if child.poll() is None:
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()
    if code < 0:
        raise Retriable(f"the converter was ended by signal {-code}")
    with log.open("rb") as output:
        return Said(code, output.read(_TEXT).decode("utf-8", "replace"))
