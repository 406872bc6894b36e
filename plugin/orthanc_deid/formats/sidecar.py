"""The JSON beside a NIfTI file: what the converter says, through a list of the keys that carry no identity.

The keys are those of the BIDS specification 1.10 (Magnetic Resonance Imaging; Positron Emission Tomography) and
dcm2niix's own, but for those that say who, where or when: PatientName, PatientID, PatientBirthDate, PatientSex,
PatientAge, PatientSize, PatientWeight, AccessionNumber, StudyID, the UIDs, ReferringPhysicianName, InstitutionName,
InstitutionAddress, InstitutionalDepartmentName, StationName, DeviceSerialNumber, StudyDescription,
ProcedureStepDescription, ImageComments, PulseSequenceDetails (a file of the site), ConsistencyInfo, WipMemBlock,
FmriExternalInfo, PrescanReuseString.
"""

import json
import re
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pydicom import dcmread

from ..errors import Rejected

_WORD = 64  # characters of a value that is chosen from a list or named by a manufacturer
_TEXT = 128  # characters of a description
_ITEMS = 100_000  # of a list of numbers: slices or volumes

NUMBERS = frozenset(
    {
        "AcquisitionDuration", "AcquisitionMatrixPE", "AcquisitionNumber", "AcquisitionVoxelSize", "AveragesDouble",
        "BandwidthPerPixelPhaseEncode", "BaseResolution", "BolusCutOffDelayTime", "BolusDuration",
        "CompressedSensingFactor", "DecayCorrectionFactor", "DecayFactor", "DelayTime",
        "DerivedVendorReportedEchoSpacing", "Dosage", "DoseCalibrationFactor", "DwellTime", "EchoNumber",
        "EchoTime", "EchoTime1", "EchoTime2", "EchoTrainLength", "EffectiveEchoSpacing",
        "EstimatedEffectiveEchoSpacing", "EstimatedTotalReadoutTime", "ExposureTime", "FlipAngle", "FrameDuration",
        "FrameReferenceTime", "FrameTimesStart", "FrequencyEncodingSteps", "ImageDecayCorrectionTime",
        "ImageOrientationPatientDICOM", "ImagingFrequency", "InitialPostLabelDelay", "InjectedRadioactivity",
        "InjectedVolume", "Interpolation2D", "Interpolation3D", "InversionTime", "IsotopeHalfLife",
        "LabelingDistance", "LabelingDuration", "LabelingPulseAverageGradient", "LabelingPulseDuration",
        "LabelingPulseFlipAngle", "LabelingPulseMaximumGradient", "MagneticFieldStrength", "MaximumT1Opt",
        "MeanGzx10", "MolarActivity", "MultiEchoShots", "MultibandAccelerationFactor", "NumRFBlocks",
        "NumberOfArms", "NumberOfAverages", "NumberOfDiffusionDirectionGE", "NumberOfDiffusionT2GE",
        "NumberOfExcitations", "NumberOfKSpaceTrajectories", "NumberOfPointsPerArm", "NumberShots",
        "ParallelReductionFactorInPlane", "ParallelReductionFactorOutOfPlane", "PartialFourier", "PercentPhaseFOV",
        "PercentSampling", "PhaseEncodingSteps", "PhaseEncodingStepsNoPartialFourier",
        "PhaseEncodingStepsOutOfPlane", "PhaseOversampling", "PhaseResolution", "PhiAdjust", "PhilipsRWVIntercept",
        "PhilipsRWVSlope", "PhilipsRescaleIntercept", "PhilipsRescaleSlope", "PhilipsScaleSlope", "PixelBandwidth",
        "PostInversionDelay", "PostLabelingDelay", "RFGap", "RadionuclideHalfLife", "RadionuclidePositronFraction",
        "ReconFilterSize", "ReconMatrixPE", "ReconMethodParameterValues", "RefLinesPE", "RepetitionTime",
        "RepetitionTimeExcitation", "RepetitionTimeInversion", "RepetitionTimePreparation", "SAR", "ScanStart",
        "ScatterFraction", "SeriesNumber", "ShimSetting", "SliceThickness", "SliceTiming", "SpacingBetweenSlices",
        "T1", "TablePosition", "TagDuration", "TagPlaneDThickness", "TagPlaneSNormalDTra", "TagPlaneSPositionDTra",
        "TagPlaneUlShape", "TagRFDuration", "TagRFFlipAngle", "TagRFSeparation", "TensorFileNumberGE",
        "TotalReadoutTime", "TriggerDelayTime", "TxRefAmp", "UsePhilipsFloatNotDisplayScaling",
        "VendorReportedEchoSpacing", "WaterFatShift", "XRayExposure", "XRayTubeCurrent",
    }
)  # fmt: skip

FLAGS = frozenset(
    {
        "DeepLearning", "ImageDecayCorrected", "MTState", "NonlinearGradientCorrection", "Quadruped", "RawImage",
        "SpoilingState", "VariableFlipAngleFlag",
    }
)  # fmt: skip

# One of a short list, or a name that the manufacturer gave.
WORDS = frozenset(
    {
        "ArterialSpinLabelingType", "AttenuationCorrection", "AttenuationCorrectionMethod", "BodyPart",
        "BodyPartExamined", "CoilCombinationMethod", "CoilString", "ConversionSoftware",
        "ConversionSoftwareVersion", "ConvolutionKernel", "DecayCorrection", "DeepLearningDetails",
        "DiffGradientCyclingGE", "DiffusionScheme", "ImageOrientationText", "ImageType", "ImageTypeText",
        "InPlanePhaseEncodingDirectionDICOM", "InjectedRadioactivityUnits", "InternalPulseSequenceName", "M0Type",
        "MRAcquisitionType", "Manufacturer", "ManufacturersModelName", "MatrixCoilMode", "Modality",
        "MolarActivityUnits", "PASLType", "ParallelAcquisitionTechnique", "PartialFourierDirection",
        "PartialFourierEnabled", "PatientPosition", "PhaseEncodingAxis", "PhaseEncodingDirection",
        "PhaseEncodingDirectionDisplayed", "PhaseEncodingPolarityGE", "PulseSequenceName", "PulseSequenceType",
        "RandomsCorrectionMethod", "ReceiveCoilActiveElements", "ReceiveCoilName", "ReconFilterType",
        "ReconMethodName", "ReconMethodParameterLabels", "ReconstructionMethod", "ResonantNucleus", "ScanOptions",
        "ScanningSequence", "ScatterCorrectionMethod", "SequenceName", "SequenceVariant", "SoftwareVersions",
        "SpoilingType", "TracerName", "TracerRadionuclide", "TransmitCoilName", "Units",
    }
)  # fmt: skip

# Words of people, which de-identification has cleaned.
TEXTS = frozenset({"SeriesDescription", "ProtocolName"})
# Times of day, and dates that de-identification has shifted.
TIMES = frozenset({"AcquisitionTime", "SeriesTime", "TimeZero"})
DATES = frozenset({"AcquisitionDateTime"})

# Key of the side-car, DICOM keyword, and what the number is divided by: for a converter that writes no side-car.
HEADER = (
    ("Modality", "Modality", 0),
    ("Manufacturer", "Manufacturer", 0),
    ("ManufacturersModelName", "ManufacturerModelName", 0),
    ("MagneticFieldStrength", "MagneticFieldStrength", 1),
    ("MRAcquisitionType", "MRAcquisitionType", 0),
    ("SeriesDescription", "SeriesDescription", 0),
    ("ProtocolName", "ProtocolName", 0),
    ("SeriesNumber", "SeriesNumber", 1),
    ("SliceThickness", "SliceThickness", 1),
    ("EchoTime", "EchoTime", 1000),
    ("RepetitionTime", "RepetitionTime", 1000),
    ("InversionTime", "InversionTime", 1000),
    ("FlipAngle", "FlipAngle", 1),
    ("ConvolutionKernel", "ConvolutionKernel", 0),
)

_TIME = re.compile(r"\d{1,2}:\d{1,2}:\d{1,2}(\.\d{1,6})?")
_DATE = re.compile(rf"\d{{4}}-\d{{2}}-\d{{2}}T{_TIME.pattern}")
_GUESS = re.compile(r"[A-Za-z0-9_-]{1,64}")
_SEQUENCE = re.compile(r"_acq-[A-Za-z0-9]+")


def clean(said: Mapping[str, Any], *, texts: bool, times: bool, dates: bool) -> dict[str, Any]:
    """Return what may stand in the side-car, in the converter's order; a value of another form is left out."""
    forms: list[tuple[frozenset[str], Callable[[Any], bool]]] = [(NUMBERS, _number), (FLAGS, _flag), (WORDS, _word)]
    if texts:
        forms.append((TEXTS, _text))
    if times:
        forms.append((TIMES, _time))
    if dates:
        forms.append((DATES, _date))
    kept = {key: value for key, value in said.items() if any(key in keys and fits(value) for keys, fits in forms)}
    guess = said.get("BidsGuess")
    if isinstance(guess, list) and all(isinstance(part, str) and _GUESS.fullmatch(part) for part in guess):
        # The sequence's name that follows `acq-` may be one that a site gave.
        kept["BidsGuess"] = [_SEQUENCE.sub("", part) for part in guess]
    return kept


def read(path: Path) -> dict[str, Any]:
    """Read what the converter wrote; floats keep their precision."""
    try:
        said = json.loads(path.read_bytes().decode("utf-8", "replace"), parse_constant=_not_a_number)
    except (OSError, ValueError) as error:
        raise Rejected(f"the converter's side-car is not readable ({type(error).__name__})") from None
    if not isinstance(said, dict):
        raise Rejected("the converter's side-car is no object")
    return said


def of_header(path: Path) -> dict[str, Any]:
    """Return what dicom2nifti leaves to others: a few attributes of one instance, times in seconds."""
    said: dict[str, Any] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a library's warning may hold a value
        ds = dcmread(path, stop_before_pixels=True, specific_tags=[keyword for _, keyword, _ in HEADER])
        for key, keyword, divisor in HEADER:
            value = ds.get(keyword)
            if isinstance(value, (str, int, float)) and value != "":
                said[key] = float(value) / divisor if divisor else str(value)
    return said | {"ConversionSoftware": "dicom2nifti"}


def write(path: Path, values: Mapping[str, Any]) -> None:
    """Write a side-car."""
    path.write_text(json.dumps(values, indent=2, ensure_ascii=True, allow_nan=False) + "\n", encoding="ascii")


def _not_a_number(_text: str) -> None:
    """NaN and infinity are no JSON: they become null, which no form accepts."""


def _number(value: Any) -> bool:  # noqa: ANN401  # JSON
    if isinstance(value, list):
        return 0 < len(value) <= _ITEMS and all(_number(each) and not isinstance(each, list) for each in value)
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _flag(value: Any) -> bool:  # noqa: ANN401  # JSON
    return isinstance(value, bool)


def _word(value: Any) -> bool:  # noqa: ANN401  # JSON
    if isinstance(value, list):
        return 0 < len(value) <= _WORD and all(isinstance(each, str) and _word(each) for each in value)
    return isinstance(value, str) and 0 < len(value) <= _WORD and value.isascii() and value.isprintable()


def _text(value: Any) -> bool:  # noqa: ANN401  # JSON
    return isinstance(value, str) and 0 < len(value) <= _TEXT and value.isprintable() and "\ufffd" not in value


def _time(value: Any) -> bool:  # noqa: ANN401  # JSON
    return isinstance(value, str) and _TIME.fullmatch(value) is not None


def _date(value: Any) -> bool:  # noqa: ANN401  # JSON
    return isinstance(value, str) and _DATE.fullmatch(value) is not None
