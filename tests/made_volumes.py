"""Series that scanners would send: a folder of files for each, with a marker wherever words of people can stand."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from pydicom import Dataset
from pydicom.uid import (
    CTImageStorage,
    EnhancedMRImageStorage,
    MRImageStorage,
    PositronEmissionTomographyImageStorage,
)

from objects import MARKER, ROOT, image, written

SIZE = 16  # rows and columns
SLICES = 6

Change = Callable[[Dataset, int], None]  # the dataset, its index from 0

_COMMON = {
    "ImageComments": f"of {MARKER}", "StudyDescription": f"of {MARKER}", "InstitutionName": f"{MARKER} hospital",
    "DeviceSerialNumber": f"{MARKER}-77", "StationName": MARKER, "SeriesDescription": f"for {MARKER}",
    "ProtocolName": f"by {MARKER}", "PerformedProcedureStepDescription": MARKER, "InstitutionAddress": MARKER,
    "AcquisitionDate": "20200615", "AcquisitionTime": "102001.5", "ContentDate": "20200615", "SeriesNumber": 7,
    "PatientPosition": "HFS", "SeriesTime": "101900",
}  # fmt: skip


def nothing(_ds: Dataset, _at: int) -> None:
    """Change nothing."""


def voxels(at: int) -> bytes:
    """Return the values of one slice; no two are alike, and no row or column is."""
    y, x = np.mgrid[:SIZE, :SIZE]
    return bytes((100 + 20 * x + 7 * y + 31 * at).astype("<u2").tobytes())


def ct(at: int) -> Dataset:
    """Make a slice of a head that lies a little oblique."""
    ds = image(SOPClassUID=CTImageStorage, SOPInstanceUID=f"{ROOT}.1.1.{at + 1}", Modality="CT", **_COMMON)
    ds.Rows = ds.Columns = SIZE
    ds.PixelData = voxels(at)
    ds.ImageType, ds.InstanceNumber, ds.AcquisitionNumber = ["ORIGINAL", "PRIMARY", "AXIAL"], at + 1, 1
    ds.PixelSpacing, ds.SliceThickness = [1.5, 1.25], 2
    ds.ImageOrientationPatient = [1, 0, 0, 0, 0.8, -0.6]
    ds.ImagePositionPatient = [-10, -20 + 0.6 * 2 * at, 5 + 0.8 * 2 * at]
    ds.RescaleIntercept, ds.RescaleSlope, ds.KVP, ds.GantryDetectorTilt = -1024, 1, 120, 0
    ds.Manufacturer = "SIEMENS"
    return ds


def pet(at: int) -> Dataset:
    """Make a slice whose scale of values is its own."""
    ds = ct(at)
    del ds.KVP, ds.GantryDetectorTilt
    ds.SOPClassUID, ds.Modality, ds.ImageType = PositronEmissionTomographyImageStorage, "PT", ["ORIGINAL", "PRIMARY"]
    ds.Units, ds.DecayCorrection, ds.CorrectedImage, ds.SeriesType = "BQML", "START", ["DECY"], ["STATIC", "IMAGE"]
    ds.RescaleIntercept, ds.RescaleSlope, ds.NumberOfSlices = 0, 1.5 + at, SLICES
    ds.FrameReferenceTime, ds.ActualFrameDuration = 0, 60000
    return ds


def mr(at: int) -> Dataset:
    """Make a slice of an MR."""
    ds = ct(at)
    del ds.KVP, ds.GantryDetectorTilt, ds.RescaleIntercept, ds.RescaleSlope
    ds.SOPClassUID, ds.Modality, ds.ImageType = MRImageStorage, "MR", ["ORIGINAL", "PRIMARY", "M", "ND"]
    ds.ScanningSequence, ds.SequenceVariant, ds.MRAcquisitionType, ds.SequenceName = "GR", "SP", "3D", "*fl3d1"
    ds.EchoTime, ds.RepetitionTime, ds.FlipAngle, ds.EchoNumbers, ds.MagneticFieldStrength = 5, 20, 15, 1, 3
    return ds


def two_echoes(at: int) -> Dataset:
    """Make a slice of the first or second echo of the same slices."""
    ds = mr(at % SLICES)
    echo = at // SLICES
    ds.SOPInstanceUID, ds.InstanceNumber = f"{ROOT}.1.1.{at + 1}", at + 1
    ds.EchoTime, ds.EchoNumbers, ds.PixelData = 5 + 3 * echo, echo + 1, voxels(at)
    return ds


def enhanced_mr() -> Dataset:
    """Make one instance of several frames."""
    ds = mr(0)
    del ds.ImageOrientationPatient, ds.ImagePositionPatient, ds.PixelSpacing, ds.SliceThickness
    ds.SOPClassUID, ds.NumberOfFrames = EnhancedMRImageStorage, SLICES
    ds.PixelData = b"".join(map(voxels, range(SLICES)))
    shared, measures, plane = Dataset(), Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = [1.5, 1.25], 2
    plane.ImageOrientationPatient = [1, 0, 0, 0, 0.8, -0.6]
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = [measures], [plane]
    ds.SharedFunctionalGroupsSequence = [shared]
    ds.PerFrameFunctionalGroupsSequence = [_frame(at) for at in range(SLICES)]
    return ds


def _frame(at: int) -> Dataset:
    frame, place, content = Dataset(), Dataset(), Dataset()
    place.ImagePositionPatient = [-10, -20 + 0.6 * 2 * at, 5 + 0.8 * 2 * at]
    content.StackID, content.InStackPositionNumber, content.DimensionIndexValues = "1", at + 1, [1, at + 1]
    content.FrameComments = f"of {MARKER}"
    frame.PlanePositionSequence, frame.FrameContentSequence = [place], [content]
    return frame


def write(folder: Path, make: Callable[[int], Dataset] = ct, change: Change = nothing, count: int = SLICES) -> Path:
    """Write a series; the change is made to each dataset before it is encoded."""
    folder.mkdir()
    for at in range(count):
        ds = make(at)
        change(ds, at)
        (folder / f"{MARKER}-{at:03}.dcm").write_bytes(written(ds))
    return folder


B_VALUES = (0, 1000, 1000, 2000)
_DIRECTIONS = ((0.0, 0.0, 0.0), (1.0, 0.0, 0.0), (0.0, 0.6, 0.8), (-0.6, 0.0, 0.8))


def diffusion(at: int) -> Dataset:
    """Make a slice of four volumes, each with its gradient (Siemens)."""
    volume = at // SLICES
    ds = two_echoes(at)
    del ds.EchoNumbers
    ds.ImagePositionPatient, ds.ImageOrientationPatient = [-10, -20, 2 * (at % SLICES)], [1, 0, 0, 0, 1, 0]
    ds.EchoTime, ds.AcquisitionNumber, ds.MRAcquisitionType = 80, volume + 1, "2D"
    ds.ScanningSequence, ds.SequenceVariant = ["SE", "EP"], "SK"
    block = ds.private_block(0x0019, "SIEMENS MR HEADER", create=True)
    block.add_new(0x0C, "IS", B_VALUES[volume])
    block.add_new(0x0D, "CS", "DIRECTIONAL" if volume else "NONE")
    if volume:
        block.add_new(0x0E, "FD", list(_DIRECTIONS[volume]))
    return ds
