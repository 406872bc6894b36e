"""Whose a study is: by what fetched it, by who sent it, by its modalities."""

from functools import cached_property
from typing import Any

from ..database.origins import Origin, Origins
from ..database.studies import Study
from ..errors import ConfigurationError, NotFound
from ..orthanc_rest import Orthanc
from ..settings import Configuration, Project

SENDER = "RemoteAET"  # Orthanc's metadata of an instance


class Belonging:
    """Of one study in Orthanc; asks Orthanc and the database only for what a decision needs."""

    def __init__(
        self,
        configuration: Configuration,
        orthanc: Orthanc,
        origins: Origins,
        source: str,
        series: list[dict[str, Any]],
    ) -> None:
        self._configuration, self._orthanc, self._origins = configuration, orthanc, origins
        self._source, self._series = source, series

    @cached_property
    def origin(self) -> Origin:
        """Where it was fetched from; an empty one where it was sent."""
        study = self._orthanc.study(self._source)
        study_uid = str(study["MainDicomTags"].get("StudyInstanceUID", ""))
        patient_id = str(study.get("PatientMainDicomTags", {}).get("PatientID", ""))
        return self._origins.find(study_uid, patient_id) or Origin()

    @cached_property
    def ae(self) -> str:
        """The calling AE title that sent its first instance by C-STORE; else empty."""
        for series in self._series:
            for instance in series["Instances"]:
                try:
                    return self._orthanc.metadata(instance, SENDER).strip()
                except NotFound:
                    return ""
        return ""

    def project_of(self, study: Study) -> Project | None:
        """Return the project that has made its output already; before that the whole study decides.

        What is stored was made with the key and profile of that project.

        Raises
        ------
        ConfigurationError
            The configuration no longer names it.
        """
        return self._configuration.project(study.project) if study.output and study.project else self.project()

    def project(self) -> Project | None:
        """Return the project that its list or source names, or the first that matches; None: nobody's."""
        named = self.origin.project or self._of_source()
        if named:
            try:
                return self._configuration.project(named)
            except ConfigurationError:
                return None  # the configuration no longer names it: another project's key would be wrong
        return next((p for p in self._configuration.projects if self._matches(p)), None)

    def _of_source(self) -> str:
        try:
            return self._configuration.source(self.origin.source).project or "" if self.origin.source else ""
        except ConfigurationError:
            return ""

    def _matches(self, project: Project) -> bool:
        match = project.match
        modalities = {s["MainDicomTags"].get("Modality", "") for s in self._series}
        return (
            (not match.modality or bool(modalities & set(match.modality)))
            and (not match.source or self.origin.source in match.source)
            and (not match.ae or self.ae in match.ae)
        )
