"""The same key, profile and input give the same bytes: in another process, at another time, in another place."""

import ast
import io
import os
import subprocess
import sys
from pathlib import Path

import pydicom
import pytest

from objects import BASIC, KEY, PROFILES, VERSION, image, written
from orthanc_deid.confidentiality import method
from orthanc_deid.confidentiality.deidentify import deidentify
from orthanc_deid.confidentiality.identifiers import Identifiers
from orthanc_deid.confidentiality.profile import Profile
from orthanc_deid.confidentiality.pseudonyms import Pseudonyms

CHECKOUT = Path(__file__).resolve().parents[3]
PURE = CHECKOUT / "plugin" / "orthanc_deid" / "confidentiality"
# What an output could hold that another run would not make again.
CHANGING = {
    "getpass",
    "locale",
    "os",
    "platform",
    "random",
    "secrets",
    "socket",
    "tempfile",
    "threading",
    "time",
    "uuid",
}
NOW = {"now", "today", "utcnow", "generate_uid"}

# Makes every object under every profile and prints a digest of each; its clock is `sys.argv[1]` years ahead.
MAKE = """
import datetime, hashlib, io, sys, time, uuid, warnings
years = int(sys.argv[1])
real, ahead = time.time, years * 31557600
time.time = lambda: real() + ahead
import made_objects, objects, pydicom
from orthanc_deid.confidentiality.deidentify import deidentify
from orthanc_deid.confidentiality.identifiers import Identifiers
from orthanc_deid.confidentiality.pseudonyms import Pseudonyms
from orthanc_deid.errors import Rejected

made = {name: objects.written(ds) for name, ds in sorted(made_objects.everything().items(), reverse=years > 0)}
made |= {name: objects.sample(name) for name in objects.SAMPLES}
told = {}
for name, data in made.items():
    for profile in [objects.RESEARCH] if name in objects.SAMPLES else objects.PROFILES:
        try:
            done = deidentify(data, profile, Pseudonyms(objects.KEY), Identifiers(), version=objects.VERSION)
            told[name, profile.name] = hashlib.sha256(done.data).hexdigest()
        except Rejected as error:
            told[name, profile.name] = str(error)
for key in sorted(told):
    print(*key, told[key])
"""


def made_elsewhere(years: int, **environment: str) -> list[str]:
    """De-identify in a process of its own; answer the lines that it prints, in the order of their names."""
    paths = {"PYTHONPATH": f"{CHECKOUT / 'plugin'}{os.pathsep}{CHECKOUT / 'tests'}"}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", MAKE, str(years)],
        env=os.environ | paths | environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return done.stdout.splitlines()


def test_another_process_time_zone_and_year_make_the_same_bytes_of_every_object_under_every_profile() -> None:
    here = made_elsewhere(0, PYTHONHASHSEED="1", TZ="Pacific/Kiritimati", LC_ALL="C")
    there = made_elsewhere(30, PYTHONHASHSEED="2", TZ="America/Adak", LC_ALL="C.UTF-8", HOME="/nonexistent")
    assert len(here) > len(PROFILES) * 20
    assert [(one, other) for one, other in zip(here, there, strict=True) if one != other] == []
    assert sum(len(line.split()[-1]) == 64 for line in here) > len(here) // 2


@pytest.mark.parametrize("path", sorted(PURE.rglob("*.py")), ids=lambda path: str(path.relative_to(PURE)))
def test_no_module_that_makes_outputs_knows_a_clock_chance_or_the_machine(path: Path) -> None:
    if path.name.startswith("generate_"):
        return
    used = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            used |= {alias.name.split(".")[0] for alias in node.names} & CHANGING
        elif isinstance(node, ast.ImportFrom):
            used |= {(node.module or "").split(".")[0]} & CHANGING
        elif isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            used |= {name} & NOW
    assert used == set()


@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.name)
def test_an_output_says_which_profile_made_it(profile: Profile) -> None:
    done = deidentify(written(image()), profile, Pseudonyms(KEY), Identifiers(), version=VERSION)
    ds = pydicom.dcmread(io.BytesIO(done.data))
    assert list(ds.DeidentificationMethod) == [
        f"Orthanc De-ID {VERSION}",
        f"{profile.name} {profile.version} {profile.digest}",
    ]
    told = "\\".join(ds.DeidentificationMethod)
    assert method.made_by(told) == method.maker(profile) == (profile.name, profile.version, profile.digest)


@pytest.mark.parametrize("told", ["", "Somebody's", "Orthanc De-ID 1", "Orthanc De-ID 1\\basic 1", "X\\basic 1 abc"])
def test_a_method_that_is_not_ours_names_no_profile(told: str) -> None:
    assert method.made_by(told) is None


def test_the_longest_name_and_version_are_told_whole() -> None:
    longest = BASIC.model_copy(update={"name": "n" * 32, "version": "v" * 12})
    [text] = [value for tag, _vr, value in method.attributes(longest, "10.20.30") if tag == method.METHOD]
    assert method.made_by(text.decode()) == ("n" * 32, "v" * 12, longest.digest)
