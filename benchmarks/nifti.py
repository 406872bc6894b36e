"""Conversion to NIfTI beside the bare converter: time and memory for one CT; ratios, since machines differ.

    python benchmarks/nifti.py [--slices 400] [--size 512] [--rounds 3]

The files are made here: a body with structure and noise, nobody real. Each candidate is one process with all that it
starts; seconds are wall time, memory is the most that one process of it held. `bare` is dcm2niix alone, which
compresses by itself and checks nothing.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import dcm2niix
import numpy as np

CHECKOUT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(CHECKOUT / "plugin"), str(CHECKOUT / "tests")]

OURS = """
import sys
from pathlib import Path
from orthanc_deid.formats.nifti import NiftiOptions, convert
source, out, check = sys.argv[1:]
done = convert(Path(source), Path(out), "image", NiftiOptions(cross_check=check == "both"))
assert not done.remarks, done.remarks
"""


def write(folder: Path, count: int, size: int) -> None:
    """Write the slices."""
    from made_volumes import ct
    from objects import written

    random = np.random.default_rng(1)
    y, x = np.mgrid[:size, :size]
    body = np.hypot(x - size / 2, y - size / 2) < size * 0.4
    for at in range(count):
        ds = ct(at)
        tissue = 1024 + 40 * np.sin(x / 15 + at / 9) + random.normal(0, 12, body.shape)
        air = random.normal(24, 6, body.shape)
        ds.Rows = ds.Columns = size
        ds.PixelData = np.where(body, tissue, air).clip(0, 4095).astype("<u2").tobytes()
        (folder / f"{at:05}.dcm").write_bytes(written(ds))


def measure(command: list[str]) -> tuple[float, float]:
    """Run a command; return its seconds and the megabytes that its largest process held."""
    reader = (
        "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL);"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    environment = os.environ | {"PYTHONPATH": str(CHECKOUT / "plugin")}
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", reader, *command], check=True, capture_output=True, text=True, env=environment
    )
    return time.monotonic() - started, int(done.stdout) / 1024


def main() -> None:
    """Measure each candidate and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slices", type=int, default=400)
    parser.add_argument("--size", type=int, default=512, help="rows and columns")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        source = Path(work) / "in"
        source.mkdir()
        write(source, options.slices, options.size)
        out = Path(work) / "out"
        out.mkdir()
        ours = [sys.executable, "-c", OURS, str(source), str(out)]
        candidates = {
            "bare": [dcm2niix.bin, "-g", "i", "-f", "bare", "-z", "y", "-w", "1", "-o", str(out), str(source)],
            "convert": [*ours, "one"],
            "convert, both engines": [*ours, "both"],
        }
        found: dict[str, list[tuple[float, float]]] = {name: [] for name in candidates}
        for _ in range(options.rounds):
            for name, command in candidates.items():
                found[name].append(measure(command))
    base = statistics.median(seconds for seconds, _ in found["bare"])
    print(f"{options.slices} slices of {options.size}x{options.size}, median of {options.rounds}")
    for name, runs in found.items():
        seconds = statistics.median(each for each, _ in runs)
        print(f"{name:24}{seconds:8.2f} s{seconds / base:8.2f} x{max(each for _, each in runs):8.0f} MB")


if __name__ == "__main__":
    main()
