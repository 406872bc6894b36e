"""De-identification on arrival: what Orthanc stores in place of the instance that was sent.

Loaded into Orthanc's process in this mode only; it makes no call into Orthanc. Whether an instance carries our own
mark is not asked: anybody can write it, and what was de-identified before loses nothing that identifies by a second
time.
"""

import importlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import __version__
from .arrived import Arrived, Came
from .confidentiality import encode
from .confidentiality.deidentify import Done, deidentify
from .confidentiality.identifiers import Identifiers
from .confidentiality.plan import plan
from .confidentiality.profile import Profile
from .confidentiality.pseudonyms import Pseudonyms
from .errors import Rejected
from .keyring import Keyring


@dataclass(frozen=True)
class Project:
    """What is done to the instances of these modalities; none named: of all."""

    name: str
    modality: frozenset[str]
    profile: Profile
    pseudonyms: Pseudonyms


class Arrival:
    """Answers the output for an instance; the first project that matches takes it.

    `arrived` is where it writes down who it was; without it nobody will know.
    """

    def __init__(self, projects: Sequence[Project], arrived: Arrived | None = None) -> None:
        self._projects, self._arrived = tuple(projects), arrived

    def __call__(self, dicom: bytes) -> bytes:
        """De-identify one file by itself: what other instances of its study tell is not known yet.

        Raises
        ------
        Rejected
            No project matches, or it cannot be de-identified.
        """
        project = self._project(dicom)
        done = deidentify(dicom, project.profile, project.pseudonyms, Identifiers(), version=__version__)
        if self._arrived:
            self._arrived.note(project.name, _came(done))
        return done.data

    def _project(self, dicom: bytes) -> Project:
        modality: str | None = None
        for project in self._projects:
            if not project.modality:
                return project
            if modality is None:
                modality = str(encode.decode(dicom).get("Modality") or "").strip()
            if modality in project.modality:
                return project
        raise Rejected("no project matches")


def _came(done: Done) -> Came:
    patient = done.patient
    uids = [(old, done.uids[old]) for old in done.levels]
    return Came(patient.issuer, patient.patient_id, done.patient_id, done.accession, uids)


def load(rules: Mapping[str, Any], *, notes: bool = True) -> Arrival:
    """Make it of what door_rules prints; `notes`: it writes down who the patients are.

    Raises
    ------
    ConfigurationError
        The key cannot be read.
    """
    keyring = Keyring(Path(rules["home"]))
    projects = [
        Project(
            project["name"],
            frozenset(project["modality"]),
            Profile.model_validate_json(json.dumps(project["profile"])),
            Pseudonyms(keyring.project(project["name"]), project["format"], project["name"]),
        )
        for project in rules["projects"]
    ]
    for project in projects:
        plan(project.profile)  # now, not while the first sender waits
        if project.profile.documents == "clean":
            # Now, while its folder is on sys.path, and in a thread with a large stack: Orthanc's HTTP threads have
            # a small one, and Python 3.14 counts its bytes. filters is what pypdf itself would load at the first PDF.
            importlib.import_module("pypdf.filters")
    return Arrival(projects, Arrived(Path(rules["arrived"]), keyring) if notes else None)
