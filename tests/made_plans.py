"""Valid objects of radiotherapy and geometry: plans, structures, registrations, surfaces; see made_objects.py."""

import struct
from collections.abc import Callable

from pydicom.dataset import Dataset
from pydicom.uid import (
    CTImageStorage,
    MRImageStorage,
    RTDoseStorage,
    RTPlanStorage,
    RTStructureSetStorage,
    SpatialRegistrationStorage,
    SurfaceSegmentationStorage,
)

from made_documents import SLICES, without_steps
from made_objects import (
    FRAME_OF_REFERENCE,
    STUDY,
    base,
    code,
    content_identification,
    item,
    reference,
    uid,
)
from objects import MARKER, ROOT


def rtstruct() -> Dataset:
    """Make a structure set of one region over the CT series."""
    ds = base("rtstruct", RTStructureSetStorage, "RTSTRUCT")
    without_steps(ds)
    ds.FrameOfReferenceUID, ds.PositionReferenceIndicator = FRAME_OF_REFERENCE, ""
    ds.StructureSetLabel, ds.StructureSetName, ds.StructureSetDescription = "OARs", MARKER, f"of {MARKER}"
    ds.StructureSetDate, ds.StructureSetTime = "20200616", "090000"
    ds.ApprovalStatus, ds.ReviewDate, ds.ReviewTime, ds.ReviewerName = "APPROVED", "20200617", "100000", f"{MARKER}^Rev"
    contours = [reference(CTImageStorage, name) for name in SLICES]
    series = item(SeriesInstanceUID=uid("series of ct"), ContourImageSequence=contours)
    study = item(ReferencedSOPClassUID="1.2.840.10008.3.1.2.3.1", ReferencedSOPInstanceUID=STUDY)
    study.RTReferencedSeriesSequence = [series]
    ds.ReferencedFrameOfReferenceSequence = [
        item(FrameOfReferenceUID=FRAME_OF_REFERENCE, RTReferencedStudySequence=[study])
    ]
    ds.StructureSetROISequence = [
        item(
            ROINumber=1, ReferencedFrameOfReferenceUID=FRAME_OF_REFERENCE, ROIName=f"{MARKER} lung",
            ROIDescription=f"of {MARKER}", ROIGenerationAlgorithm="MANUAL", ROIGenerationDescription=f"by {MARKER}",
        )
    ]  # fmt: skip
    contour = item(
        ContourImageSequence=[reference(CTImageStorage, "ct-2")], ContourGeometricType="CLOSED_PLANAR",
        NumberOfContourPoints=3, ContourData=[0, 0, 2, 1, 0, 2, 1, 1, 2],
    )  # fmt: skip
    ds.ROIContourSequence = [item(ReferencedROINumber=1, ROIDisplayColor=[255, 0, 0], ContourSequence=[contour])]
    ds.RTROIObservationsSequence = [
        item(
            ObservationNumber=1, ReferencedROINumber=1, ROIObservationLabel=MARKER, RTROIInterpretedType="ORGAN",
            ROIInterpreter=f"{MARKER}^Ivo", ROIObservationDescription=f"seen by {MARKER}",
        )
    ]  # fmt: skip
    return ds


def rtplan() -> Dataset:
    """Make a plan of one beam on the structure set."""
    ds = base("rtplan", RTPlanStorage, "RTPLAN")
    without_steps(ds)
    ds.RTPlanLabel, ds.RTPlanName, ds.RTPlanDescription = "PLAN1", MARKER, f"of {MARKER}"
    ds.RTPlanDate, ds.RTPlanTime, ds.RTPlanGeometry, ds.PlanIntent = "20200618", "080000", "PATIENT", "CURATIVE"
    ds.TreatmentProtocols, ds.TreatmentSites = f"{MARKER} study", f"lung of {MARKER}"
    ds.ApprovalStatus, ds.ReviewDate, ds.ReviewTime, ds.ReviewerName = "APPROVED", "20200619", "100000", f"{MARKER}^Rev"
    ds.FrameOfReferenceUID, ds.PositionReferenceIndicator = FRAME_OF_REFERENCE, ""
    ds.ReferencedStructureSetSequence = [reference(RTStructureSetStorage, "rtstruct")]
    ds.PatientSetupSequence = [
        item(PatientSetupNumber=1, PatientPosition="HFS", SetupTechnique="ISOCENTRIC", SetupTechniqueDescription=MARKER)
    ]
    ds.DoseReferenceSequence = [
        item(
            DoseReferenceNumber=1, DoseReferenceUID=f"{ROOT}.18", DoseReferenceStructureType="COORDINATES",
            DoseReferenceDescription=f"of {MARKER}", DoseReferencePointCoordinates=[0, 0, 0],
            DoseReferenceType="TARGET", TargetPrescriptionDose="60",
        )
    ]  # fmt: skip
    ds.FractionGroupSequence = [
        item(
            FractionGroupNumber=1, FractionGroupDescription=f"of {MARKER}", NumberOfFractionsPlanned=30,
            NumberOfBeams=1, NumberOfBrachyApplicationSetups=0,
            ReferencedBeamSequence=[item(ReferencedBeamNumber=1, BeamMeterset="100")],
        )
    ]  # fmt: skip
    ds.BeamSequence = [_beam()]
    return ds


def _beam() -> Dataset:
    positions = [
        item(RTBeamLimitingDeviceType=kind, LeafJawPositions=[-50, 50]) for kind in ("X", "Y")
    ]  # fmt: skip
    first = item(
        ControlPointIndex=0, CumulativeMetersetWeight="0", NominalBeamEnergy="6", DoseRateSet="400",
        BeamLimitingDevicePositionSequence=positions, GantryAngle="0", GantryRotationDirection="NONE",
        BeamLimitingDeviceAngle="0", BeamLimitingDeviceRotationDirection="NONE", PatientSupportAngle="0",
        PatientSupportRotationDirection="NONE", TableTopEccentricAngle="0",
        TableTopEccentricRotationDirection="NONE", TableTopVerticalPosition="", TableTopLongitudinalPosition="",
        TableTopLateralPosition="", IsocenterPosition=[0, 0, 0],
    )  # fmt: skip
    devices = [item(RTBeamLimitingDeviceType=kind, NumberOfLeafJawPairs=1) for kind in ("X", "Y")]
    return item(
        BeamNumber=1, BeamName=f"{MARKER} AP", BeamDescription=f"of {MARKER}", BeamType="STATIC",
        RadiationType="PHOTON", TreatmentMachineName=MARKER, PrimaryDosimeterUnit="MU", SourceAxisDistance="1000",
        BeamLimitingDeviceSequence=devices, ReferencedPatientSetupNumber=1, TreatmentDeliveryType="TREATMENT",
        NumberOfWedges=0, NumberOfCompensators=0, NumberOfBoli=0, NumberOfBlocks=0,
        FinalCumulativeMetersetWeight="1", NumberOfControlPoints=2,
        ControlPointSequence=[first, item(ControlPointIndex=1, CumulativeMetersetWeight="1")],
    )  # fmt: skip


def rtdose() -> Dataset:
    """Make the dose of the plan."""
    ds = base("rtdose", RTDoseStorage, "RTDOSE")
    without_steps(ds)
    ds.ContentDate, ds.ContentTime = "20200618", "090000"
    ds.FrameOfReferenceUID, ds.PositionReferenceIndicator = FRAME_OF_REFERENCE, ""
    ds.ImagePositionPatient, ds.ImageOrientationPatient = [0, 0, 1], [1, 0, 0, 0, 1, 0]
    ds.PixelSpacing, ds.SliceThickness = [1, 1], ""
    ds.NumberOfFrames, ds.FrameIncrementPointer, ds.GridFrameOffsetVector = 2, 0x3004000C, [0, 1]
    ds.Rows = ds.Columns = 4
    ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.PixelRepresentation = 1, "MONOCHROME2", 0
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = 16, 16, 15
    ds.PixelData = struct.pack("<32H", *range(32))
    ds["PixelData"].VR = "OW"
    ds.DoseUnits, ds.DoseType, ds.DoseSummationType, ds.DoseGridScaling = "GY", "PHYSICAL", "PLAN", "0.001"
    ds.DoseComment, ds.TissueHeterogeneityCorrection = f"for {MARKER}", "IMAGE"
    ds.ReferencedRTPlanSequence = [reference(RTPlanStorage, "rtplan")]
    return ds


def reg() -> Dataset:
    """Make a registration of the MR to the CT."""
    ds = base("reg", SpatialRegistrationStorage, "REG")
    without_steps(ds)
    for keyword, value in content_identification("REGISTRATION").items():
        setattr(ds, keyword, value)
    ds.FrameOfReferenceUID, ds.PositionReferenceIndicator = FRAME_OF_REFERENCE, ""
    ds.Laterality = ""
    ds.RegistrationSequence = [_registered("ct-1", CTImageStorage), _registered("mr-1", MRImageStorage)]
    of_each = [
        item(SeriesInstanceUID=uid("series of ct"), ReferencedInstanceSequence=[reference(CTImageStorage, "ct-1")]),
        item(SeriesInstanceUID=uid("series of mr"), ReferencedInstanceSequence=[reference(MRImageStorage, "mr-1")]),
    ]
    ds.ReferencedSeriesSequence = of_each
    return ds


def _registered(name: str, sop_class: str) -> Dataset:
    matrix = item(
        FrameOfReferenceTransformationMatrix=[1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1],
        FrameOfReferenceTransformationMatrixType="RIGID",
        FrameOfReferenceTransformationComment=f"by {MARKER}",
    )
    registration = item(
        RegistrationTypeCodeSequence=[], FrameOfReferenceTransformationComment=f"by {MARKER}", MatrixSequence=[matrix]
    )
    return item(
        FrameOfReferenceUID=FRAME_OF_REFERENCE, ReferencedImageSequence=[reference(sop_class, name)],
        MatrixRegistrationSequence=[registration],
    )  # fmt: skip


def surface() -> Dataset:
    """Make a surface segmentation of one triangle."""
    ds = base("surface", SurfaceSegmentationStorage, "SEG")
    for keyword, value in content_identification("SURFACE").items():
        setattr(ds, keyword, value)
    ds.FrameOfReferenceUID, ds.PositionReferenceIndicator = FRAME_OF_REFERENCE, ""
    algorithm = item(
        AlgorithmFamilyCodeSequence=code("123109", "DCM", "Manual Processing"), AlgorithmName=f"{MARKER} hand",
        AlgorithmVersion="1", AlgorithmParameters=f"by {MARKER}",
    )  # fmt: skip
    processing = item(
        SurfaceNumber=1, SurfaceComments=f"of {MARKER}", SurfaceProcessing="NO",
        RecommendedDisplayGrayscaleValue=30000,
        RecommendedDisplayCIELabValue=[30000, 30000, 30000], RecommendedPresentationOpacity=1.0,
        RecommendedPresentationType="SURFACE", FiniteVolume="NO", Manifold="NO", SurfacePointsSequence=[_points()],
        SurfacePointsNormalsSequence=[], SurfaceMeshPrimitivesSequence=[_triangle()],
    )  # fmt: skip
    ds.NumberOfSurfaces, ds.SurfaceSequence = 1, [processing]
    instance = reference(CTImageStorage, "ct-1")
    ds.SegmentSequence = [
        item(
            SegmentNumber=1, SegmentLabel=f"{MARKER} skin", SegmentDescription=f"of {MARKER}",
            SegmentAlgorithmType="MANUAL", SurfaceCount=1,
            SegmentedPropertyCategoryCodeSequence=code("T-D000A", "SRT", "Anatomical Structure"),
            SegmentedPropertyTypeCodeSequence=code("T-01000", "SRT", "Skin"),
            ReferencedSurfaceSequence=[
                item(
                    ReferencedSurfaceNumber=1, SegmentSurfaceGenerationAlgorithmIdentificationSequence=[algorithm],
                    SegmentSurfaceSourceInstanceSequence=[instance],
                )
            ],
        )
    ]  # fmt: skip
    series = item(SeriesInstanceUID=uid("series of ct"), ReferencedInstanceSequence=[reference(CTImageStorage, "ct-1")])
    ds.ReferencedSeriesSequence = [series]
    return ds


def _points() -> Dataset:
    return item(NumberOfSurfacePoints=3, PointCoordinatesData=struct.pack("<9f", 0, 0, 0, 1, 0, 0, 0, 1, 0))


def _triangle() -> Dataset:
    none = dict.fromkeys(
        ("LongVertexPointIndexList", "LongEdgePointIndexList", "TriangleStripSequence", "TriangleFanSequence",
         "LineSequence", "FacetSequence"), None
    )  # fmt: skip
    return item(LongTrianglePointIndexList=struct.pack("<3I", 1, 2, 3), **none)


OBJECTS: dict[str, Callable[[], Dataset]] = {
    "rtstruct": rtstruct,
    "rtplan": rtplan,
    "rtdose": rtdose,
    "reg": reg,
    "surface": surface,
}
