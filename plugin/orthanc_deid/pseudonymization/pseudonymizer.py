"""Gives the patients of all projects their pseudonyms: what the crosswalk knows, else a list, else the source."""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from ..confidentiality.pseudonyms import Patient
from ..database.crosswalk import Crosswalk, Identity, Known, Mapped
from ..database.crosswalk_tables import ACCESSION, STUDY
from ..errors import Rejected
from ..settings import Configuration, Project
from . import KINDS
from .base import Asked, Given, Missing, PseudonymSource, Tools

OTHERWISE = "{} gives another pseudonym than the patient has in this project: correct it, or forget the patient"


class Pseudonymizer:
    """Safe to use from several threads; sources are asked one after the other."""

    def __init__(self, configuration: Configuration, crosswalk: Crosswalk, folder: Path) -> None:
        self.crosswalk = crosswalk
        self._configuration, self._folder = configuration, folder
        self._sources: dict[str, PseudonymSource] = {}
        self._lock = threading.Lock()

    def known(self, project: str, patient: Patient) -> Known | None:
        """Return what a patient is called already."""
        return self.crosswalk.patient(project, Identity(patient.issuer, patient.patient_id))

    def name(self, project: str, asked: Asked, study: tuple[str, str], listed: str = "") -> Known:
        """Give a study's patient his pseudonym, and note what the study is called.

        Parameters
        ----------
        project
            Whose key and source.
        asked
            The study.
        study
            StudyInstanceUID before and after.
        listed
            The pseudonym that a list of a person gives: it goes before the source's.

        Raises
        ------
        Rejected
            The source refuses or does not know him, or another pseudonym is given than he has.
        Retriable
            The source does not answer.
        """
        identity = Identity(asked.patient.issuer, asked.patient.patient_id)
        known = self.crosswalk.patient(project, identity)
        given = self._given(project, asked, study[0], listed, known)
        if known is None:
            made = Known(0, identity, given.pseudonym, given.offset_days, given.subject)
            known = self.crosswalk.assign(project, made)
        if not _agree(given, known):
            raise Rejected(OTHERWISE.format("the list" if listed else "the source of pseudonyms"))
        self.crosswalk.note(project, known.row, _mapped(asked, study, given))
        return known

    def preview(self, project: str, asked: Sequence[Asked]) -> list[Given | Missing]:
        """Answer what studies would be called, without giving a name to anybody."""
        with self._lock:
            return self._source(project).preview(asked)

    def _given(self, project: str, asked: Asked, study_uid: str, listed: str, known: Known | None) -> Given:
        if listed:
            return Given(listed, known.offset_days if known else None, known.subject if known else "")
        with self._lock:
            source = self._source(project)
            if known and source.steady and (not source.per_study or self.crosswalk.has(project, STUDY, study_uid)):
                return Given(known.pseudonym, known.offset_days, known.subject)
            if known:
                present = replace(asked.patient, issuer=known.identity.issuer, patient_id=known.identity.patient_id)
                asked = replace(asked, patient=present)
            (given,) = source.give([asked])
        if isinstance(given, Missing):
            raise Rejected(given.reason)
        if given.pseudonym.strip().casefold() == asked.patient.patient_id.strip().casefold():
            raise Rejected("the pseudonym is the PatientID itself")
        return given

    def _source(self, project: str) -> PseudonymSource:
        if project not in self._sources:
            self._sources[project] = source(
                self._configuration.project(project), self.crosswalk.keyring.project(project), self.crosswalk,
                self._folder,
            )  # fmt: skip
        return self._sources[project]


def source(project: Project, key: bytes, crosswalk: Crosswalk | None, folder: Path) -> PseudonymSource:
    """Make the source of a project; without a crosswalk where there is no server."""
    return KINDS[project.pseudonyms.kind](project.pseudonyms, Tools(project.name, key, crosswalk, folder))


def _agree(given: Given, known: Known) -> bool:
    return given.pseudonym.casefold() == known.pseudonym.casefold() and given.offset_days == known.offset_days


def _mapped(asked: Asked, study: tuple[str, str], given: Given) -> list[Mapped]:
    labels: Mapping[str, str] = {"session": given.session, "subject": given.subject}
    found = [Mapped(STUDY, *study, {name: text for name, text in labels.items() if text})]
    accession = asked.read("AccessionNumber").strip()
    if accession and given.accession:
        found.append(Mapped(ACCESSION, accession, given.accession))
    return found
