"""The labels that were given to subjects and sessions of a project, found by what its outputs are called."""

from collections.abc import Callable, Mapping
from typing import Any

from ..database.crosswalk import Crosswalk
from ..formats.labels import NONE, Labels


def of_project(crosswalk: Crosswalk, project: str) -> Callable[[Mapping[str, Any]], Labels]:
    """Return what answers, by Orthanc's answer on an output study, how its subject and session are called.

    Of a project that is sealed nobody can tell: its studies are called as those for which nothing was given.
    """

    def find(facts: Mapping[str, Any]) -> Labels:
        PatientID = str(facts.get("PatientMainDicomTags", {}).get("PatientID", "")).strip()
        StudyInstanceUID = str(facts.get("MainDicomTags", {}).get("StudyInstanceUID", "")).strip()
        if not (PatientID and StudyInstanceUID) or crosswalk.keyring.is_sealed(project):
            return NONE
        found = crosswalk.labels(project, PatientID, output=StudyInstanceUID)
        return Labels(*found) if found else NONE

    return find
