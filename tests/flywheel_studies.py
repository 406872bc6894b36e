"""De-identified studies for tests of the Flywheel destination, small enough to send in milliseconds."""

import io
import json
from itertools import count

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, MRImageStorage

from orthanc_deid.settings import Flywheel
from servers import OrthancServer

_numbers = count(1)
KEY_VARIABLE = "TEST_FLYWHEEL_KEY"


def settings(**more: object) -> Flywheel:
    """Return settings of the group `lab`, whose project `default` must be there."""
    values: dict[str, object] = {
        "kind": "flywheel",
        "name": "fw",
        "group": "lab",
        "api_key_env": KEY_VARIABLE,
        "timeout_s": 5,
        "connect_s": 2,
    }
    return Flywheel.model_validate_json(json.dumps(values | more))  # as YAML: a list for a tuple


class Study:
    """A study in an Orthanc; more instances can follow."""

    def __init__(self, orthanc: OrthancServer, PatientID: str = "sub-001") -> None:
        self.orthanc = orthanc
        self.number = next(_numbers)
        self.PatientID = PatientID
        self.StudyInstanceUID = f"2.25.777{self.number}"
        self.id = ""  # of Orthanc
        self.instances: list[str] = []  # Orthanc's ids

    def add(
        self,
        series: int = 1,
        *,
        count: int = 2,
        first: int = 1,
        description: str = "T1 MPRAGE sag",
        number: int | None = None,
        modality: str = "MR",
        bulk: int = 32,
    ) -> list[str]:
        """Store instances of a series and return Orthanc's ids; `number` is the SeriesNumber, if not `series`."""
        made = []
        for instance in range(first, first + count):
            ds = Dataset()
            ds.file_meta = FileMetaDataset()
            ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
            ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = MRImageStorage
            ds.StudyInstanceUID = self.StudyInstanceUID
            ds.SeriesInstanceUID = f"{self.StudyInstanceUID}.{series}"
            ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = UID(f"{ds.SeriesInstanceUID}.{instance}")
            ds.PatientID, ds.PatientName, ds.PatientAge = self.PatientID, self.PatientID, "010Y"
            ds.StudyDate, ds.StudyTime, ds.PatientBirthDate = "20200301", "091500", ""
            ds.Modality, ds.SeriesDescription = modality, description
            ds.SeriesNumber, ds.InstanceNumber = number or series, instance
            ds.Rows, ds.Columns, ds.BitsAllocated, ds.BitsStored, ds.HighBit = bulk, bulk, 8, 8, 7
            ds.PixelRepresentation, ds.SamplesPerPixel, ds.PhotometricInterpretation = 0, 1, "MONOCHROME2"
            ds.PixelData = bytes([instance % 250]) * (bulk * bulk)
            stream = io.BytesIO()
            ds.save_as(stream, enforce_file_format=True)
            answer = self.orthanc.upload(stream.getvalue()).json()
            self.id = answer["ParentStudy"]
            made.append(str(answer["ID"]))
        self.instances += [each for each in made if each not in self.instances]
        return made

    def series_id(self, series: int) -> str:
        """Return Orthanc's id of a series."""
        found = self.orthanc.get(f"/studies/{self.id}/series").json()
        wanted = f"{self.StudyInstanceUID}.{series}"
        return next(str(each["ID"]) for each in found if each["MainDicomTags"]["SeriesInstanceUID"] == wanted)
