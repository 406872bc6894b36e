"""dcm2niix makes the same of de-identified series as of their source: voxels, geometry, timing, diffusion."""

import json
import os
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import ImplicitVRLittleEndian, MRImageStorage

from objects import BASIC, MARKER, RESEARCH, ROOT, VERSION, image, pseudonyms, written
from orthanc_deid.confidentiality.deidentify import deidentify
from orthanc_deid.confidentiality.identifiers import Identifiers
from orthanc_deid.confidentiality.profile import Profile

DCM2NIIX = Path(sys.executable).with_name("dcm2niix")
DATA = Path(os.environ.get("ORTHANC_DEID_TEST_DATA", "/nonexistent")) / "dcm_qa_nih" / "In"

pytestmark = pytest.mark.skipif(not DCM2NIIX.exists(), reason="dcm2niix is not installed")

SERIES = (
    "20180918Si/mr_0003",  # mosaics, phase encoding AP and PA, RL and LR
    "20180918Si/mr_0004",
    "20180918Si/mr_0005",
    "20180918Si/mr_0006",
    "20180918GE/mr_0004",  # interleaved
    "20180918GE/mr_0005",  # sequential
)
# Side-car keys that say who, when or by what words: they may differ, all others may not.
IDENTITY = frozenset(
    {
        "AccessionNumber", "AcquisitionDateTime", "AcquisitionTime", "DeidentificationMethod",
        "DeidentificationMethodCodeSequence", "DeviceSerialNumber", "ImageComments",
        "InstitutionAddress", "InstitutionName", "InstitutionalDepartmentName", "PatientBirthDate", "PatientID",
        "PatientName", "PerformingPhysicianName", "ProcedureStepDescription", "ProtocolName", "ReferringPhysicianName",
        "SeriesDescription", "SeriesInstanceUID", "StationName", "StudyDescription", "StudyID", "StudyInstanceUID",
    }
)  # fmt: skip
# Of a sequence's file name that a site gave; mode vocabulary does not know it.
WORDS = frozenset({"BidsGuess", "PulseSequenceDetails"})


@dataclass(frozen=True)
class Nifti:
    """What one conversion made, without the texts of the NIfTI header."""

    geometry: bytes  # dimensions, spacing, both transformations
    voxels: bytes
    sidecar: dict[str, Any]
    bval: str
    bvec: str


def convert(source: Path, target: Path) -> Nifti:
    target.mkdir()
    command = [*f"{DCM2NIIX} -f x -b y -ba n -z n -p n -o".split(), str(target), str(source)]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    (path,) = target.glob("*.nii")
    data = path.read_bytes()
    (offset,) = struct.unpack_from("<f", data, 108)
    geometry = data[40:56] + data[70:108] + data[112:123] + data[252:328]
    texts = [path.with_suffix(end).read_text() if path.with_suffix(end).exists() else "" for end in (".bval", ".bvec")]
    return Nifti(geometry, data[int(offset) :], json.loads(path.with_suffix(".json").read_text()), *texts)


def deidentified(source: Path, target: Path, profile: Profile = RESEARCH) -> Path:
    target.mkdir()
    for path in sorted(source.glob("*.dcm")):
        done = deidentify(path.read_bytes(), profile, pseudonyms(), Identifiers(), version=VERSION)
        (target / path.name).write_bytes(done.data)
    return target


def differences(source: Nifti, new: Nifti) -> set[str]:
    return {k for k in source.sidecar.keys() | new.sidecar.keys() if source.sidecar.get(k) != new.sidecar.get(k)}


@pytest.mark.skipif(not DATA.is_dir(), reason="ORTHANC_DEID_TEST_DATA holds no dcm_qa_nih")
@pytest.mark.parametrize("series", SERIES)
def test_a_series_of_a_scanner_converts_to_the_same_image_and_timing(series: str, tmp_path: Path) -> None:
    source = convert(DATA / series, tmp_path / "a")
    new = convert(deidentified(DATA / series, tmp_path / "deidentified"), tmp_path / "b")
    assert new.geometry == source.geometry
    assert new.voxels == source.voxels
    assert differences(source, new) - IDENTITY - WORDS == set()
    for key in ("SliceTiming", "PhaseEncodingDirection", "TotalReadoutTime", "EffectiveEchoSpacing", "RepetitionTime"):
        assert new.sidecar[key] == source.sidecar[key]


# Synthetic diffusion series: four volumes of four slices.

SHELLS: list[tuple[float, tuple[float, float, float]]] = [
    (0.0, (0.0, 0.0, 0.0)),
    (1000.0, (1.0, 0.0, 0.0)),
    (1000.0, (0.0, 0.6, 0.8)),
    (2000.0, (-0.6, 0.0, 0.8)),
]

Vendor = Callable[[Dataset, int, int], None]  # the dataset, index of volume and slice, from 0


def slices(vendor: Vendor) -> Iterator[Dataset]:
    for volume in range(len(SHELLS)):
        for place in range(4):
            number = volume * 4 + place
            ds = image(SOPClassUID=MRImageStorage, SOPInstanceUID=f"{ROOT}.1.1.{number + 1}", Modality="MR")
            ds.Rows = ds.Columns = 16
            ds.PixelData = bytes((number * 7 + byte) % 200 for byte in range(256) for _ in range(2))
            ds.PixelSpacing, ds.SliceThickness, ds.SpacingBetweenSlices = [2.0, 2.0], 2.0, 2.0
            ds.ImageOrientationPatient, ds.ImagePositionPatient = [1, 0, 0, 0, 1, 0], [0, 0, place * 2.0]
            ds.ImageType, ds.SeriesNumber, ds.AcquisitionNumber = ["ORIGINAL", "PRIMARY", "M", "SE"], 5, volume + 1
            ds.InstanceNumber, ds.EchoTime, ds.RepetitionTime, ds.FlipAngle = number + 1, 80, 5000, 90
            ds.ScanningSequence, ds.SequenceVariant, ds.MRAcquisitionType = ["SE", "EP"], "SK", "2D"
            ds.SeriesDescription, ds.MagneticFieldStrength, ds.EchoNumbers = f"DTI of {MARKER}", 3, 1
            vendor(ds, volume, place)
            yield ds


def philips(ds: Dataset, volume: int, place: int) -> None:
    b, direction = SHELLS[volume]
    ds.Manufacturer = "Philips Medical Systems"
    ds.ImageType = ["ORIGINAL", "PRIMARY", "DIFFUSION", "M"]
    block = ds.private_block(0x2001, "Philips Imaging DD 001", create=True)
    block.add_new(0x03, "FL", b)
    block.add_new(0x04, "CS", "S" if b else "I")
    block.add_new(0x0A, "IS", place + 1)
    block.add_new(0x18, "SL", 4)
    block.add_new(0x20, "LO", f"typed by {MARKER}")
    block.add_new(0x22, "FL", 12.5)
    block = ds.private_block(0x2005, "Philips MR Imaging DD 001", create=True)
    for offset, part in zip((0xB0, 0xB1, 0xB2), direction, strict=True):
        block.add_new(offset, "FL", part)
    block.add_new(0x0D, "FL", 0.0)
    block.add_new(0x0E, "FL", 1.0)
    block = ds.private_block(0x2005, "Philips MR Imaging DD 005", create=True)
    block.add_new(0x12, "IS", sorted({shell for shell, _ in SHELLS}).index(b) + 1)
    block.add_new(0x13, "IS", volume + 1)


def philips_behind_another_block(ds: Dataset, volume: int, place: int) -> None:
    for group in (0x2001, 0x2005):
        ds.private_block(group, f"MAKER {MARKER}", create=True).add_new(0x03, "LO", MARKER)
    philips(ds, volume, place)


def philips_without_vrs(ds: Dataset, volume: int, place: int) -> None:
    ds.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    philips(ds, volume, place)


def uih(ds: Dataset, volume: int, _place: int) -> None:
    b, direction = SHELLS[volume]
    ds.Manufacturer = "UIH"
    block = ds.private_block(0x0065, "Image Private Header", create=True)
    block.add_new(0x09, "FD", b)
    block.add_new(0x37, "FD", list(direction))
    block.add_new(0x58, "IS", 1)
    block.add_new(0x7F, "LO", f"typed by {MARKER}")


def ge(ds: Dataset, volume: int, _place: int) -> None:
    b, direction = SHELLS[volume]
    ds.Manufacturer = "GE MEDICAL SYSTEMS"
    ds.InPlanePhaseEncodingDirection = "COL"
    block = ds.private_block(0x0019, "GEMS_ACQU_01", create=True)
    block.add_new(0x9C, "LO", "epi2")
    for offset, part in zip((0xBB, 0xBC, 0xBD), direction, strict=True):
        block.add_new(offset, "DS", f"{part:f}")
    block.add_new(0xE0, "DS", "3")
    block = ds.private_block(0x0043, "GEMS_PARM_01", create=True)
    block.add_new(0x39, "IS", [int(b), 8, 0, 0])
    block.add_new(0x28, "OB", f"typed by {MARKER}".encode() + b" ")


def siemens(ds: Dataset, volume: int, _place: int) -> None:
    b, direction = SHELLS[volume]
    ds.Manufacturer = "SIEMENS"
    block = ds.private_block(0x0019, "SIEMENS MR HEADER", create=True)
    block.add_new(0x0C, "IS", int(b))
    block.add_new(0x0D, "CS", "DIRECTIONAL" if b else "NONE")
    if b:
        block.add_new(0x0E, "FD", list(direction))
    block = ds.private_block(0x0029, "SIEMENS CSA HEADER", create=True)
    block.add_new(0x10, "OB", csa_header(b, direction))
    block = ds.private_block(0x0029, "SIEMENS MEDCOM HEADER2", create=True)
    block.add_new(0x60, "LO", f"typed by {MARKER}")


def csa_header(b: float, direction: tuple[float, float, float]) -> bytes:
    tags: dict[str, list[float]] = {
        "B_value": [b],
        "DiffusionGradientDirection": list(direction) if b else [],
        "SliceNormalVector": [0, 0, 1],
    }
    parts = [b"SV10\x04\x03\x02\x01", struct.pack("<2I", len(tags), 77)]
    for name, numbers in tags.items():
        key = f"{name}\0{MARKER}".encode()
        parts.append(struct.pack("<64si4s3i", key, len(numbers), b"FD\0\0", 4, len(numbers), 77))
        for number in numbers:
            text = f"{number:.8f}".encode() + b"\0"
            parts.append(struct.pack("<4i", len(text), len(text), 77, len(text)) + text + bytes(-len(text) % 4))
    return b"".join(parts)


@pytest.fixture(
    params=[philips, philips_behind_another_block, philips_without_vrs, uih, ge, siemens],
    ids=lambda vendor: vendor.__name__,
)
def source(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    folder.mkdir()
    for number, ds in enumerate(slices(request.param)):
        (folder / f"{number:03}.dcm").write_bytes(written(ds))
    return folder


def test_b_values_and_vectors_of_a_diffusion_series_survive(source: Path, tmp_path: Path) -> None:
    before = convert(source, tmp_path / "a")
    folder = deidentified(source, tmp_path / "deidentified")
    after = convert(folder, tmp_path / "b")
    assert [float(b) for b in before.bval.split()] == [0, 1000, 1000, 2000]
    assert (after.bval, after.bvec) == (before.bval, before.bvec)
    assert (after.geometry, after.voxels) == (before.geometry, before.voxels)
    assert all(MARKER.encode() not in path.read_bytes() for path in folder.iterdir())


def test_without_retain_safe_private_they_do_not(source: Path, tmp_path: Path) -> None:
    folder = deidentified(source, tmp_path / "deidentified", BASIC)
    assert not any(elem.tag.is_private for path in folder.iterdir() for elem in dcmread(path))
    assert set(convert(folder, tmp_path / "b").bval.split()) <= {"0"}
