"""What the tests of the destination `http` have in common: settings in few words, a study, its pictures."""

from pathlib import Path
from typing import Any

from orthanc_deid.destinations.base import Converted
from orthanc_deid.destinations.http.destination import HttpDestination
from orthanc_deid.orthanc_rest import Orthanc
from orthanc_deid.settings.http import Http
from servers import OrthancServer
from shipments import FixedResults, client
from studies import Person, ct_instance

PERSON = Person(7)
# What no template of these tests names.
MARKERS = ("Zyxwvut007", "Qponmlk007", "MRN-770007", "19630417", "Hospital Xanadu", "Thorax")

JSON = {
    "path": "/images",
    "content": "png",
    "body": "json",
    "template": {"uid": "{SOPInstanceUID}", "study": "{StudyInstanceUID}", "image": "{picture_base64}"},
}
RAW = {"path": "/instances", "content": "dicom", "body": "raw"}


def settings(url: str, send: dict[str, Any] | None = None, **more: Any) -> Http:  # noqa: ANN401  # of Http
    """Return settings; with a time-out that a test can wait for."""
    values = {"kind": "http", "name": "far", "url": url, "send": send or RAW, "timeout_s": 5.0, **more}
    return Http.model_validate({key: value for key, value in values.items() if value is not None})


def destination(url: str, send: dict[str, Any] | None = None, **more: Any) -> HttpDestination:  # noqa: ANN401  # of Http
    """Return a destination with such settings."""
    return HttpDestination(settings(url, send, **more), Orthanc.__new__(Orthanc))


class HeldStudy:
    """A study of two series with two and one instances, as a de-identified one in Orthanc, with a picture of each."""

    def __init__(self, server: OrthancServer, folder: Path, number: int = 1) -> None:
        self.server, self.folder, self.number = server, folder, number
        folder.mkdir(parents=True, exist_ok=True)
        self.instances: list[str] = []
        for series, count in ((1, 2), (2, 1)):
            for each in range(1, count + 1):
                self.add(series, each)

    def add(self, series: int, number: int) -> str:
        """Store one more instance; answer its Orthanc id."""
        file = ct_instance(PERSON, study=self.number, series=series, number=number)
        answer = self.server.upload(file).json()
        self.id = str(answer["ParentStudy"])
        self.instances.append(str(answer["ID"]))
        return str(answer["ID"])

    def results(self, kind: str = "png", *, without: tuple[str, ...] = (), frames: int = 1) -> FixedResults:
        """Return a picture (or more) of each instance but some; its content is made from its name."""
        found: dict[str, list[Path]] = {}
        for instance in client(self.server).instances(self.id):
            if instance["ID"] in without:
                continue
            uid = instance["MainDicomTags"]["SOPInstanceUID"]
            for frame in range(1, frames + 1):
                path = self.folder / f"{uid}-{frame:04d}.{kind}"
                path.write_bytes(f"picture {uid} {frame} ".encode() * 50)
                found.setdefault(instance["ParentSeries"], []).append(path)
        return FixedResults(picture_files={kind: [Converted(s, tuple(files)) for s, files in found.items()]})
