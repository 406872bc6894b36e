"""Valid multi-frame images with functional groups, and what is derived from them; see made_objects.py."""

import struct
from collections.abc import Callable

from pydicom.dataset import Dataset
from pydicom.uid import (
    CTImageStorage,
    EnhancedCTImageStorage,
    EnhancedMRImageStorage,
    ParametricMapStorage,
    SegmentationStorage,
)

from made_images import AXIAL, context, general_image, image
from made_objects import FRAME_OF_REFERENCE, base, code, content_identification, item, reference, uid
from objects import MARKER, ROOT


def _shared(frame_type: str, anatomy: str = "FrameAnatomySequence") -> Dataset:
    region = item(FrameLaterality="U", AnatomicRegionSequence=code("T-A0100", "SRT", "Brain"))
    return item(
        PixelMeasuresSequence=[item(SliceThickness="1", PixelSpacing=[1, 1])],
        PlaneOrientationSequence=[item(ImageOrientationPatient=AXIAL)],
        FrameVOILUTSequence=[item(WindowCenter="40", WindowWidth="400", WindowCenterWidthExplanation=f"by {MARKER}")],
        PixelValueTransformationSequence=[item(RescaleIntercept="0", RescaleSlope="1", RescaleType=frame_type)],
        **{anatomy: [region]},
    )


def _frame(number: int) -> Dataset:
    content = item(
        FrameAcquisitionNumber=1,
        FrameReferenceDateTime="20200615102001",
        FrameAcquisitionDateTime=f"2020061510200{number}",
        FrameAcquisitionDuration=10.0,
        FrameComments=f"frame of {MARKER}",
        FrameLabel=f"{MARKER}",
        StackID="1",
        InStackPositionNumber=number,
        DimensionIndexValues=number,
        TemporalPositionIndex=1,
    )
    return item(FrameContentSequence=[content], PlanePositionSequence=[item(ImagePositionPatient=[0, 0, number])])


def _dimensions(ds: Dataset, name: str, pointer: int = 0x00209057, group: int = 0x00209111) -> Dataset:
    """Add Multi-frame Dimension with one index: by default the position in the stack."""
    organization = uid(f"dimensions of {name}")
    ds.DimensionOrganizationSequence = [item(DimensionOrganizationUID=organization)]
    ds.DimensionIndexSequence = [
        item(
            DimensionOrganizationUID=organization,
            DimensionIndexPointer=pointer,
            FunctionalGroupPointer=group,
            DimensionDescriptionLabel=f"of {MARKER}",
        )
    ]
    return ds


def _enhanced(name: str, sop_class: str, modality: str, frame_type: str) -> Dataset:
    ds = image(general_image(base(name, sop_class, modality), "ORIGINAL\\PRIMARY\\VOLUME\\NONE"), frames=2)
    del ds.PatientOrientation, ds.AcquisitionDate, ds.AcquisitionTime, ds.Laterality
    ds.FrameOfReferenceUID, ds.PositionReferenceIndicator = FRAME_OF_REFERENCE, ""
    ds.SynchronizationFrameOfReferenceUID = f"{ROOT}.11"
    ds.SynchronizationTrigger, ds.AcquisitionTimeSynchronized = "NO TRIGGER", "N"
    ds.AcquisitionDuration, ds.PresentationLUTShape, ds.ContentQualification = 20.0, "IDENTITY", "PRODUCT"
    ds.PixelPresentation, ds.VolumetricProperties, ds.VolumeBasedCalculationTechnique = "MONOCHROME", "VOLUME", "NONE"
    ds.AcquisitionProtocolDescription = f"protocol of {MARKER}"
    ds.AcquisitionContextSequence = [context()]
    ds.PatientPosition = "HFS"
    ds.SharedFunctionalGroupsSequence = [_shared(frame_type)]
    ds.PerFrameFunctionalGroupsSequence = [_frame(1), _frame(2)]
    return _dimensions(ds, name)


def enhanced_ct() -> Dataset:
    """Make an enhanced CT of two frames."""
    ds = _enhanced("enhanced-ct", EnhancedCTImageStorage, "CT", "HU")
    ds.MultienergyCTAcquisition = "NO"
    shared = ds.SharedFunctionalGroupsSequence[0]
    kind = {"FrameType": ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"], "PixelPresentation": "MONOCHROME"}
    kind |= {"VolumetricProperties": "VOLUME", "VolumeBasedCalculationTechnique": "NONE"}
    shared.CTImageFrameTypeSequence = [item(**kind)]
    shared.CTAcquisitionTypeSequence = [
        item(AcquisitionType="SEQUENCED", ConstantVolumeFlag="NO", FluoroscopyFlag="NO")
    ]
    shared.CTAcquisitionDetailsSequence = [
        item(
            RotationDirection="CW", RevolutionTime=1.0, SingleCollimationWidth=1.0, TotalCollimationWidth=1.0,
            TableHeight=100.0, GantryDetectorTilt=0.0, DataCollectionDiameter="500",
        )
    ]  # fmt: skip
    shared.CTTableDynamicsSequence = [item(TableSpeed=0.0, TableFeedPerRotation=0.0, SpiralPitchFactor=1.0)]
    shared.CTGeometrySequence = [item(DistanceSourceToDetector="1000", DistanceSourceToDataCollectionCenter=500.0)]
    shared.CTReconstructionSequence = [
        item(
            ReconstructionAlgorithm="FILTER_BACK_PROJ", ConvolutionKernel="B30", ConvolutionKernelGroup="BRAIN",
            ReconstructionDiameter="300", ReconstructionPixelSpacing=[1.0, 1.0], ReconstructionAngle=360.0,
            ImageFilter=MARKER,
        )
    ]  # fmt: skip
    shared.CTExposureSequence = [
        item(ExposureTimeInms=100.0, XRayTubeCurrentInmA=100.0, ExposureInmAs=10.0, ExposureModulationType="NONE")
    ]
    shared.CTXRayDetailsSequence = [
        item(
            KVP="120",
            FocalSpots="1",
            FilterType="FLAT",
            FilterMaterial="ALUMINUM",
            CalciumScoringMassFactorDevice=[1.0, 1.0, 1.0],
        )
    ]
    shared.IrradiationEventIdentificationSequence = [item(IrradiationEventUID=f"{ROOT}.14")]
    shared.CTPositionSequence = [
        item(
            TablePosition=0.0, ReconstructionTargetCenterPatient=[0.0, 0.0, 0.0],
            DataCollectionCenterPatient=[0.0, 0.0, 0.0],
        )
    ]  # fmt: skip
    return ds


def enhanced_mr() -> Dataset:
    """Make an enhanced MR of two frames with diffusion, in the frame of reference of the CT."""
    ds = _enhanced("enhanced-mr", EnhancedMRImageStorage, "MR", "US")
    ds.ComplexImageComponent, ds.AcquisitionContrast = "MAGNITUDE", "DIFFUSION"
    ds.ResonantNucleus, ds.KSpaceFiltering, ds.MagneticFieldStrength = "1H", "NONE", "3"
    ds.PulseSequenceName, ds.MRAcquisitionType, ds.EchoPulseSequence = MARKER, "2D", "SPIN"
    ds.MultipleSpinEcho, ds.MultiPlanarExcitation, ds.PhaseContrast, ds.TimeOfFlightContrast = "NO", "NO", "NO", "NO"
    ds.SteadyStatePulseSequence, ds.EchoPlanarPulseSequence, ds.SaturationRecovery = "NONE", "NO", "NO"
    ds.SpectrallySelectedSuppression, ds.OversamplingPhase, ds.NumberOfKSpaceTrajectories = "NONE", "NONE", 1
    ds.GeometryOfKSpaceTraversal, ds.SegmentedKSpaceTraversal = "RECTILINEAR", "SINGLE"
    ds.RectilinearPhaseEncodeReordering = "LINEAR"
    ds.ApplicableSafetyStandardAgency, ds.ApplicableSafetyStandardDescription = "IEC", f"{MARKER} standard"
    shared = ds.SharedFunctionalGroupsSequence[0]
    kind = {"FrameType": ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"], "PixelPresentation": "MONOCHROME"}
    kind |= {"VolumetricProperties": "VOLUME", "VolumeBasedCalculationTechnique": "NONE"}
    kind |= {"ComplexImageComponent": "MAGNITUDE", "AcquisitionContrast": "DIFFUSION"}
    shared.MRImageFrameTypeSequence = [item(**kind)]
    _add_mr_macros(shared)
    for frame in ds.PerFrameFunctionalGroupsSequence:
        direction = item(DiffusionGradientOrientation=[1.0, 0.0, 0.0])
        frame.MRDiffusionSequence = [
            item(
                DiffusionDirectionality="DIRECTIONAL", DiffusionBValue=1000.0, DiffusionAnisotropyType="FRACTIONAL",
                DiffusionGradientDirectionSequence=[direction],
            )
        ]  # fmt: skip
    return ds


def _add_mr_macros(shared: Dataset) -> None:
    """Add the functional groups that every enhanced MR of an original image needs (PS3.3 C.8.13.5)."""
    shared.MRTimingAndRelatedParametersSequence = [
        item(
            RepetitionTime="500", FlipAngle="90", EchoTrainLength="1", RFEchoTrainLength=1, GradientEchoTrainLength=0,
            SpecificAbsorptionRateSequence=[
                item(SpecificAbsorptionRateDefinition="IEC_WHOLE_BODY", SpecificAbsorptionRateValue=0.1)
            ],
            GradientOutputType="DB_DT", GradientOutput=1.0,
            OperatingModeSequence=[item(OperatingModeType="STATIC FIELD", OperatingMode="IEC_NORMAL")],
        )
    ]  # fmt: skip
    shared.MREchoSequence = [item(EffectiveEchoTime=10.0)]
    shared.MRModifierSequence = [
        item(
            InversionRecovery="NO", FlowCompensation="NONE", Spoiling="NONE", T2Preparation="NO",
            SpectrallySelectedExcitation="NONE", SpatialPresaturation="NONE", PartialFourier="NO",
            ParallelAcquisition="NO",
        )
    ]  # fmt: skip
    shared.MRImagingModifierSequence = [
        item(
            MagnetizationTransfer="NONE", BloodSignalNulling="NO", Tagging="NONE", TransmitterFrequency=123.0,
            PixelBandwidth="100",
        )
    ]  # fmt: skip
    shared.MRReceiveCoilSequence = [
        item(
            ReceiveCoilName=MARKER[:6], ReceiveCoilManufacturerName=f"{MARKER} coils", ReceiveCoilType="HEAD",
            QuadratureReceiveCoil="NO",
        )
    ]  # fmt: skip
    shared.MRTransmitCoilSequence = [
        item(TransmitCoilName="BODY", TransmitCoilManufacturerName=f"{MARKER} coils", TransmitCoilType="BODY")
    ]
    shared.MRAveragesSequence = [item(NumberOfAverages="1")]
    shared.MRFOVGeometrySequence = [
        item(
            InPlanePhaseEncodingDirection="ROW", MRAcquisitionFrequencyEncodingSteps=4,
            MRAcquisitionPhaseEncodingStepsInPlane=4, MRAcquisitionPhaseEncodingStepsOutOfPlane=1,
            PercentSampling="100", PercentPhaseFieldOfView="100",
        )
    ]  # fmt: skip


def seg() -> Dataset:
    """Make a binary segmentation of two CT slices."""
    ds = image(base("seg", SegmentationStorage, "SEG"), bits=8, stored=8, frames=2)
    ds.BitsAllocated = ds.BitsStored = 1
    ds.HighBit, ds.PixelData = 0, bytes([0x0F, 0xF0, 0xAA, 0x55])
    ds.ImageType = ["DERIVED", "PRIMARY"]
    for keyword, value in content_identification("SEGMENTATION").items():
        setattr(ds, keyword, value)
    ds.FrameOfReferenceUID, ds.PositionReferenceIndicator = FRAME_OF_REFERENCE, ""
    ds.SegmentationType = "BINARY"
    ds.SegmentSequence = [
        item(
            SegmentNumber=1,
            SegmentLabel=f"{MARKER} lesion",
            SegmentDescription=f"drawn by {MARKER}",
            SegmentAlgorithmType="MANUAL",
            TrackingID=f"{MARKER} 1",
            TrackingUID=f"{ROOT}.12",
            SegmentedPropertyCategoryCodeSequence=code("M-01000", "SRT", "Morphologically Altered Structure"),
            SegmentedPropertyTypeCodeSequence=code("M-01100", "SRT", "Lesion"),
        )
    ]
    ds.ReferencedSeriesSequence = _series_of_ct()
    shared = _shared("US")
    del shared.FrameVOILUTSequence, shared.PixelValueTransformationSequence, shared.FrameAnatomySequence
    shared.SegmentIdentificationSequence = [item(ReferencedSegmentNumber=1)]
    ds.SharedFunctionalGroupsSequence = [shared]
    ds.PerFrameFunctionalGroupsSequence = [_derived_frame(number) for number in (1, 2)]
    return _dimensions(ds, "seg", 0x00200032, 0x00209113)


def _series_of_ct() -> list[Dataset]:
    objects = [reference(CTImageStorage, f"ct-{number}") for number in (1, 2, 3)]
    return [item(SeriesInstanceUID=uid("series of ct"), ReferencedInstanceSequence=objects)]


def _derived_frame(number: int) -> Dataset:
    frame = _frame(number)
    content = frame.FrameContentSequence[0]
    for keyword in ("StackID", "InStackPositionNumber", "TemporalPositionIndex", "FrameReferenceDateTime"):
        delattr(content, keyword)
    for keyword in ("FrameAcquisitionDateTime", "FrameAcquisitionDuration", "FrameAcquisitionNumber"):
        delattr(content, keyword)
    source = reference(CTImageStorage, f"ct-{number}")
    source.PurposeOfReferenceCodeSequence = code("121322", "DCM", "Source image for image processing operation")
    source.SpatialLocationsPreserved = "YES"
    frame.DerivationImageSequence = [
        item(
            SourceImageSequence=[source],
            DerivationCodeSequence=code("113076", "DCM", "Segmentation"),
            DerivationDescription=f"by {MARKER}",
        )
    ]
    return frame


def parametric_map() -> Dataset:
    """Make a map of floats over two CT slices."""
    ds = image(base("map", ParametricMapStorage, "OT"), frames=2)
    del ds.PixelData, ds.BitsStored, ds.HighBit, ds.PixelRepresentation
    ds.BitsAllocated, ds.FloatPixelData = 32, struct.pack("<32f", *range(32))
    ds.ImageType = ["DERIVED", "PRIMARY", "VOLUME", "NONE"]
    for keyword, value in content_identification("MAP").items():
        setattr(ds, keyword, value)
    ds.FrameOfReferenceUID, ds.PositionReferenceIndicator = FRAME_OF_REFERENCE, ""
    ds.PresentationLUTShape, ds.ContentQualification, ds.BurnedInAnnotation = "IDENTITY", "RESEARCH", "NO"
    ds.RecognizableVisualFeatures = "NO"
    ds.PixelPresentation, ds.VolumetricProperties, ds.VolumeBasedCalculationTechnique = "MONOCHROME", "VOLUME", "NONE"
    ds.AcquisitionContextSequence = [context()]
    ds.ReferencedSeriesSequence = _series_of_ct()
    shared = _shared("US")
    shared.ParametricMapFrameTypeSequence = [item(FrameType=["DERIVED", "PRIMARY", "VOLUME", "NONE"])]
    mapping = item(
        LUTExplanation=f"explained by {MARKER}", LUTLabel=MARKER, DoubleFloatRealWorldValueFirstValueMapped=0.0,
        DoubleFloatRealWorldValueLastValueMapped=100.0, RealWorldValueIntercept=0.0, RealWorldValueSlope=1.0,
        MeasurementUnitsCodeSequence=code("1", "UCUM", "no units"),
    )  # fmt: skip
    shared.RealWorldValueMappingSequence = [mapping]
    ds.SharedFunctionalGroupsSequence = [shared]
    ds.PerFrameFunctionalGroupsSequence = [_derived_frame(number) for number in (1, 2)]
    return _dimensions(ds, "map", 0x00200032, 0x00209113)


OBJECTS: dict[str, Callable[[], Dataset]] = {
    "enhanced-ct": enhanced_ct,
    "enhanced-mr": enhanced_mr,
    "seg": seg,
    "map": parametric_map,
}
