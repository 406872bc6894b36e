"""The files of deidentify.py: slices of a CT and an enhanced multi-frame MR, headed as by a scanner, nobody real."""

import random
from pathlib import Path

from pydicom import Dataset
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataset import FileMetaDataset
from pydicom.uid import CTImageStorage, EnhancedMRImageStorage, ExplicitVRLittleEndian

ROOT = "1.2.826.0.1.3680043.10.1337.7"
CT_SIZE, MR_SIZE = 512, 256

PATIENT = r"""
SpecificCharacterSet ISO_IR 100
StudyDate 20200615
SeriesDate 20200615
AcquisitionDate 20200615
ContentDate 20200615
StudyTime 101503.000000
SeriesTime 101700.000000
AcquisitionTime 101803.250000
ContentTime 101804.500000
InstanceCreationDate 20200615
InstanceCreationTime 101805
AccessionNumber ACC20200615077
Manufacturer GE MEDICAL SYSTEMS
InstitutionName General Hospital of Nowhere
InstitutionAddress 12 Long Road, 10115 Nowhere
ReferringPhysicianName Referrer^Rosa^^Dr
StationName CT99SCAN
PerformingPhysicianName Performer^Paul
NameOfPhysiciansReadingStudy Reader^Rita
OperatorsName Operator^Otto
InstitutionalDepartmentName Radiology
ManufacturerModelName Example 64
PatientName Sampleton^Samantha Josephine
PatientID MRN-7734512
IssuerOfPatientID NOWHERE
PatientBirthDate 19630417
PatientSex F
OtherPatientNames Formerly^Samantha
PatientAge 057Y
PatientSize 1.68
PatientWeight 71.5
PatientAddress 3 Short Lane, 10117 Nowhere
PatientTelephoneNumbers +49 30 1234567
MedicalAlerts none known
Allergies iodine
EthnicGroup unknown
Occupation teacher
AdditionalPatientHistory cough for 3 weeks, seen by Dr Referrer
PregnancyStatus 4
PatientComments lives with daughter Josephine
StudyID 77
RequestingPhysician Requester^Ralf
RequestingService Internal medicine
RequestedProcedureDescription CT thorax abdomen with contrast
AdmissionID ADM-00912
CurrentPatientLocation Ward 7B
PerformedProcedureStepStartDate 20200615
PerformedProcedureStepStartTime 101503
PerformedProcedureStepID PPS77
PerformedProcedureStepDescription CT thorax abdomen
RequestedProcedureID RP77
PositionReferenceIndicator SN
BurnedInAnnotation NO
LossyImageCompression 00
SamplesPerPixel 1
PhotometricInterpretation MONOCHROME2
BitsAllocated 16
BitsStored 16
HighBit 15
"""
CT = r"""
ImageType ORIGINAL\PRIMARY\AXIAL
Modality CT
StudyDescription CT thorax and abdomen, follow-up
SeriesDescription Thorax 1.25mm lung
ProtocolName 5.1 ROUTINE CHEST ABDOMEN
BodyPartExamined CHEST
ContrastBolusAgent iodine 350 mg/ml, 90 ml
ScanOptions HELICAL MODE
SliceThickness 1.25
KVP 120
DataCollectionDiameter 500
DeviceSerialNumber 4711-0815
SoftwareVersions gmp_hde.99
ContrastBolusRoute IV
SpacingBetweenSlices 1.25
ReconstructionDiameter 360
DistanceSourceToDetector 949.147
DistanceSourceToPatient 541
GantryDetectorTilt 0
TableHeight 152.5
RotationDirection CW
ExposureTime 570
XRayTubeCurrent 335
Exposure 22
FilterType BODY FILTER
GeneratorPower 40200
FocalSpots 1.2
DateOfLastCalibration 20200601
TimeOfLastCalibration 070000
ConvolutionKernel LUNG
PatientPosition FFS
RevolutionTime 0.6
SingleCollimationWidth 0.625
TotalCollimationWidth 40
TableSpeed 91.67
TableFeedPerRotation 55
SpiralPitchFactor 1.375
ExposureModulationType XYZ
CTDIvol 9.87
SeriesNumber 3
AcquisitionNumber 1
ImageOrientationPatient 1\0\0\0\1\0
PatientOrientation L\P
ImagesInAcquisition 200
TemporalPositionIdentifier 1
ImageComments lesion in segment 6, compare with 2019-11-04
PixelRepresentation 1
PixelSpacing 0.703125\0.703125
SmallestImagePixelValue 0
LargestImagePixelValue 32767
WindowCenter -500
WindowWidth 1500
WindowCenterWidthExplanation LUNG
RescaleIntercept -1024
RescaleSlope 1
RescaleType HU
"""
GE_CT = {
    (
        0x0009,
        "GEMS_IDEN_01",
    ): "01 LO GE_GENESIS_FF;02 SH CT99;04 SH EXAMPLE 64;27 SL 1592216283;E3 UI 1.2.840.113619.9.7",
    (0x0019, "GEMS_ACQU_01"): "02 SL 912;03 DS 389.75;04 DS 1.0239;0F DS 425.7;23 DS 55;24 DS 984;27 DS 0.6;2C SL 1230",
    (0x0021, "GEMS_RELA_01"): "03 SS 0;35 SS 0;36 SS 0;91 SS 2",
    (0x0027, "GEMS_IMAG_01"): "06 SL 1;10 SS 0;1C SL 2;40 SH 42;41 FL -42.5",
    (0x0043, "GEMS_PARM_01"): r"10 US 400;1E DS 5;26 US 0\1\2;39 IS 1\2\3\4;46 DS 1.2;64 CS \TH;6F DS 0.5\0.25\0.5",
    (0x0045, "GEMS_HELIOS_01"): "01 SS 16;02 FL 1.25;32 TM 101503;3B LO ASiR 30",
}
MR = r"""
ImageType ORIGINAL\PRIMARY\DIFFUSION\NONE
Modality MR
StudyDescription MR brain, follow-up
SeriesDescription ep2d diff 64 directions
ProtocolName DTI 64 axial
BodyPartExamined BRAIN
DeviceSerialNumber 4711-0816
SoftwareVersions 5.7.1
MagneticFieldStrength 3.0
ResonantNucleus 1H
ContentQualification PRODUCT
PixelPresentation MONOCHROME
VolumetricProperties VOLUME
VolumeBasedCalculationTechnique NONE
ComplexImageComponent MAGNITUDE
AcquisitionContrast DIFFUSION
AcquisitionDateTime 20200615101803.25
AcquisitionDuration 512.5
PatientPosition HFS
SeriesNumber 5
AcquisitionNumber 5
ImageComments second run, patient moved in the first
PixelRepresentation 0
PresentationLUTShape IDENTITY
"""


def described(ds: Dataset, lines: str) -> Dataset:
    """Add attributes from lines of keyword and value."""
    for line in lines.strip().splitlines():
        keyword, _, text = line.partition(" ")
        add(ds, tag_for_keyword(keyword), dictionary_VR(keyword).split(" ")[0], text)
    return ds


def add(ds: Dataset, tag: int, vr: str, text: str) -> None:
    """Add an attribute; numbers of VRs that are bytes are read from the text."""
    values = text.split("\\") if vr not in ("LT", "ST", "UT") else [text]
    kinds = {"US": int, "SS": int, "SL": int, "UL": int, "FL": float, "FD": float}
    converted = [kinds[vr](value) for value in values] if vr in kinds else values
    ds.add_new(tag, vr, converted if len(converted) > 1 else converted[0])


def item(**values: object) -> Dataset:
    """Make an item of a sequence."""
    ds = Dataset()
    for keyword, value in values.items():
        setattr(ds, keyword, value)
    return ds


def code(value: str, scheme: str, meaning: str) -> list[Dataset]:
    """Make the one item of a sequence of codes."""
    return [item(CodeValue=value, CodingSchemeDesignator=scheme, CodeMeaning=meaning)]


def base(lines: str, sop_class: str, series: int) -> Dataset:
    """Make what every image of the study has."""
    ds = described(described(Dataset(), PATIENT), lines)
    ds.SOPClassUID, ds.StudyInstanceUID, ds.SeriesInstanceUID = sop_class, ROOT, f"{ROOT}.{series}"
    ds.FrameOfReferenceUID = f"{ROOT}.900"
    ds.OtherPatientIDsSequence = [item(PatientID="OLD-55812", TypeOfPatientID="TEXT")]
    ds.ProcedureCodeSequence = code("CTTHX", "99LOCAL", "CT of thorax and abdomen")
    ds.ReferencedStudySequence = [item(ReferencedSOPClassUID="1.2.840.10008.3.1.2.3.1", ReferencedSOPInstanceUID=ROOT)]
    ds.RequestAttributesSequence = [
        item(
            RequestedProcedureID="RP77",
            RequestedProcedureDescription="CT thorax abdomen",
            ScheduledProcedureStepID="SPS77",
            ScheduledProcedureStepDescription="CT thorax",
            ScheduledProtocolCodeSequence=code("CTTHX", "99LOCAL", "CT of thorax"),
        )
    ]
    ds.PerformedProtocolCodeSequence = code("P77", "99LOCAL", "Routine chest")
    ds.AnatomicRegionSequence = code("51185008", "SCT", "Thorax")
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.file_meta.MediaStorageSOPClassUID = sop_class
    return ds


def write(ds: Dataset, file: Path) -> None:
    """Write with file meta and preamble."""
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    ds.save_as(file, enforce_file_format=True)


def write_ct(folder: Path, count: int) -> None:
    """Write slices of one series."""
    ds = base(CT, CTImageStorage, 3)
    purpose = code("121312", "DCM", "Localizer")
    ds.CTDIPhantomTypeCodeSequence = code("113691", "DCM", "IEC Body Dosimetry Phantom")
    ds.ReferencedImageSequence = [
        item(
            ReferencedSOPClassUID=CTImageStorage,
            ReferencedSOPInstanceUID=f"{ROOT}.1.{number}",
            PurposeOfReferenceCodeSequence=purpose,
        )
        for number in (1, 2)
    ]
    for (group, creator), elements in GE_CT.items():
        add(ds, group << 16 | 0x0010, "LO", creator)
        for element in elements.split(";"):
            offset, vr, text = element.split(" ", maxsplit=2)
            add(ds, group << 16 | 0x1000 | int(offset, 16), vr, text)
    ds.Rows = ds.Columns = CT_SIZE
    folder.mkdir()
    for number in range(1, count + 1):
        ds.SOPInstanceUID, ds.InstanceNumber = f"{ROOT}.3.{number}", number
        ds.SliceLocation, ds.ImagePositionPatient = number * 1.25, [-180, -180, number * 1.25]
        ds.PixelData = random.Random(number).randbytes(2 * CT_SIZE * CT_SIZE)
        write(ds, folder / f"{number:04d}.dcm")


def write_multiframe(folder: Path, frames: int) -> None:
    """Write one enhanced MR object."""
    ds = base(MR, EnhancedMRImageStorage, 5)
    ds.SOPInstanceUID, ds.InstanceNumber = f"{ROOT}.5.1", 1
    ds.SharedFunctionalGroupsSequence = [
        item(
            PixelMeasuresSequence=[item(PixelSpacing=[0.9, 0.9], SliceThickness=2.5)],
            PlaneOrientationSequence=[item(ImageOrientationPatient=[1, 0, 0, 0, 1, 0])],
            MRImagingModifierSequence=[item(PixelBandwidth=1736, TransmitterFrequency=123.2)],
        )
    ]
    ds.PerFrameFunctionalGroupsSequence = [functional_groups(number) for number in range(1, frames + 1)]
    ds.Rows = ds.Columns = MR_SIZE
    ds.NumberOfFrames = frames
    frame = random.Random(0).randbytes(2 * MR_SIZE * MR_SIZE)
    ds.PixelData = frame * frames
    folder.mkdir()
    write(ds, folder / "multiframe.dcm")


def functional_groups(number: int) -> Dataset:
    """Make what belongs to one frame, with the private sequence in which a vendor repeats the classic header."""
    private = described(
        Dataset(),
        "EchoTime 92\nFlipAngle 90\nEchoNumbers 1\nNumberOfAverages 1\nPercentSampling 100\nHeartRate 61\n"
        "AcquisitionTime 101803.25\nContentTime 101804\nImagePositionPatient -115\\-115\\12.5\nImagingFrequency 123.2",
    )
    add(private, 0x20050010, "LO", "Philips MR Imaging DD 001")
    for offset, vr, text in ((0x0D, "FL", "0"), (0x0E, "FL", "1.75"), (0x20, "SL", "1"), (0x63, "SS", "0")):
        add(private, 0x20051000 | offset, vr, text)
    ds = item(
        FrameContentSequence=[
            item(
                FrameAcquisitionDateTime=f"202006151018{number % 60:02d}.5",
                FrameReferenceDateTime=f"202006151018{number % 60:02d}.25",
                FrameAcquisitionDuration=82.5,
                DimensionIndexValues=[1, number, 1],
                StackID="1",
                InStackPositionNumber=number,
                TemporalPositionIndex=1,
            )
        ],
        PlanePositionSequence=[item(ImagePositionPatient=[-115, -115, 2.5 * number])],
        MRDiffusionSequence=[
            item(
                DiffusionBValue=1000.0,
                DiffusionDirectionality="DIRECTIONAL",
                DiffusionGradientDirectionSequence=[item(DiffusionGradientOrientation=[0.6, 0.8, 0.0])],
            )
        ],
        FrameVOILUTSequence=[item(WindowCenter=600, WindowWidth=1200)],
        PixelValueTransformationSequence=[item(RescaleIntercept=0, RescaleSlope=1.75, RescaleType="US")],
        MREchoSequence=[item(EffectiveEchoTime=92.0)],
        ReferencedImageSequence=[
            item(
                ReferencedSOPClassUID=EnhancedMRImageStorage,
                ReferencedSOPInstanceUID=f"{ROOT}.4.1",
                ReferencedFrameNumber=number,
                PurposeOfReferenceCodeSequence=code("121312", "DCM", "Localizer"),
            )
        ],
    )
    add(ds, 0x20050010, "LO", "Philips MR Imaging DD 005")
    ds.add_new(0x2005100F, "SQ", [private])
    return ds
