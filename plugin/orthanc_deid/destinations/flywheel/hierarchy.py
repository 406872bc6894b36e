"""Where a study goes: project, subject, session and acquisitions, found or made exactly once."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import count
from string import Formatter
from typing import Any

from ...errors import ConfigurationError, NotFound, Rejected
from ...settings import Flywheel
from . import labels
from .diagnosis import project_of
from .sent import Memory
from .site import Container, Place, Site


@dataclass
class Hierarchy:
    """The containers of one study.

    A session bears the StudyInstanceUID and an acquisition the SeriesInstanceUID of the de-identified study: found by
    it whatever their label is by now, and two of the same label stay two.
    """

    settings: Flywheel
    site: Site
    memory: Memory
    study: labels.Study
    series: tuple[str, ...]  # all SeriesInstanceUIDs of the study
    _place: Place | None = None

    def acquisition(self, SeriesInstanceUID: str, label: str) -> str:
        """Return the id of the acquisition of a series; the label counts where it is to be made."""
        known = self.memory.container(SeriesInstanceUID)
        if known and self.site.files(known) is not None:
            return known
        place = self.session()
        others = {self.memory.container(uid) for uid in self.series if uid != SeriesInstanceUID}
        free = ""

        def search() -> Container | None:
            nonlocal free
            there = self.site.acquisitions(place.session.id)
            free = _free(label, there)
            return _own(there, SeriesInstanceUID, label, others)

        found = self.site.make(
            search,
            lambda: self._make("acquisition", place, {"label": free, "uid": SeriesInstanceUID}),
            "making an acquisition",
        )
        self.memory.remember_container(SeriesInstanceUID, found.id)
        return found.id

    def session(self) -> Place:
        """Return the session of the study."""
        if self._place is None:
            known = self.memory.container(self.study.values["StudyInstanceUID"])
            self._place = (self.site.place(known) if known else None) or self._find_session()
        return self._place

    def _find_session(self) -> Place:
        uid = self.study.values["StudyInstanceUID"]
        project = self._find_project()
        subject = self._find_subject(project)
        wanted = labels.distinct(self.settings, self.study.session, self.study.values)
        free = ""

        def search() -> Container | None:
            nonlocal free
            there = self.site.sessions(subject.id)
            free = _free(wanted, there)
            return _own(there, uid, wanted, set())

        def create() -> None:
            body = {"label": free, "uid": uid} | self._times()
            self._make("session", Place(project, subject, Container("", free)), body)

        found = self.site.make(search, create, "making a session")
        self.memory.remember_container(uid, found.id)
        return Place(project, subject, found)

    def _find_subject(self, project: str) -> Container:
        label = labels.distinct(self.settings, self.study.subject, self.study.values)
        return self.site.make(
            lambda: self.site.subject(project, label),
            lambda: self._make("subject", Place(project, Container("", label), Container("", "")), {"label": label}),
            "making a subject",
        )

    def _find_project(self) -> str:
        """Return the id of the project.

        Raises
        ------
        Rejected
            It is missing and not to be made.
        """
        label = self._project_label()
        try:
            found = self.site.project(self.settings.group, label)
        except NotFound:
            raise ConfigurationError("Flywheel has no group of that id, or its key may not see it") from None
        if found:
            return found.id
        if not self.settings.create_projects:
            shown = f" {label}" if self._is_fixed() else " that the rule names for this study"
            raise Rejected(f"Flywheel has no project{shown}: make it there, or set create_projects: true")
        made = self.site.make(
            lambda: self.site.project(self.settings.group, label),
            lambda: self.site.create_project(self.settings.group, label),
            "making a project",
        )
        return made.id

    def _project_label(self) -> str:
        if self.settings.diagnoses:
            PatientID = self.study.values.get("PatientID", "")
            return project_of(self.settings.diagnoses, PatientID, self.study.age_days)
        return labels.distinct(self.settings, self.settings.project, self.study.values)

    def _is_fixed(self) -> bool:
        """Answer whether the label holds nothing of a study."""
        fields = {field for _, field, _, _ in Formatter().parse(self.settings.project) if field}
        return not self.settings.diagnoses and fields <= {"project"}

    def _times(self) -> dict[str, Any]:
        if not self.settings.timestamps:
            return {}
        age = {} if self.study.age_days is None else {"age": round(self.study.age_days * 86400)}  # seconds
        return age | ({"timestamp": self.study.began.isoformat() + "Z"} if self.study.began else {})

    def _make(self, level: str, place: Place, body: Mapping[str, Any]) -> None:
        client = self.site.client
        if self.settings.hierarchy == "upsert":
            self._upsert(level, place, body)
        elif level == "subject":
            client.add_subject({"project": place.project, **body})
        elif level == "session":
            client.add_session({"project": place.project, "subject": {"_id": place.subject.id}, **body})
        else:
            client.add_acquisition({"session": place.session.id, **body})

    def _upsert(self, level: str, place: Place, body: Mapping[str, Any]) -> None:
        """Name the containers above by their labels, as that call wants it."""
        above: dict[str, Any] = {"subject": {"label": place.subject.label}}
        if level == "acquisition":
            session = place.session
            above["session"] = {"label": session.label} | ({"uid": session.uid} if session.uid else {})
        answer = self.site.client.upsert_project_hierarchy(place.project, above | {level: dict(body)})
        made = getattr(answer, level)
        if made is None or made.upsert_result == "conflict":
            raise Rejected(f"Flywheel tells of a conflict about the {level}: set hierarchy: find")


def _own(there: Iterable[Container], uid: str, label: str, others: set[str | None]) -> Container | None:
    """Return what bears the UID, else what another tool has made under the label without one."""
    known = list(there)
    return next(
        (each for each in known if each.uid == uid),
        next((each for each in known if each.label == label and not each.uid and each.id not in others), None),
    )


def _free(label: str, there: Iterable[Container]) -> str:
    """Return the label, or with -2, -3, ... behind it where another study or series has it."""
    taken = {each.label for each in there}
    return next(each for n in count(1) if (each := label if n == 1 else f"{label}-{n}") not in taken)
