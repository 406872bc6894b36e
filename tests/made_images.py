"""Valid classic images of the kinds that pydicom's files lack; see made_objects.py."""

import struct
from collections.abc import Callable

from pydicom.dataset import Dataset
from pydicom.uid import (
    CTImageStorage,
    DigitalMammographyXRayImageStorageForPresentation,
    DigitalXRayImageStorageForPresentation,
    MRImageStorage,
    NuclearMedicineImageStorage,
    PositronEmissionTomographyImageStorage,
    SecondaryCaptureImageStorage,
    UltrasoundMultiFrameImageStorage,
)

from made_objects import FRAME_OF_REFERENCE, base, code, item, reference
from objects import MARKER, ROOT

_SIZE = 4  # rows and columns of every image
AXIAL = [1, 0, 0, 0, 1, 0]


def image(ds: Dataset, *, bits: int = 16, stored: int = 12, frames: int = 0, samples: int = 1) -> Dataset:
    """Add Image Pixel, and Multi-frame where there are frames; in place."""
    ds.Rows = ds.Columns = _SIZE
    ds.SamplesPerPixel, ds.PhotometricInterpretation = samples, "RGB" if samples > 1 else "MONOCHROME2"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = bits, stored, stored - 1, 0
    if samples > 1:
        ds.PlanarConfiguration = 0
    if frames:
        ds.NumberOfFrames = frames
    count = _SIZE * _SIZE * samples * max(1, frames)
    ds.PixelData = bytes(at % 251 for at in range(count)) if bits == 8 else struct.pack(f"<{count}H", *range(count))
    ds["PixelData"].VR = "OB" if bits == 8 else "OW"
    ds.LossyImageCompression = "00"
    return ds


def general_image(ds: Dataset, image_type: str) -> Dataset:
    ds.ImageType = image_type.split("\\")
    ds.ContentDate, ds.ContentTime = "20200615", "102100"
    ds.AcquisitionDate, ds.AcquisitionTime, ds.AcquisitionDateTime = "20200615", "102001.5", "20200615102001.500000"
    ds.AcquisitionNumber = 1
    ds.ImageComments = f"comment on {MARKER}"
    ds.DerivationDescription = f"derived by {MARKER}"
    ds.PatientOrientation = ["L", "P"]
    ds.BurnedInAnnotation = "NO"
    ds.Laterality = ""
    return ds


def _plane(ds: Dataset, z: float = 0) -> Dataset:
    ds.FrameOfReferenceUID, ds.PositionReferenceIndicator = FRAME_OF_REFERENCE, f"{MARKER}"
    ds.ImagePositionPatient, ds.ImageOrientationPatient = [0, 0, z], AXIAL
    ds.PixelSpacing, ds.SliceThickness, ds.SliceLocation = [1, 1], "1", z
    ds.PatientPosition = "HFS"
    return ds


def context() -> Dataset:
    return item(
        ValueType="TEXT", ConceptNameCodeSequence=code("121106", "DCM", "Comment"), TextValue=f"{MARKER} held breath"
    )


def ct(number: int) -> Dataset:
    """Make a classic CT slice, which most other objects point to."""
    ds = _plane(image(general_image(base(f"ct-{number}", CTImageStorage, "CT"), "ORIGINAL\\PRIMARY\\AXIAL")), number)
    ds.InstanceNumber = number
    ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = "-1024", "1", "HU"
    ds.KVP, ds.ContrastBolusAgent, ds.ReconstructionDiameter = "120", f"{MARKER} fluid", "300"
    ds.WindowCenter, ds.WindowWidth, ds.WindowCenterWidthExplanation = "40", "400", f"for {MARKER}"
    ds.ReferencedImageSequence = [reference(CTImageStorage, f"ct-{number % 3 + 1}")]
    ds.AcquisitionDeviceProcessingDescription = f"{MARKER} filter"
    return ds


def mr() -> Dataset:
    """Make a classic MR slice in another series of the same frame of reference."""
    ds = _plane(image(general_image(base("mr-1", MRImageStorage, "MR"), "ORIGINAL\\PRIMARY\\M")))
    ds.ScanningSequence, ds.SequenceVariant, ds.ScanOptions, ds.MRAcquisitionType = "SE", "NONE", "", "2D"
    ds.SequenceName, ds.EchoTime, ds.RepetitionTime, ds.EchoTrainLength = f"*{MARKER[:4]}2d1", "10", "500", "1"
    return ds


def us() -> Dataset:
    """Make an ultrasound clip with a region."""
    ds = general_image(base("us", UltrasoundMultiFrameImageStorage, "US"), "ORIGINAL\\PRIMARY\\ABDOMINAL\\0001")
    ds = image(ds, bits=8, stored=8, frames=3, samples=3)
    ds.FrameTime, ds.FrameIncrementPointer, ds.StartTrim, ds.StopTrim = "40", 0x00181063, 1, 3
    ds.TransducerData, ds.ProcessingFunction = MARKER, MARKER
    ds.SequenceOfUltrasoundRegions = [
        item(
            RegionSpatialFormat=1, RegionDataType=1, RegionFlags=0, RegionLocationMinX0=0, RegionLocationMinY0=0,
            RegionLocationMaxX1=3, RegionLocationMaxY1=3, ReferencePixelX0=0, ReferencePixelY0=0,
            PhysicalUnitsXDirection=3, PhysicalUnitsYDirection=3, PhysicalDeltaX=0.1, PhysicalDeltaY=0.1,
            TransducerFrequency=3000,
        )
    ]  # fmt: skip
    return ds


def sc() -> Dataset:
    """Make a secondary capture."""
    ds = image(general_image(base("sc", SecondaryCaptureImageStorage, "OT"), "DERIVED\\SECONDARY"), bits=8, stored=8)
    ds.ConversionType, ds.DateOfSecondaryCapture, ds.TimeOfSecondaryCapture = "WSD", "20200616", "080000"
    ds.SecondaryCaptureDeviceID, ds.SecondaryCaptureDeviceManufacturer = MARKER, MARKER
    source = reference(CTImageStorage, "ct-1")
    source.PurposeOfReferenceCodeSequence = code("121322", "DCM", f"Source for {MARKER}")
    ds.SourceImageSequence = [source]
    return ds


def _radiopharmaceutical(**more: object) -> Dataset:
    return item(
        Radiopharmaceutical=f"{MARKER} FDG", RadiopharmaceuticalVolume="1", RadionuclideTotalDose="300000000",
        RadiopharmaceuticalStartTime="090000", RadiopharmaceuticalStopTime="090100",
        RadiopharmaceuticalStartDateTime="20200615090000", RadiopharmaceuticalStopDateTime="20200615090100",
        RadionuclideHalfLife="6586", RadionuclidePositronFraction="0.97",
        RadionuclideCodeSequence=code("C-111A1", "SRT", "^18^Fluorine"),
        RadiopharmaceuticalAdministrationEventUID=f"{ROOT}.13", **more,
    )  # fmt: skip


def pet() -> Dataset:
    """Make a PET slice with the times of its tracer."""
    slice_ = base("pet", PositronEmissionTomographyImageStorage, "PT")
    ds = _plane(image(general_image(slice_, "ORIGINAL\\PRIMARY"), stored=16))
    ds.Units, ds.CountsSource, ds.SeriesType, ds.NumberOfSlices = "BQML", "EMISSION", ["STATIC", "IMAGE"], 1
    ds.CorrectedImage, ds.DecayCorrection, ds.CollimatorType = ["DECY", "ATTN"], "START", "NONE"
    ds.RadiopharmaceuticalInformationSequence = [_radiopharmaceutical()]
    ds.PatientOrientationCodeSequence = code("F-10450", "SRT", "recumbent")
    ds.PatientOrientationCodeSequence[0].PatientOrientationModifierCodeSequence = code("F-10340", "SRT", "supine")
    ds.PatientGantryRelationshipCodeSequence = code("F-10470", "SRT", "headfirst")
    ds.RescaleIntercept, ds.RescaleSlope, ds.FrameReferenceTime, ds.ActualFrameDuration = "0", "1", "0", "1000"
    del ds.PatientPosition
    ds.ImageIndex, ds.DecayFactor, ds.DoseCalibrationFactor = 1, "1", "1"
    ds.AttenuationCorrectionMethod, ds.ReconstructionMethod = f"{MARKER} map", f"{MARKER} OSEM"
    return ds


def nm() -> Dataset:
    """Make a nuclear medicine image of one static frame."""
    ds = base("nm", NuclearMedicineImageStorage, "NM")
    ds = image(general_image(ds, "ORIGINAL\\PRIMARY\\STATIC\\EMISSION"), stored=16, frames=1)
    ds.FrameIncrementPointer = [0x00540010, 0x00540020]
    ds.EnergyWindowVector, ds.DetectorVector = 1, 1
    ds.NumberOfEnergyWindows = ds.NumberOfDetectors = 1
    window = item(
        EnergyWindowName=f"{MARKER} Tc",
        EnergyWindowRangeSequence=[item(EnergyWindowLowerLimit="126", EnergyWindowUpperLimit="154")],
    )
    ds.EnergyWindowInformationSequence = [window]
    ds.DetectorInformationSequence = [
        item(CollimatorType="PARA", ImagePositionPatient=[0, 0, 0], ImageOrientationPatient=AXIAL)
    ]
    ds.RadiopharmaceuticalInformationSequence = [_radiopharmaceutical(RadiopharmaceuticalRoute=f"{MARKER} iv")]
    ds.PatientOrientationCodeSequence = code("F-10450", "SRT", "recumbent")
    ds.PatientGantryRelationshipCodeSequence = code("F-10470", "SRT", "headfirst")
    ds.PixelSpacing, ds.ActualFrameDuration, ds.CountsAccumulated = [1, 1], "1000", "100"
    return ds


def _radiograph(name: str, sop_class: str, modality: str) -> Dataset:
    ds = image(general_image(base(name, sop_class, modality), "ORIGINAL\\PRIMARY"))
    ds.PresentationIntentType, ds.PresentationLUTShape, ds.PixelIntensityRelationship = (
        "FOR PRESENTATION",
        "IDENTITY",
        "LOG",
    )
    ds.PixelIntensityRelationshipSign, ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = 1, "0", "1", "US"
    ds.WindowCenter, ds.WindowWidth, ds.WindowCenterWidthExplanation = "40", "400", f"by {MARKER}"
    ds.ImagerPixelSpacing, ds.DetectorType, ds.DetectorID = [1, 1], "DIRECT", f"DET{MARKER}"
    ds.DetectorDescription, ds.DateOfLastDetectorCalibration = f"{MARKER} plate", "20200101"
    ds.TimeOfLastDetectorCalibration = "010203"
    ds.ImageLaterality, ds.AcquisitionContextSequence = "R", [context()]
    ds.KVP, ds.ExposureTime, ds.XRayTubeCurrent = "60", "10", "100"
    return ds


def dx() -> Dataset:
    """Make a digital radiograph."""
    ds = _radiograph("dx", DigitalXRayImageStorageForPresentation, "DX")
    ds.AnatomicRegionSequence = code("T-D3000", "SRT", "Chest")
    ds.ViewPosition, ds.PositionerType = "PA", "NONE"
    del ds.Laterality
    return ds


def mg() -> Dataset:
    """Make a mammogram."""
    ds = _radiograph("mg", DigitalMammographyXRayImageStorageForPresentation, "MG")
    ds.ImageType = ["ORIGINAL", "PRIMARY", ""]
    ds.AnatomicRegionSequence = code("T-04000", "SRT", "Breast")
    ds.ViewCodeSequence = code("R-10242", "SRT", "cranio-caudal")
    ds.ViewCodeSequence[0].ViewModifierCodeSequence = []
    ds.OrganExposed, ds.PositionerType, ds.BreastImplantPresent, ds.PartialView = "BREAST", "MAMMOGRAPHIC", "NO", "NO"
    ds.PatientOrientation = ["A", "R"]
    ds.ViewPosition = "CC"
    del ds.Laterality
    return ds


OBJECTS: dict[str, Callable[[], Dataset]] = {
    "ct-1": lambda: ct(1),
    "ct-2": lambda: ct(2),
    "ct-3": lambda: ct(3),
    "mr-1": mr,
    "us": us,
    "sc": sc,
    "pet": pet,
    "nm": nm,
    "dx": dx,
    "mg": mg,
}
