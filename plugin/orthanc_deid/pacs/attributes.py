"""Attributes that archives are asked by and answer with: tag, VR and level of each (PS3.3 and PS3.4 Table C.6.2-1)."""

from dataclasses import dataclass

from .base import Level

LEVELS: tuple[Level, ...] = ("study", "series", "instance")


@dataclass(frozen=True)
class Attribute:
    """One attribute: its tag in eight hexadecimal digits, its VR, and the highest level at which it is asked for."""

    tag: str
    vr: str
    level: Level


# A keyword that is not here is not asked for.
ATTRIBUTES = {
    "PatientID": Attribute("00100020", "LO", "study"),
    "PatientName": Attribute("00100010", "PN", "study"),
    "PatientBirthDate": Attribute("00100030", "DA", "study"),
    "PatientSex": Attribute("00100040", "CS", "study"),
    "IssuerOfPatientID": Attribute("00100021", "LO", "study"),
    "StudyInstanceUID": Attribute("0020000D", "UI", "study"),
    "StudyID": Attribute("00200010", "SH", "study"),
    "StudyDate": Attribute("00080020", "DA", "study"),
    "StudyTime": Attribute("00080030", "TM", "study"),
    "AccessionNumber": Attribute("00080050", "SH", "study"),
    "StudyDescription": Attribute("00081030", "LO", "study"),
    "ReferringPhysicianName": Attribute("00080090", "PN", "study"),
    "ModalitiesInStudy": Attribute("00080061", "CS", "study"),
    "NumberOfStudyRelatedSeries": Attribute("00201206", "IS", "study"),
    "NumberOfStudyRelatedInstances": Attribute("00201208", "IS", "study"),
    "SeriesInstanceUID": Attribute("0020000E", "UI", "series"),
    "SeriesNumber": Attribute("00200011", "IS", "series"),
    "SeriesDescription": Attribute("0008103E", "LO", "series"),
    "SeriesDate": Attribute("00080021", "DA", "series"),
    "SeriesTime": Attribute("00080031", "TM", "series"),
    "Modality": Attribute("00080060", "CS", "series"),
    "BodyPartExamined": Attribute("00180015", "CS", "series"),
    "ProtocolName": Attribute("00181030", "LO", "series"),
    "SequenceName": Attribute("00180024", "SH", "series"),
    "DeviceSerialNumber": Attribute("00181000", "LO", "series"),
    "Manufacturer": Attribute("00080070", "LO", "series"),
    "ManufacturerModelName": Attribute("00081090", "LO", "series"),
    "InstitutionName": Attribute("00080080", "LO", "series"),
    "StationName": Attribute("00081010", "SH", "series"),
    "NumberOfSeriesRelatedInstances": Attribute("00201209", "IS", "series"),
    "SOPInstanceUID": Attribute("00080018", "UI", "instance"),
    "SOPClassUID": Attribute("00080016", "UI", "instance"),
    "InstanceNumber": Attribute("00200013", "IS", "instance"),
    "ImageType": Attribute("00080008", "CS", "instance"),
    "AcquisitionDate": Attribute("00080022", "DA", "instance"),
    "AcquisitionTime": Attribute("00080032", "TM", "instance"),
    "ContentDate": Attribute("00080023", "DA", "instance"),
}

UNIQUE = {"study": "StudyInstanceUID", "series": "SeriesInstanceUID", "instance": "SOPInstanceUID"}

# Asked for at each level whatever the question is; the second half is left out where an archive refuses the whole.
PLAIN = {
    "study": ("StudyInstanceUID", "PatientID", "StudyDate", "StudyTime", "AccessionNumber"),
    "series": ("StudyInstanceUID", "SeriesInstanceUID", "Modality", "SeriesNumber"),
    "instance": ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"),
}
MORE = {
    "study": (
        "PatientName",
        "PatientBirthDate",
        "StudyDescription",
        "ModalitiesInStudy",
        "NumberOfStudyRelatedSeries",
        "NumberOfStudyRelatedInstances",
    ),
    "series": (
        "SeriesDescription",
        "ProtocolName",
        "SequenceName",
        "DeviceSerialNumber",
        "NumberOfSeriesRelatedInstances",
    ),
    "instance": (),
}
