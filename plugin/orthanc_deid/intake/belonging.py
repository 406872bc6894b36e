"""Whose a study is: by what fetched it, by who sent it, by what it says of itself."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ..database.origins import Origin, Origins
from ..database.studies import Study
from ..errors import ConfigurationError, NotFound
from ..orthanc_rest import Orthanc
from ..pseudonymization.reading import of_orthanc
from ..settings import Configuration, Project
from .patient_lists import PatientLists

SENDER, CALLED = "RemoteAET", "CalledAET"  # Orthanc's metadata of an instance


@dataclass(frozen=True)
class Decision:
    """A study's project, and by which rule."""

    project: Project
    why: str


class Belonging:
    """Of one study in Orthanc; asks Orthanc and the database only for what a decision needs."""

    def __init__(  # noqa: PLR0913  # what decisions are made from
        self,
        configuration: Configuration,
        orthanc: Orthanc,
        origins: Origins,
        lists: PatientLists,
        source: str,
        series: list[dict[str, Any]],
    ) -> None:
        self._configuration, self._orthanc, self._origins, self._lists = configuration, orthanc, origins, lists
        self._source, self._series = source, series

    @cached_property
    def origin(self) -> Origin:
        """Where it was fetched from; an empty one where it was sent."""
        return self._origins.find(self.study_uid, self.patient_id) or Origin()

    @cached_property
    def study_uid(self) -> str:
        """Its StudyInstanceUID."""
        return str(self._told["MainDicomTags"].get("StudyInstanceUID", ""))

    @cached_property
    def ae(self) -> str:
        """The calling AE title that sent its first instance by C-STORE; else empty."""
        return self._metadata(SENDER)

    @cached_property
    def called_ae(self) -> str:
        """The AE title of ours that its first instance was sent to by C-STORE; else empty."""
        return self._metadata(CALLED)

    def project_of(self, study: Study) -> Project | None:
        """Return the project that a study's row belongs to for good; before that the whole study decides.

        What is stored was made with the key and profile of that project, and a further row is there for one alone.

        Raises
        ------
        ConfigurationError
            The configuration no longer names it.
        Undecided
            As `decide`.
        """
        decided = self.decision_of(study)
        return decided.project if decided else None

    def decision_of(self, study: Study) -> Decision | None:
        """Return as `project_of`, with the rule."""
        if study.is_further:
            return Decision(self._configuration.project(study.project), "as a further project")
        if study.output and study.project:
            return Decision(self._configuration.project(study.project), "what was made of it before is of it")
        return self.decide()

    def project(self) -> Project | None:
        """Return the project that takes the study now; None: nobody's; raises as `decide`."""
        decided = self.decide()
        return decided.project if decided else None

    def decide(self) -> Decision | None:
        """Return the project that its list or source names, or the first that matches; None: nobody's.

        Raises
        ------
        Undecided
            A list of patients that would tell cannot be read.
        """
        named = self.origin.project or self._of_source()
        if named:
            try:
                project = self._configuration.project(named)
            except ConfigurationError:
                return None  # the configuration no longer names it: another project's key would be wrong
            return Decision(project, "named by its list" if self.origin.project else f"source {self.origin.source}")
        found = next((p for p in self._configuration.projects if self._matches(p)), None)
        return Decision(found, f"match: {', '.join(found.match.given) or 'everything'}") if found else None

    def _of_source(self) -> str:
        try:
            return self._configuration.source(self.origin.source).project or "" if self.origin.source else ""
        except ConfigurationError:
            return ""

    def _matches(self, project: Project) -> bool:
        match = project.match
        return all(self._rules[name](getattr(match, name)) for name in match.given)

    @cached_property
    def _rules(self) -> Mapping[str, Callable[[Any], bool]]:
        """Map each key of `match` to whether the study agrees with what is given for it."""
        return {
            "modality": lambda given: bool(self._of_series("Modality") & set(given)),
            "source": lambda given: self.origin.source in given,
            "batch": lambda given: self.origin.label in given,
            "ae": lambda given: self.ae in given,
            "called_ae": lambda given: self.called_ae in given,
            "description": lambda given: _any_like({self._of_study("StudyDescription")}, given),
            "series_description": lambda given: _any_like(self._of_series("SeriesDescription"), given),
            "institution": lambda given: _any_like({self._of_study("InstitutionName")}, given),
            "patients": self._is_listed,
        }

    @cached_property
    def _told(self) -> dict[str, Any]:
        return self._orthanc.study(self._source)

    @cached_property
    def patient_id(self) -> str:
        """Its PatientID."""
        return str(self._told.get("PatientMainDicomTags", {}).get("PatientID", ""))

    @cached_property
    def _first(self) -> str:
        """The first instance; empty where there is none."""
        return next((instance for series in self._series for instance in series["Instances"]), "")

    @cached_property
    def _reader(self) -> Callable[[str], str]:
        return of_orthanc(self._orthanc, self._first)

    def _read(self, keyword: str) -> str:
        return self._reader(keyword) if self._first else ""

    def _metadata(self, name: str) -> str:
        try:
            return self._orthanc.metadata(self._first, name).strip() if self._first else ""
        except NotFound:
            return ""

    def _of_series(self, keyword: str) -> set[str]:
        return {str(series["MainDicomTags"].get(keyword, "")) for series in self._series}

    def _of_study(self, keyword: str) -> str:
        """Read an attribute that Orthanc may keep with the study, as its version and settings are."""
        value = self._told["MainDicomTags"].get(keyword)
        return self._read(keyword) if value is None else str(value)

    def _is_listed(self, file: Path) -> bool:
        return self._lists.holds(file, self.patient_id, lambda: self._read("IssuerOfPatientID"))


def _any_like(values: set[str], patterns: Sequence[str]) -> bool:
    return any(is_like(value, pattern) for value in values for pattern in patterns)


def is_like(value: str, pattern: str) -> bool:
    """Tell whether a value is like a pattern: * stands for any letters, ? for one; an empty value is like none.

    Goes back to the last * only, so that no value of a stranger takes long.
    """
    text, wanted = value.strip().casefold(), pattern.strip().casefold()
    at = of = 0
    star, mark = -1, 0
    while at < len(text):
        if of < len(wanted) and wanted[of] == "*":
            star, mark, of = of, at, of + 1
        elif of < len(wanted) and wanted[of] in ("?", text[at]):
            at, of = at + 1, of + 1
        elif star >= 0:
            mark, at, of = mark + 1, mark + 1, star + 1
        else:
            return False
    return bool(text) and not wanted[of:].strip("*")
