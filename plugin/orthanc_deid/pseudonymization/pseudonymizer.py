"""Gives the patients of all projects their pseudonyms: what the crosswalk knows, else a list, else the source."""

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from ..confidentiality.pseudonyms import Patient, Pseudonyms, normal
from ..database.crosswalk import GONE_PATIENT, Crosswalk, Identity, Known, Mapped, Still, at_any_time
from ..database.crosswalk_tables import ACCESSION, STUDY
from ..errors import ConfigurationError, Postponed, Rejected, Retriable
from ..formats import labels as label_rules
from ..formats.session_labels import LabelRules
from ..settings import CHECKOUT, Configuration, Project
from . import KINDS, sessions
from .base import Asked, Given, Missing, PseudonymSource, Tools

OTHERWISE = (
    "{} gives another pseudonym, offset or subject than the patient has in this project: correct it, or forget the"
    " patient"
)

ITSELF = (
    "the pseudonym is the PatientID itself: give the patient another one by a list or the source; forget him first"
    " where he has it already"
)
AWAY_S = 15.0  # a source that has not answered is not asked
_TELLING = ("PatientName", "AccessionNumber", "StudyID", "PatientBirthDate", "StudyInstanceUID")
_LONG = 6  # letters that no label holds by chance: an age in days has five digits


class Pseudonymizer:
    """Safe to use from several threads; a project's source is asked by one of them at a time."""

    def __init__(self, configuration: Configuration, crosswalk: Crosswalk, folder: Path) -> None:
        self.crosswalk = crosswalk
        self._configuration, self._folder = configuration, folder
        self._sources: dict[str, PseudonymSource] = {}
        self._rules: dict[str, LabelRules] = {}  # of sessions, read once
        self._away: dict[str, tuple[float, str]] = {}  # until when, monotonic seconds, and why
        self._making, self._locks = threading.Lock(), defaultdict[str, threading.Lock](threading.Lock)

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
        Postponed
            The source does not answer, or its file is broken: the study waits for as long as that lasts.
        """
        former, asked = asked, self.presented(project, asked)
        identity = Identity(asked.patient.issuer, asked.patient.patient_id)
        known = self.crosswalk.patient(project, identity)
        given = self._given(project, asked, study[0], listed, known)
        if why := fault(given, asked) or fault(given, former):
            raise Rejected(why)
        given = replace(given, session=self._session(project, asked, study[0], given))
        if known is None:
            made = Known(0, identity, given.pseudonym, given.offset_days, given.subject)
            kind = "list" if listed else self._configuration.project(project).pseudonyms.kind
            known = self.crosswalk.assign(project, made, kind, asked.still)
        if not agree(given, known):
            raise Rejected(OTHERWISE.format("the list" if listed else "the source of pseudonyms"))
        token = Pseudonyms(self.crosswalk.keyring.project(project)).token
        self.crosswalk.note(project, known, _mapped(asked, study, given, token), asked.still)
        return known

    def presented(self, project: str, asked: Asked) -> Asked:
        """Return a study with its patient's present identity, after all aliases."""
        present = self.crosswalk.present(project, Identity(asked.patient.issuer, asked.patient.patient_id))
        return replace(asked, patient=replace(asked.patient, issuer=present.issuer, patient_id=present.patient_id))

    def note(self, project: str, patient: Patient, mapped: Sequence[Mapped], still: Still = at_any_time) -> None:
        """Note what values of a named patient's study are called.

        Raises
        ------
        Rejected
            He was forgotten meanwhile.
        """
        known = self.known(project, patient)
        if known is None:
            raise Rejected(GONE_PATIENT)
        self.crosswalk.note(project, known, mapped, still)

    def preview(self, project: str, asked: Sequence[Asked]) -> list[Given | Missing]:
        """Answer what studies would be called, without giving a name to anybody."""
        with self._lock(project):
            return self._source(project).preview(asked)

    def knows(self, project: str) -> bool:
        """Tell whether the crosswalk alone answers for whoever has a pseudonym in a project."""
        with self._lock(project):
            source = self._source(project)
            return source.steady and not source.per_study

    def session(self, project: str, asked: Asked, given: Given) -> str:
        """Return the label of a study's session: what the source gives, else by the project's template.

        It is empty where neither names it: then it is called by its date.

        Raises
        ------
        Rejected
            The template cannot name it, and the project requires that.
        """
        rule = self._configuration.project(project).session
        if given.session or rule is None:
            return given.session
        if project not in self._rules:
            folders = (self._folder / "bids", CHECKOUT / "orthanc-config" / "bids")
            self._rules[project] = rule.label_rules(folders)
        return sessions.label(rule, self._rules[project], project, asked, given)

    def _session(self, project: str, asked: Asked, study_uid: str, given: Given) -> str:
        """Return what is to be kept; what was kept before stays, also where values have changed since."""
        kept = self.crosswalk.labels(project, given.pseudonym, source=study_uid)
        return self.session(project, asked, given) if kept is None else kept[1]

    def _given(self, project: str, asked: Asked, study_uid: str, listed: str, known: Known | None) -> Given:
        if listed:
            return Given(listed, known.offset_days if known else None, known.subject if known else "")
        with self._lock(project):
            source = self._source(project)
            if known and source.steady and not (source.per_study and self._is_new(project, known, study_uid)):
                return Given(known.pseudonym, known.offset_days, known.subject)
            given = self._ask(project, source, asked)
        if isinstance(given, Missing):
            raise Rejected(given.reason)
        return given

    def _is_new(self, project: str, known: Known, study_uid: str) -> bool:
        return self.crosswalk.labels(project, known.pseudonym, source=study_uid) is None

    def _ask(self, project: str, source: PseudonymSource, asked: Asked) -> Given | Missing:
        """Ask a source; one that has not answered is left alone for a while, so that waiting studies cost nothing."""
        until, why = self._away.get(project, (0.0, ""))
        left_s = until - time.monotonic()
        if left_s > 0:
            raise Postponed(why, left_s)
        try:
            (given,) = source.give([asked])
        except Retriable as error:
            wait_s = max(AWAY_S, error.after_s)
            self._away[project] = (time.monotonic() + wait_s, str(error))
            raise Postponed(str(error), wait_s) from None
        return given

    def _lock(self, project: str) -> threading.Lock:
        """Return the project's own: a slow service holds up nobody else."""
        with self._making:
            return self._locks[project]

    def _source(self, project: str) -> PseudonymSource:
        try:
            key = self.crosswalk.keyring.project(project)  # each time: a project may have been sealed since
        except ConfigurationError:
            self._sources.pop(project, None)  # it holds the key
            raise
        if project not in self._sources:
            settings = self._configuration.project(project)
            self._sources[project] = source(settings, key, self.crosswalk, self._folder)
        return self._sources[project]


def source(project: Project, key: bytes, crosswalk: Crosswalk | None, folder: Path) -> PseudonymSource:
    """Make the source of a project; without a crosswalk where there is no server."""
    return KINDS[project.pseudonyms.kind](project.pseudonyms, Tools(project.name, key, crosswalk, folder))


def fault(given: Given, asked: Asked) -> str:
    """Say why what a source gives must not be used; empty where it may. It must not tell who the patient is."""
    if normal(given.pseudonym) == normal(asked.patient.patient_id):
        return ITSELF
    if not (given.subject or given.session):
        return ""
    own = {asked.patient.patient_id, *(asked.read(name) for name in _TELLING)}
    own |= set(asked.read("PatientName").replace("=", "^").split("^"))
    tells = {text.strip().casefold() for text in own if text.strip()}
    for what, label in (("subject", given.subject), ("session", given.session)):
        if label and (wrong := label_rules.fault(label)):
            return f"the label of the {what} that the source of pseudonyms gives is no label: {wrong}"
        if label.casefold() in tells or any(text in label.casefold() for text in tells if len(text) >= _LONG):
            return f"the label of the {what} that the source of pseudonyms gives tells who the patient is"
    return ""


def agree(given: Given, known: Known) -> bool:
    """Tell whether a source says of a patient what the crosswalk says."""
    return (
        given.pseudonym.casefold() == known.pseudonym.casefold()
        and given.offset_days == known.offset_days
        and (not given.subject or not known.subject or given.subject == known.subject)
    )


def _mapped(asked: Asked, study: tuple[str, str], given: Given, token: Callable[[str], str]) -> list[Mapped]:
    labels: Mapping[str, str] = {"session": given.session, "subject": given.subject}
    found = [Mapped(STUDY, *study, {name: text for name, text in labels.items() if text})]
    accession = asked.read("AccessionNumber").strip()
    if accession:
        found.append(Mapped(ACCESSION, accession, given.accession or token(accession)))
    return found
