"""The pass beside other tools: one core, the same files, one run; ratios, since machines differ.

    python benchmarks/deidentify.py [--tools FOLDER] [--rounds 5] [--only ct|multiframe|memory]

Each round starts a fresh process for every candidate, pinned to one core; what it loads and a first file are not
counted. Milliseconds are CPU time of the process (what one core is busy with), from file to file:
1. CT: 200 slices of 512x512, 16 bit, with the header of a scanner: 173 attributes, private blocks, nested sequences;
2. multi-frame: one enhanced MR of 1,000 frames of 256x256, 16 bit (131 MB), with functional groups for each frame;
3. memory: what a fresh process needs at most for a multi-frame of 200 MB, above what it needed before.

The candidates: our direct door with the profiles as they are shipped; pydicom's bare read and write;
dicom-anonymizer, deid and dicognito as their documentation calls them; gdcmanon (apt libgdcm-tools) in dumb mode and
with a key pair made here. The Python tools are no dependencies of this project: pip installs the pinned versions into
a virtual environment of their own, in a temporary folder or the one that --tools names, which is used again.

Where our time goes, in a folder that --folder has kept:

    python -m cProfile -s tottime benchmarks/deidentify.py --child research FOLDER/ct FOLDER/out
"""

import argparse
import json
import logging
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from made_files import MR_SIZE, write_ct, write_multiframe
from pydicom import dcmread

CHECKOUT = Path(__file__).resolve().parents[1]
PINNED = ("dicom-anonymizer==2.1.0", "deid==0.4.13", "dicognito==0.19.0", "pydicom==3.0.2")
FRAMES = 1000
LARGE = 200_000_000  # bytes of the file whose memory is measured
VERSION = "0"

# --- the candidates: each function loads its tool and answers what makes one file of another ---

Way = Callable[[Path, Path], object]


def ours(name: str) -> Callable[[Path], Way]:
    """Our direct door, as on arrival: nothing is known of the study but the file itself."""

    def load(_folder: Path) -> Way:
        sys.path.insert(0, str(CHECKOUT / "plugin"))
        from orthanc_deid.confidentiality.deidentify import deidentify
        from orthanc_deid.confidentiality.identifiers import Identifiers
        from orthanc_deid.confidentiality.profile import Profile
        from orthanc_deid.confidentiality.pseudonyms import Pseudonyms
        from orthanc_deid.yaml_file import validated

        profile = validated(Profile, CHECKOUT / "orthanc-config" / "profiles" / f"{name}.yaml")
        pseudonyms, known = Pseudonyms(bytes(32)), Identifiers()

        def run(source: Path, target: Path) -> None:
            done = deidentify(source.read_bytes(), profile, pseudonyms, known, version=VERSION)
            target.write_bytes(done.data)

        return run

    return load


def bare(_folder: Path) -> Way:
    """Read and write by pydicom, nothing changed."""
    return lambda source, target: dcmread(source).save_as(target)


def dicom_anonymizer(_folder: Path) -> Way:
    """Call what its command line calls."""
    from dicomanonymizer import anonymize_dicom_file

    return lambda source, target: anonymize_dicom_file(str(source), str(target))


def deid(*, collect: bool) -> Callable[[Path], Way]:
    """Use the default recipe; `collect` gets the identifiers of all depths first, as its tutorial does."""

    def load(_folder: Path) -> Way:
        os.environ["MESSAGELEVEL"] = "QUIET"
        from deid.config import DeidRecipe
        from deid.dicom import get_identifiers, replace_identifiers

        recipe = DeidRecipe()

        def run(source: Path, target: Path) -> None:
            ids = get_identifiers([str(source)], expand_sequences=True) if collect else None
            done = replace_identifiers([str(source)], ids=ids, deid=recipe, remove_private=True)
            done[0].save_as(target)

        return run

    return load


def dicognito(_folder: Path) -> Way:
    """Use one anonymizer for all files, as its command line does."""
    from dicognito.anonymizer import Anonymizer

    anonymizer = Anonymizer(seed="benchmark")

    def run(source: Path, target: Path) -> None:
        with dcmread(source) as ds:
            anonymizer.anonymize(ds)
            ds.save_as(target)

    return run


def gdcmanon_dumb(_folder: Path) -> Way:
    """Empty, replace and remove a few attributes of the whole folder."""
    words = ["--dumb", "--replace", "10,10=Anonymous", "--replace", "10,20=1", "--empty", "8,50", "--empty", "8,90"]
    words += [word for tag in ("8,80", "8,81", "10,30", "10,1040", "10,4000") for word in ("--remove", tag)]
    return lambda source, target: _gdcmanon(words, source, target)


def gdcmanon_key(folder: Path) -> Way:
    """Apply the Basic Profile to the whole folder; what it removes is encrypted for the key made here."""
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    if not certificate.exists():
        words = ["-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=benchmark"]
        command = ["openssl", "req", "-x509", *words, "-keyout", str(key), "-out", str(certificate)]
        subprocess.run(command, check=True, capture_output=True)
    return lambda source, target: _gdcmanon(["-e", "-c", str(certificate)], source, target)


def _gdcmanon(words: list[str], source: Path, target: Path) -> None:
    subprocess.run(
        ["gdcmanon", *words, "-r", "-i", str(source), "-o", str(target)], check=True, stdout=subprocess.DEVNULL
    )


@dataclass(frozen=True)
class Candidate:
    """A tool; one that is not ours runs in the other environment, one for folders is started once."""

    load: Callable[[Path], Way]
    mine: bool = False
    folders: bool = False


CANDIDATES = {
    "basic": Candidate(ours("basic"), mine=True),
    "research": Candidate(ours("research"), mine=True),
    "pydicom read + write": Candidate(bare),
    "dicom-anonymizer": Candidate(dicom_anonymizer),
    "deid": Candidate(deid(collect=False)),
    "deid, collecting": Candidate(deid(collect=True)),
    "dicognito": Candidate(dicognito),
    "gdcmanon --dumb": Candidate(gdcmanon_dumb, folders=True),
    "gdcmanon with a key": Candidate(gdcmanon_key, folders=True),
}
OURS = ("basic", "research")


# --- one candidate in a process of its own ---


def child(name: str, source: Path, target: Path) -> None:
    """Take every file of a folder to another; print CPU and wall seconds, memory before and at most in MB."""
    logging.disable()
    candidate = CANDIDATES[name]
    way = candidate.load(source.parent)
    if not candidate.folders:
        way(source.parent / "first.dcm", target / "first.dcm")
    before, cpu, wall = _memory("VmRSS"), _cpu(), time.perf_counter()
    if candidate.folders:
        way(source, target)
    else:
        for file in sorted(source.iterdir()):
            way(file, target / file.name)
    cpu, wall = _cpu() - cpu, time.perf_counter() - wall
    missing = sum(not (target / file.name).exists() for file in source.iterdir())
    if missing:
        sys.exit(f"{missing} files are missing")
    print(json.dumps({"cpu": cpu, "wall": wall, "memory": _memory("VmHWM") - before}))


def _cpu() -> float:
    """Answer the seconds that this process and the programs that it ran were busy."""
    usages = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def _memory(name: str) -> float:
    """Answer a line of /proc/self/status in MB."""
    return int(Path("/proc/self/status").read_text().split(f"{name}:")[1].split()[0]) * 1024 / 1e6


@dataclass(frozen=True)
class Bench:
    """Where things are and how often they are run."""

    folder: Path
    tools: Path
    core: int
    seconds: int

    def run(self, name: str, source: Path) -> dict[str, float] | None:
        """Start a candidate on a folder of files; None where it took too long or failed."""
        target = self.folder / "out"
        target.mkdir(exist_ok=True)
        for file in target.iterdir():
            file.unlink()
        python = sys.executable if CANDIDATES[name].mine else self.tools / "bin" / "python"
        command = [str(python), __file__, "--child", name, str(source), str(target)]
        try:
            done = subprocess.run(
                ["taskset", "-c", str(self.core), *command],
                capture_output=True, text=True, check=True, timeout=self.seconds,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            print(f"    {name}: stopped after {self.seconds} s", flush=True)
            return None
        except subprocess.CalledProcessError as error:
            print(f"    {name}: failed: {error.stderr.strip().splitlines()[-1:]}", flush=True)
            return None
        found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
        return found


def install(folder: Path) -> Path:
    """Make the environment of the other tools, unless the folder holds it already."""
    if not (folder / "bin" / "dicognito").exists():
        subprocess.run(["/usr/bin/python3", "-m", "venv", str(folder)], check=True)
        subprocess.run([str(folder / "bin" / "pip"), "install", "--quiet", *PINNED], check=True)
    return folder


def compare(bench: Bench, source: Path, rounds: int, names: list[str]) -> None:
    """Alternate the candidates and print their times and our ratio to each."""
    spent: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    for _ in range(rounds):
        for name in [name for name in names if name in spent]:
            found = bench.run(name, source)
            if found is None:
                del spent[name]
            else:
                spent[name].append(found)
    files = sorted(source.iterdir())
    megabytes = sum(file.stat().st_size for file in files) / 1e6
    print(f"{source.name}: {len(files)} files, {megabytes:.0f} MB, {rounds} rounds")
    print("    {:<22} {:>27} {:>8} {:>8}  {}".format("CPU", "ms/file min median max", "ms/MB", "wall", "ratio to it"))
    for name, found in spent.items():
        times = sorted(1000 * each["cpu"] / len(files) for each in found)
        median, wall = statistics.median(times), statistics.median(each["wall"] for each in found)
        ratios = ", ".join(f"{mine} {_ratio(spent[mine], found):.2f}" for mine in OURS if mine in spent)
        print(
            f"    {name:<22} {times[0]:9.2f}{median:9.2f}{times[-1]:9.2f} {median * len(files) / megabytes:8.3f}"
            f" {1000 * wall / len(files):8.2f}  {ratios}",
            flush=True,
        )


def _ratio(mine: list[dict[str, float]], theirs: list[dict[str, float]]) -> float:
    """Answer the median over the rounds of the ratio within a round."""
    return statistics.median(a["cpu"] / b["cpu"] for a, b in zip(mine, theirs, strict=True))


def weigh(bench: Bench, source: Path, names: list[str]) -> None:
    """Print the memory of our door, and of reading and writing alone."""
    megabytes = sum(file.stat().st_size for file in source.iterdir()) / 1e6
    for name in [name for name in names if name in (*OURS, "pydicom read + write")]:
        found = bench.run(name, source)
        if found:
            memory = found["memory"]
            print(f"memory: {name}: {memory:.0f} MB for a file of {megabytes:.0f} MB, {memory / megabytes:.2f} times")


def _candidates(text: str) -> list[str]:
    names = [name.strip() for name in text.split(";") if name.strip()]
    for name in names:
        if name not in CANDIDATES:
            raise argparse.ArgumentTypeError(f"{name!r} is none of them: {'; '.join(CANDIDATES)}")
    return names


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError("should be a whole number from 1")
    return int(text)


def _empty_folder(text: str) -> Path:
    folder = Path(text)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise argparse.ArgumentTypeError("should be an empty folder, or none yet")
    return folder


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=_count, default=5)
    parser.add_argument("--slices", type=_count, default=200)
    parser.add_argument("--frames", type=_count, default=FRAMES)
    parser.add_argument("--only", choices=["ct", "multiframe", "memory"])
    parser.add_argument(
        "--candidates",
        type=_candidates,
        default=list(CANDIDATES),
        help=f"some of them, separated by semicolons: {'; '.join(CANDIDATES)}",
    )
    parser.add_argument("--tools", type=Path, help="folder of the other tools' environment, made where missing")
    parser.add_argument(
        "--folder", type=_empty_folder, help="empty folder for the files, which stay (tmpfs: no disk in between)"
    )
    parser.add_argument("--core", type=int, default=0, help="the core that every candidate is pinned to")
    parser.add_argument("--seconds", type=int, default=300, help="after which a candidate is stopped")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    return parser.parse_args()


def measure(options: argparse.Namespace, folder: Path) -> None:
    """Make the files and measure."""
    names = options.candidates
    needs_tools = not all(CANDIDATES[name].mine for name in names)
    tools = install(options.tools or folder / "tools") if needs_tools else folder
    bench = Bench(folder, tools, options.core, options.seconds)
    write_ct(folder / "ct", options.slices)
    (folder / "first.dcm").write_bytes((folder / "ct" / "0001.dcm").read_bytes())
    if options.only in (None, "ct"):
        compare(bench, folder / "ct", options.rounds, names)
    if options.only in (None, "multiframe"):
        write_multiframe(folder / "multiframe", options.frames)
        compare(bench, folder / "multiframe", options.rounds, names)
    if options.only in (None, "memory"):
        write_multiframe(folder / "large", LARGE // (2 * MR_SIZE * MR_SIZE))
        weigh(bench, folder / "large", names)


def main() -> None:
    """Print what was asked for."""
    options = arguments()
    if options.child:
        name, source, target = options.child
        child(name, Path(source), Path(target))
        return
    with tempfile.TemporaryDirectory(prefix="deid-bench-") as temporary:
        folder = options.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        measure(options, folder)


if __name__ == "__main__":
    main()
