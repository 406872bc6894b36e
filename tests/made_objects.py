"""Valid objects of every kind that pydicom's files lack: one synthetic patient and study, references that resolve.

Each has the marker in the texts, names and UIDs that its IOD allows. The other modules called made_ build them.
"""

import zlib
from collections.abc import Mapping
from functools import cache

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from objects import MARKER, PATIENT, ROOT

FRAME_OF_REFERENCE = f"{ROOT}.9"
STUDY = f"{ROOT}.1"
OTHER_STUDY = f"{ROOT}.2"  # an earlier one, which some objects point to


def everything() -> dict[str, Dataset]:
    """Make every object by its name; all belong to one study and share a frame of reference."""
    import made_documents
    import made_frames
    import made_images
    import made_plans

    objects = made_images.OBJECTS | made_frames.OBJECTS | made_documents.OBJECTS | made_plans.OBJECTS
    return {name: make() for name, make in objects.items()}


def item(**values: object) -> Dataset:
    """Make a dataset or item of keywords and values; a list of datasets becomes a sequence."""
    ds = Dataset()
    for keyword, value in values.items():
        setattr(ds, keyword, value)
    return ds


def code(value: str, scheme: str, meaning: str) -> list[Dataset]:
    """Make a code sequence of one item."""
    return [item(CodeValue=value, CodingSchemeDesignator=scheme, CodeMeaning=meaning)]


@cache
def uid(name: str) -> str:
    """Answer the UID of something by its name."""
    return f"{ROOT}.7.{zlib.crc32(name.encode())}"


def reference(sop_class: str, name: str) -> Dataset:
    """Point to an object by its name."""
    return item(ReferencedSOPClassUID=sop_class, ReferencedSOPInstanceUID=uid(name))


def series_of(name: str) -> str:
    """Answer the series UID of an object: names that differ only after a last dash share one."""
    return uid(f"series of {name.rpartition('-')[0] or name}")


def evidence(references: Mapping[str, str]) -> list[Dataset]:
    """List objects (name -> SOP class) by study and series, as KO, SR and presentation states do."""
    series: dict[str, list[Dataset]] = {}
    for name, sop_class in references.items():
        series.setdefault(series_of(name), []).append(reference(sop_class, name))
    listed = [item(SeriesInstanceUID=of, ReferencedSOPSequence=objects) for of, objects in series.items()]
    return [item(StudyInstanceUID=STUDY, ReferencedSeriesSequence=listed)]


def base(name: str, sop_class: str, modality: str) -> Dataset:
    """Make the modules that every composite object has: patient, study, series, equipment, SOP Common."""
    ds = item(**_patient(), **_study(), **_equipment())
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SOPClassUID, ds.SOPInstanceUID, ds.SeriesInstanceUID = sop_class, uid(name), series_of(name)
    ds.Modality, ds.SeriesNumber, ds.InstanceNumber = modality, 1 + zlib.crc32(series_of(name).encode()) % 999, 1
    ds.SeriesDescription, ds.SeriesDate, ds.SeriesTime = f"for {MARKER}", "20200615", "102000"
    ds.InstanceCreationDate, ds.InstanceCreationTime, ds.InstanceCreatorUID = "20200615", "102030", f"{ROOT}.3"
    ds.OperatorsName, ds.PerformingPhysicianName = f"{MARKER}^Olga", f"{MARKER}^Perry"
    ds.ProtocolName = f"{MARKER} protocol"
    ds.RequestAttributesSequence = [_request()]
    ds.PerformedProcedureStepID, ds.PerformedProcedureStepStartDate = "PPS-990001", "20200615"
    ds.PerformedProcedureStepStartTime = "100000"
    ds.PerformedProcedureStepDescription = f"step of {MARKER}"
    step = item(ReferencedSOPClassUID="1.2.840.10008.3.1.2.3.3", ReferencedSOPInstanceUID=f"{ROOT}.4")
    ds.ReferencedPerformedProcedureStepSequence = [step]
    return ds


def _patient() -> dict[str, object]:
    return {
        "SpecificCharacterSet": "ISO_IR 100",
        "PatientName": f"{MARKER}^Qponmlk",
        "PatientID": PATIENT.patient_id,
        "PatientBirthDate": "19630417",
        "PatientBirthTime": "040506",
        "PatientSex": "F",
        "OtherPatientNames": f"{MARKER}^Oldname",
        "EthnicGroup": "X",
        "PatientComments": f"{MARKER} is her name",
        "PatientAge": "057Y",
        "PatientWeight": "70",
        "PatientSize": "1.7",
        "Occupation": f"{MARKER} farm",
        "AdditionalPatientHistory": f"{MARKER} had a fall",
        "OtherPatientIDsSequence": [item(PatientID="MRN-770002", IssuerOfPatientID=MARKER, TypeOfPatientID="TEXT")],
    }


def _study() -> dict[str, object]:
    return {
        "StudyInstanceUID": STUDY,
        "StudyDate": "20200615",
        "StudyTime": "101112",
        "StudyID": "SID-0001",
        "AccessionNumber": "ACC-550001",
        "ReferringPhysicianName": f"{MARKER}^Ralph",
        "NameOfPhysiciansReadingStudy": f"{MARKER}^Rita",
        "StudyDescription": f"CT of {MARKER}",
        "ProcedureCodeSequence": code("P5-09051", "SRT", f"for {MARKER}"),
        "ReferencedStudySequence": [
            item(ReferencedSOPClassUID="1.2.840.10008.3.1.2.3.1", ReferencedSOPInstanceUID=OTHER_STUDY)
        ],
    }


def _equipment() -> dict[str, object]:
    return {
        "Manufacturer": "ACME",
        "ManufacturerModelName": "Scanner 3",
        "DeviceSerialNumber": f"SN{MARKER}",
        "SoftwareVersions": "1.0",
        "InstitutionName": f"{MARKER} Hospital",
        "InstitutionAddress": f"{MARKER} Road 1",
        "InstitutionalDepartmentName": f"{MARKER} ward",
        "StationName": MARKER,
        "DateOfLastCalibration": "20200101",
        "TimeOfLastCalibration": "010203",
    }


def _request() -> Dataset:
    return item(
        RequestedProcedureID="RP-880001",
        RequestedProcedureDescription=f"{MARKER} requested",
        ScheduledProcedureStepID="SPS-880002",
        ScheduledProcedureStepDescription=f"{MARKER} scheduled",
        ReasonForTheRequestedProcedure=f"{MARKER} fell",
        StudyInstanceUID=STUDY,
        AccessionNumber="ACC-550001",
    )


def content_identification(label: str) -> dict[str, object]:
    """Answer the Content Identification Macro (PS3.3 10.9) and Content Date and Time."""
    return {
        "ContentLabel": label,
        "ContentDescription": f"about {MARKER}",
        "ContentCreatorName": f"{MARKER}^Carl",
        "ContentDate": "20200615",
        "ContentTime": "103000",
        "InstanceNumber": 1,
    }
