"""Stand-in for the methods of `orthanc_rest.Orthanc` that intake calls; unit/intake/test_fake_archive.py checks it."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from orthanc_deid.errors import NotFound, Retriable


@dataclass
class FakeStudy:
    """What Orthanc says of one study."""

    instances: list[str]
    modality: str = "CT"
    stable: bool = True
    last_update: str = "20261121T080000"
    method: str = ""
    received: float = 0.0  # UTC seconds, of every instance
    patient: str = ""
    issuer: str = ""
    tags: dict[str, str] = field(default_factory=dict)  # of the study, by keyword
    series_description: str = ""
    aes: dict[str, str] = field(default_factory=dict)  # RemoteAET, CalledAET


@dataclass
class FakeArchive:
    """An Orthanc that holds studies and has seen changes; `away`: it cannot be reached."""

    held: dict[str, FakeStudy] = field(default_factory=dict)
    seen: list[dict[str, Any]] = field(default_factory=list)
    page: int = 1000
    away: bool = False
    asked_since: list[int] = field(default_factory=list)

    def change(self, kind: str, study: str) -> None:
        """Add to the sequence of changes."""
        self.seen.append({"ChangeType": kind, "ID": study, "ResourceType": "Study", "Seq": len(self.seen) + 1})

    def arrive(self, study: str, *instances: str, last_update: str) -> None:
        """Add instances to a study."""
        self.held[study].instances += instances
        self.held[study].last_update = last_update

    def study(self, study: str) -> dict[str, Any]:
        found = self._find(study)
        tags = {"StudyInstanceUID": f"1.2.{study.encode().hex()}"} | found.tags
        told = {"ID": study, "IsStable": found.stable, "LastUpdate": found.last_update, "MainDicomTags": tags}
        return told | {"PatientMainDicomTags": {"PatientID": found.patient}}

    def series(self, study: str) -> list[dict[str, Any]]:
        found = self._find(study)
        tags = {"Modality": found.modality, "SeriesDescription": found.series_description}
        return [{"ID": f"{study}-series", "MainDicomTags": tags, "Instances": found.instances}]

    def instance_ids(self, study: str) -> list[str]:
        return list(self._find(study).instances)

    def present(self, study: str) -> set[str]:
        self._reach()
        return set(self.held[study].instances) if study in self.held else set()

    def tags(self, instance: str) -> dict[str, Any]:
        found = next((s for s in self.held.values() if instance in s.instances), None)
        if found is None:
            raise NotFound("Orthanc does not know that resource (404)")
        return {
            "0012,0063": {"Name": "DeidentificationMethod", "Type": "String", "Value": found.method},
            "0010,0021": {"Name": "IssuerOfPatientID", "Type": "String", "Value": found.issuer},
        }

    def metadata(self, instance: str, name: str) -> str:
        found = next(s for s in self.held.values() if instance in s.instances)
        if name != "ReceptionDate":
            if name not in found.aes:
                raise NotFound("Orthanc does not know that resource (404)")
            return found.aes[name]
        return time.strftime("%Y%m%dT%H%M%S", time.gmtime(found.received))

    def studies(self, page: int = 500) -> Iterator[dict[str, Any]]:  # noqa: ARG002  # the real one's argument
        self._reach()
        yield from [self.study(study) for study in self.held]

    def study_page(self, since: int, limit: int) -> list[dict[str, Any]]:
        self._reach()
        return [self.study(study) for study in list(self.held)[since : since + limit]]

    def changes(self, since: int, limit: int = 1000) -> dict[str, Any]:
        self._reach()
        self.asked_since.append(since)
        found = [change for change in self.seen if change["Seq"] > since][: min(limit, self.page)]
        last = found[-1]["Seq"] if found else min(since, len(self.seen))
        return {"Changes": found, "Done": last >= len(self.seen), "Last": last}

    def _find(self, study: str) -> FakeStudy:
        self._reach()
        if study not in self.held:
            raise NotFound("Orthanc does not know that resource (404)")
        return self.held[study]

    def _reach(self) -> None:
        if self.away:
            raise Retriable("Orthanc cannot be reached (ConnectionError)")
