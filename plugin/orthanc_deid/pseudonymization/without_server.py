"""Asks a project's source of pseudonyms where there is no server: for folders."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from pydicom import Dataset

from ..confidentiality.pseudonyms import Patient
from ..errors import ConfigurationError
from ..settings import Project
from .base import Asked, Missing
from .pseudonymizer import source
from .reading import of_dataset

KINDS = ("derived", "file", "tag")  # those that keep nothing on the server


def demand_no_server(project: Project) -> None:
    """Raise ConfigurationError where the pseudonyms of a project are kept by the server."""
    kind = project.pseudonyms.kind
    if kind not in KINDS:
        raise ConfigurationError(
            f"project {project.name}: pseudonyms of kind {kind} are kept by the server, and this works without one:"
            f" send the studies to it, or choose a project with pseudonyms of kind {', '.join(KINDS)} by --project"
        )


class Namer:
    """Answers for studies: the patient with what he is called, or why he is called nothing."""

    def __init__(self, project: Project, key: bytes, folder: Path) -> None:
        self._source = source(project, key, None, folder)

    def __call__(self, patient: Patient, header: Callable[[], Dataset]) -> Patient | str:
        """Answer for one study; its header is read only where the source asks for it, and may be Rejected then."""

        def read(name: str) -> str:
            return of_dataset(header())(name)

        (given,) = self._source.give([Asked(patient, read)])
        if isinstance(given, Missing):
            return given.reason
        return replace(patient, assigned=given.pseudonym, offset_days=given.offset_days)
