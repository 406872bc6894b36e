"""What the dictionary does not tell of attributes: which texts people type, which UIDs name classes."""

import re

PATIENT_NAME, PATIENT_ID = 0x00100010, 0x00100020
# Always replaced by the project's own values; the UIDs stay where Retain UIDs says so.
IDENTITY = frozenset({PATIENT_NAME, PATIENT_ID, 0x0020000D, 0x0020000E, 0x00080018})
BIRTH_DATES = frozenset({0x00100030, 0x00100033, 0x00100034})
PIXEL_DATA = 0x7FE00010

NUMBERS = frozenset({"AT", "FD", "FL", "OB", "OD", "OF", "OL", "OV", "OW", "SL", "SS", "SV", "UL", "US", "UV"})
BULK = frozenset({"OB", "OD", "OF", "OL", "OV", "OW"})
TEXTS = frozenset({"LO", "LT", "SH", "ST", "UC", "UT"})
DATES = frozenset({"DA", "DT"})
ONE_VALUE = frozenset({"LT", "ST", "UR", "UT"})  # a backslash is a character of them (PS3.5 6.2)

# UIDs that name a class, a syntax or a published list, and no object of anybody (PS3.15 Table E.1-1 has none of them).
CLASS_UIDS = frozenset(
    {
        0x00080016, 0x0008001A, 0x0008001B, 0x00080062, 0x0008010C, 0x0008010D, 0x00080117, 0x00080118, 0x0008040E,
        0x00081150, 0x0008115A, 0x00083002, 0x00340003, 0x04000010, 0x04000510, 0x30100052, 0x30100053,
    }
)  # fmt: skip
# Addresses of things lead to their owner; these two are parts of a published code.
CODE_ADDRESSES = frozenset({0x0008010E, 0x00080120})
# Texts that Table E.1-1 does not list although a person writes them (a segment's label, a beam's name).
_TYPED_KEYWORD = re.compile("Label$|Description(?:Trial)?$|Comments?$|Notes$|Text$|Explanation$|Reason|Title$")
TYPED = frozenset(
    {
        "AcquisitionProtocolName", "ApplicationSetupName", "AssignedLocation",
        "AuthorizationEquipmentCertificationNumber", "BeamName", "BlockName", "BlockTrayID", "BoardingPassID",
        "BolusID", "BrachyAccessoryDeviceName", "BreedRegistrationNumber", "CarrierID", "ChannelShieldName",
        "CompensatorID", "CompensatorTrayID", "ComponentWelderIDs", "ContactDisplayName", "ContentLabel",
        "DataElementName", "DataSetName", "DataSetSource", "DisplayWindowLabelVector", "EnergyWindowName",
        "EventTimerNames", "FixationDevicePosition", "FrameLabelVector", "HangingProtocolCreator",
        "HangingProtocolName", "HangingProtocolUserGroupName", "ImageID", "IndicationLabel", "ItineraryID",
        "MaterialID", "NTPSourceAddress", "PatientAdditionalPosition", "PatientReliabilityIndicator",
        "ProtocolElementName", "ReferenceToRecordedSound", "RouteID", "RouteSegmentEndLocationID",
        "RouteSegmentID", "RouteSegmentStartLocationID", "ShieldingDevicePosition", "StageName", "ViewName",
        "FillerOrderNumberImagingServiceRequestRetired", "FillerOrderNumberProcedure", "OwnerID",
        "PlacerOrderNumberImagingServiceRequestRetired", "PlacerOrderNumberProcedure", "PrinterName",
        "RadiationMachineName", "RTImageName", "SourceApplicatorName", "StorageMediaFileSetID",
        "SurgicalTechnique", "TargetLabel", "TemplateName", "TrackingID", "TreatmentProtocols",
    }
)  # fmt: skip
# Of those, what numbers or names an order, a machine or a person: no word of it is worth keeping.
NO_WORDS = frozenset(
    {
        "AssignedLocation", "AuthorizationEquipmentCertificationNumber", "BoardingPassID", "BreedRegistrationNumber",
        "CarrierID", "ComponentWelderIDs", "ContactDisplayName", "HangingProtocolCreator", "ReferenceToRecordedSound",
        "RouteID", "RouteSegmentEndLocationID", "RouteSegmentID", "RouteSegmentStartLocationID",
        "FillerOrderNumberImagingServiceRequestRetired", "FillerOrderNumberProcedure", "ItineraryID",
        "NTPSourceAddress", "OwnerID", "PlacerOrderNumberImagingServiceRequestRetired", "PlacerOrderNumberProcedure",
        "PrinterName", "StorageMediaFileSetID",
    }
)  # fmt: skip
# Long texts that are parts of a published list or made by a device.
FIXED_PROSE = frozenset(
    {
        "AlgorithmParameters", "CodingSchemeExternalID", "CodingSchemeName",
        "DetectorMode", "EXIFVersion", "FractionPattern", "GridAbsorbingMaterial", "GridSpacingMaterial",
        "ImageDisplayFormat", "LinearityCorrectionTechnique", "BeamHardeningCorrectionTechnique", "LongCodeValue",
        "SpectralSensitivity",
    }
)  # fmt: skip
CODE_VALUE, CODE_MEANING = 0x00080100, 0x00080104
GRAPHIC_TEXT = 0x00700006  # Unformatted Text Value of a text object
TIME_ZONE = 0x00080201
DOCUMENT, DOCUMENT_MIME, DOCUMENT_LENGTH = 0x00420011, 0x00420012, 0x00420015
BURNED_IN = 0x00280301
# Rescale Type and Modality LUT Type are LO, and name the unit of every pixel by defined terms (PS3.3 C.11.1.1.2).
UNITS_OF_PIXELS = frozenset({0x00281054, 0x00283004})
PIXEL_UNITS = frozenset({"ED", "EDW", "HU", "HU_MOD", "MGML", "OD", "PCT", "US", "Z_EFF"})
# Dates that are texts, so that no rule for dates sees them.
DATES_AS_TEXT = frozenset({0x00100033, 0x00100034})
# Dates that many patients share or that are published: shifted, they would tell each patient's shift.
SHARED_DATES = frozenset(
    {0x00080106, 0x00080107, 0x00120086, 0x00120087, 0x00181204, 0x00181205, 0x0040DB06, 0x0040DB07, 0x0072000A}
)
# In the items of reports and acquisition contexts: what was measured, also as a more exact number, and a date.
MEASURED, MEASURED_EXACTLY = 0x0040A30A, frozenset({0x0040A161, 0x0040A162, 0x0040A163})
CONTENT_DATES = frozenset({0x0040A120, 0x0040A121})
CONCEPT_NAME, MEASUREMENT_UNITS = 0x0040A043, 0x004008EA
# Subject Birth Date of DICOM, LOINC and SNOMED CT.
BIRTH_CONCEPTS = frozenset({"121031", "21112-8", "184099003"})
# What the pass writes itself, and what describes the lengths of the file that was.
OWN = frozenset({0x00120062, 0x00120063, 0x00120064, 0x00280303})
LENGTHS = frozenset({0x00080001, 0xFFFCFFFC})
# The original attributes under somebody's public key: nobody can look into it (PS3.15 E.1.2).
SEALED = frozenset({0x04000500})
FILE_GROUPS = frozenset({0x0000, 0x0002, 0x0004, 0xFFFE})


def is_typed(vr: str, keyword: str) -> bool:
    """Tell whether a person writes the text as they please; without Clean Descriptors nobody has looked at it."""
    if vr in ("LT", "ST", "UC", "UT"):
        return keyword not in FIXED_PROSE
    return keyword in TYPED or (vr in ("LO", "SH") and bool(_TYPED_KEYWORD.search(keyword)))
