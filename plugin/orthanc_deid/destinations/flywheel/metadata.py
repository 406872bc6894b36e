"""Sidecars into the info of NIfTI files that are on Flywheel already."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any, Literal

from ...errors import NotFound, Rejected
from ...settings import Flywheel
from . import classification, contents, labels
from .sdk import client
from .site import Container, RemoteFile, Site

CLOSE = 60  # of 100: what two labels must have in common to mean the same series
Outcome = Literal["written", "same", "no series", "identity", "no acquisition", "ambiguous", "no file"]


@dataclass(frozen=True)
class Added:
    """What became of one sidecar."""

    sidecar: str  # its file's name
    outcome: Outcome
    acquisition: str = ""  # label


def add_metadata(settings: Flywheel, session: tuple[str, str, str], sidecars: Sequence[Path]) -> list[Added]:
    """Write each sidecar of a session into the info of its NIfTI file, and say what became of each.

    `session` are the labels of project, subject and session. Written again, nothing changes.

    Raises
    ------
    NotFound
        There is no such session.
    """
    with client(settings) as connection:
        site = Site(connection, settings.attempts)
        there = site.acquisitions(_session(settings, site, session).id)
        return [_add(settings, site, there, path) for path in sidecars]


def _session(settings: Flywheel, site: Site, path: tuple[str, str, str]) -> Container:
    project = site.project(settings.group, path[0])
    subject = project and site.subject(project.id, path[1])
    sessions = site.sessions(subject.id) if subject else []
    found = next((each for each in sessions if each.label == path[2]), None)
    if found is None:
        missing = "project" if not project else "subject" if not subject else "session"
        raise NotFound(f"Flywheel has no such {missing}")
    return found


def _add(settings: Flywheel, site: Site, there: Sequence[Container], path: Path) -> Added:
    try:
        sidecar = contents.sidecar_info(path)
    except Rejected:
        return Added(path.name, "identity")
    if not str(sidecar.get("SeriesNumber", "")).isdecimal():
        return Added(path.name, "no series")
    found = match(settings, sidecar, [each.label for each in there])
    if len(found) != 1:
        return Added(path.name, "ambiguous" if found else "no acquisition")
    acquisition = there[found[0]]
    file = _nifti(site.files(acquisition.id) or {}, path)
    if file is None:
        return Added(path.name, "no file", acquisition.label)
    modality, description = str(sidecar.get("Modality", "")), str(sidecar.get("SeriesDescription", ""))
    if settings.classification and modality:
        site.describe(acquisition.id, file.name, modality, classification.classify(modality, description))
    if all(key in file.info and file.info[key] == value for key, value in sidecar.items()):
        return Added(path.name, "same", acquisition.label)
    site.set_info(acquisition.id, file.name, sidecar)
    return Added(path.name, "written", acquisition.label)


def match(settings: Flywheel, sidecar: Mapping[str, Any], there: Sequence[str]) -> list[int]:
    """Return the positions of the labels that a sidecar's series may have: one, none, or several alike.

    By our own template and by `{NN} - {SeriesDescription}` exactly, else by the latter as nearly as CLOSE. A label that
    begins with another series number is never near: descriptions repeat, numbers do not.
    """
    number, description = int(sidecar["SeriesNumber"]), str(sidecar.get("SeriesDescription", ""))
    wanted = f"{number:02d} - {description}"
    values = {"SeriesNumber": str(number), "SeriesDescription": description}
    own = labels.label(settings, settings.acquisition, values)
    for exact in (own, wanted):
        found = [n for n, label in enumerate(there) if label == exact]
        if found:
            return found
    scores = {n: _likeness(wanted, label) for n, label in enumerate(there) if _number(label) in (None, number)}
    best = max(scores.values(), default=0.0)
    return [n for n, score in scores.items() if score == best] if best >= CLOSE else []


def _likeness(one: str, other: str) -> float:
    return 100 * SequenceMatcher(None, _plain(one), _plain(other), autojunk=False).ratio()


def _plain(text: str) -> str:
    return " ".join(re.findall(r"[a-z0-9]+", text.lower()))


def _number(label: str) -> int | None:
    found = re.match(r"[0-9]{1,9}(?![0-9A-Za-z])|[0-9]{1,9}(?=_)", label)
    return int(found[0]) if found else None


def _nifti(files: Mapping[str, RemoteFile], sidecar: Path) -> RemoteFile | None:
    images = {name: file for name, file in files.items() if name.endswith((".nii", ".nii.gz"))}
    own = images.get(f"{sidecar.stem}.nii.gz") or images.get(f"{sidecar.stem}.nii")
    return own or (next(iter(images.values())) if len(images) == 1 else None)
