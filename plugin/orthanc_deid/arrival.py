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
from .confidentiality import encode
from .confidentiality.deidentify import deidentify
from .confidentiality.identifiers import Identifiers
from .confidentiality.plan import plan
from .confidentiality.profile import Profile
from .confidentiality.pseudonyms import Pseudonyms
from .errors import Rejected
from .keyring import Keyring


@dataclass(frozen=True)
class Project:
    """What is done to the instances of these modalities; none named: of all."""

    modality: frozenset[str]
    profile: Profile
    pseudonyms: Pseudonyms


class Arrival:
    """Answers the output for an instance; the first project that matches takes it."""

    def __init__(self, projects: Sequence[Project]) -> None:
        self._projects = tuple(projects)

    def __call__(self, dicom: bytes) -> bytes:
        """De-identify one file by itself: what other instances of its study tell is not known yet.

        Raises
        ------
        Rejected
            No project matches, or it cannot be de-identified.
        """
        project = self._project(dicom)
        return deidentify(dicom, project.profile, project.pseudonyms, Identifiers(), version=__version__).data

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


def load(rules: Mapping[str, Any]) -> Arrival:
    """Make it of what door_rules prints.

    Raises
    ------
    ConfigurationError
        The key cannot be read.
    """
    keyring = Keyring(Path(rules["home"]))
    projects = [
        Project(
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
    return Arrival(projects)
