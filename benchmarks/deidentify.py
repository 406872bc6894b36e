"""The pass beside other tools: one core, the same files, one run; ratios, since machines differ.

    python benchmarks/deidentify.py [--tools FOLDER] [--rounds 5] [--only ct|multiframe|memory]

Each round starts a fresh process for every candidate, pinned to one core; what it loads and a first file are not
counted. Milliseconds are CPU time of the process (what one core is busy with), from file to file:
1. CT: 200 slices of 512x512, 16 bit, with the header of a scanner: 173 attributes, private blocks, nested sequences;
2. multi-frame: one enhanced MR of 1,000 frames of 256x256, 16 bit (131 MB), with functional groups for each frame;
3. memory: what a fresh process needs at most for a multi-frame of 200 MB, above what it needed before.

The candidates: our direct door with the profiles as they are shipped; pydicom's bare read and write;
dicom-anonymizer, deid and dicognito as their documentation calls them; gdcmanon (apt libgdcm-tools) in dumb mode and
with a key pair made here. The Python tools are no dependencies of this project: pip installs the pinned versions into
a virtual environment of their own, in a temporary folder or the one that --tools names, which is used again.

Where our time goes, in a folder that --folder has kept:

    python -m cProfile -s tottime benchmarks/deidentify.py --child research FOLDER/ct FOLDER/out
"""

import argparse
import json
import logging
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pydicom import Dataset, dcmread
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataset import FileMetaDataset
from pydicom.uid import CTImageStorage, EnhancedMRImageStorage, ExplicitVRLittleEndian

CHECKOUT = Path(__file__).resolve().parents[1]
PINNED = ("dicom-anonymizer==2.1.0", "deid==0.4.13", "dicognito==0.19.0", "pydicom==3.0.2")
ROOT = "1.2.826.0.1.3680043.10.1337.7"
CT_SIZE, MR_SIZE = 512, 256
FRAMES = 1000
LARGE = 200_000_000  # bytes of the file whose memory is measured
VERSION = "0"

# --- the files ---

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


# --- the candidates: each function loads its tool and answers what makes one file of another ---

Way = Callable[[Path, Path], object]


def ours(name: str) -> Callable[[Path], Way]:
    """Our direct door, as on arrival: nothing is known of the study but the file itself."""

    def load(_folder: Path) -> Way:
        sys.path.insert(0, str(CHECKOUT / "plugin"))
        from orthanc_deid.confidentiality.deidentify import deidentify
        from orthanc_deid.confidentiality.identifiers import Identifiers
        from orthanc_deid.confidentiality.profile import Profile
        from orthanc_deid.confidentiality.pseudonyms import Pseudonyms
        from orthanc_deid.yaml_file import validated

        profile = validated(Profile, CHECKOUT / "orthanc-config" / "profiles" / f"{name}.yaml")
        pseudonyms, known = Pseudonyms(bytes(32)), Identifiers()

        def run(source: Path, target: Path) -> None:
            done = deidentify(source.read_bytes(), profile, pseudonyms, known, version=VERSION)
            target.write_bytes(done.data)

        return run

    return load


def bare(_folder: Path) -> Way:
    """Read and write by pydicom, nothing changed."""
    return lambda source, target: dcmread(source).save_as(target)


def dicom_anonymizer(_folder: Path) -> Way:
    """Call what its command line calls."""
    from dicomanonymizer import anonymize_dicom_file

    return lambda source, target: anonymize_dicom_file(str(source), str(target))


def deid(*, collect: bool) -> Callable[[Path], Way]:
    """Use the default recipe; `collect` gets the identifiers of all depths first, as its tutorial does."""

    def load(_folder: Path) -> Way:
        os.environ["MESSAGELEVEL"] = "QUIET"
        from deid.config import DeidRecipe
        from deid.dicom import get_identifiers, replace_identifiers

        recipe = DeidRecipe()

        def run(source: Path, target: Path) -> None:
            ids = get_identifiers([str(source)], expand_sequences=True) if collect else None
            done = replace_identifiers([str(source)], ids=ids, deid=recipe, remove_private=True)
            done[0].save_as(target)

        return run

    return load


def dicognito(_folder: Path) -> Way:
    """Use one anonymizer for all files, as its command line does."""
    from dicognito.anonymizer import Anonymizer

    anonymizer = Anonymizer(seed="benchmark")

    def run(source: Path, target: Path) -> None:
        with dcmread(source) as ds:
            anonymizer.anonymize(ds)
            ds.save_as(target)

    return run


def gdcmanon_dumb(_folder: Path) -> Way:
    """Empty, replace and remove a few attributes of the whole folder."""
    words = ["--dumb", "--replace", "10,10=Anonymous", "--replace", "10,20=1", "--empty", "8,50", "--empty", "8,90"]
    words += [word for tag in ("8,80", "8,81", "10,30", "10,1040", "10,4000") for word in ("--remove", tag)]
    return lambda source, target: _gdcmanon(words, source, target)


def gdcmanon_key(folder: Path) -> Way:
    """Apply the Basic Profile to the whole folder; what it removes is encrypted for the key made here."""
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    if not certificate.exists():
        words = ["-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=benchmark"]
        command = ["openssl", "req", "-x509", *words, "-keyout", str(key), "-out", str(certificate)]
        subprocess.run(command, check=True, capture_output=True)
    return lambda source, target: _gdcmanon(["-e", "-c", str(certificate)], source, target)


def _gdcmanon(words: list[str], source: Path, target: Path) -> None:
    subprocess.run(
        ["gdcmanon", *words, "-r", "-i", str(source), "-o", str(target)], check=True, stdout=subprocess.DEVNULL
    )


@dataclass(frozen=True)
class Candidate:
    """A tool; one that is not ours runs in the other environment, one for folders is started once."""

    load: Callable[[Path], Way]
    mine: bool = False
    folders: bool = False


CANDIDATES = {
    "basic": Candidate(ours("basic"), mine=True),
    "research": Candidate(ours("research"), mine=True),
    "pydicom read + write": Candidate(bare),
    "dicom-anonymizer": Candidate(dicom_anonymizer),
    "deid": Candidate(deid(collect=False)),
    "deid, collecting": Candidate(deid(collect=True)),
    "dicognito": Candidate(dicognito),
    "gdcmanon --dumb": Candidate(gdcmanon_dumb, folders=True),
    "gdcmanon with a key": Candidate(gdcmanon_key, folders=True),
}
OURS = ("basic", "research")


# --- one candidate in a process of its own ---


def child(name: str, source: Path, target: Path) -> None:
    """Take every file of a folder to another; print CPU and wall seconds, memory before and at most in MB."""
    logging.disable()
    candidate = CANDIDATES[name]
    way = candidate.load(source.parent)
    if not candidate.folders:
        way(source.parent / "first.dcm", target / "first.dcm")
    before, cpu, wall = _memory("VmRSS"), _cpu(), time.perf_counter()
    if candidate.folders:
        way(source, target)
    else:
        for file in sorted(source.iterdir()):
            way(file, target / file.name)
    cpu, wall = _cpu() - cpu, time.perf_counter() - wall
    missing = sum(not (target / file.name).exists() for file in source.iterdir())
    if missing:
        sys.exit(f"{missing} files are missing")
    print(json.dumps({"cpu": cpu, "wall": wall, "memory": _memory("VmHWM") - before}))


def _cpu() -> float:
    """Answer the seconds that this process and the programs that it ran were busy."""
    usages = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def _memory(name: str) -> float:
    """Answer a line of /proc/self/status in MB."""
    return int(Path("/proc/self/status").read_text().split(f"{name}:")[1].split()[0]) * 1024 / 1e6


@dataclass(frozen=True)
class Bench:
    """Where things are and how often they are run."""

    folder: Path
    tools: Path
    core: int
    seconds: int

    def run(self, name: str, source: Path) -> dict[str, float] | None:
        """Start a candidate on a folder of files; None where it took too long or failed."""
        target = self.folder / "out"
        target.mkdir(exist_ok=True)
        for file in target.iterdir():
            file.unlink()
        python = sys.executable if CANDIDATES[name].mine else self.tools / "bin" / "python"
        command = [str(python), __file__, "--child", name, str(source), str(target)]
        try:
            done = subprocess.run(
                ["taskset", "-c", str(self.core), *command],
                capture_output=True, text=True, check=True, timeout=self.seconds,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            print(f"    {name}: stopped after {self.seconds} s", flush=True)
            return None
        except subprocess.CalledProcessError as error:
            print(f"    {name}: failed: {error.stderr.strip().splitlines()[-1:]}", flush=True)
            return None
        found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
        return found


def install(folder: Path) -> Path:
    """Make the environment of the other tools, unless the folder holds it already."""
    if not (folder / "bin" / "dicognito").exists():
        subprocess.run(["/usr/bin/python3", "-m", "venv", str(folder)], check=True)
        subprocess.run([str(folder / "bin" / "pip"), "install", "--quiet", *PINNED], check=True)
    return folder


def compare(bench: Bench, source: Path, rounds: int, names: list[str]) -> None:
    """Alternate the candidates and print their times and our ratio to each."""
    spent: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    for _ in range(rounds):
        for name in [name for name in names if name in spent]:
            found = bench.run(name, source)
            if found is None:
                del spent[name]
            else:
                spent[name].append(found)
    files = sorted(source.iterdir())
    megabytes = sum(file.stat().st_size for file in files) / 1e6
    print(f"{source.name}: {len(files)} files, {megabytes:.0f} MB, {rounds} rounds")
    print("    {:<22} {:>27} {:>8} {:>8}  {}".format("CPU", "ms/file min median max", "ms/MB", "wall", "ratio to it"))
    for name, found in spent.items():
        times = sorted(1000 * each["cpu"] / len(files) for each in found)
        median, wall = statistics.median(times), statistics.median(each["wall"] for each in found)
        ratios = ", ".join(f"{mine} {_ratio(spent[mine], found):.2f}" for mine in OURS if mine in spent)
        print(
            f"    {name:<22} {times[0]:9.2f}{median:9.2f}{times[-1]:9.2f} {median * len(files) / megabytes:8.3f}"
            f" {1000 * wall / len(files):8.2f}  {ratios}",
            flush=True,
        )


def _ratio(mine: list[dict[str, float]], theirs: list[dict[str, float]]) -> float:
    """Answer the median over the rounds of the ratio within a round."""
    return statistics.median(a["cpu"] / b["cpu"] for a, b in zip(mine, theirs, strict=True))


def weigh(bench: Bench, source: Path, names: list[str]) -> None:
    """Print the memory of our door, and of reading and writing alone."""
    megabytes = sum(file.stat().st_size for file in source.iterdir()) / 1e6
    for name in [name for name in names if name in (*OURS, "pydicom read + write")]:
        found = bench.run(name, source)
        if found:
            memory = found["memory"]
            print(f"memory: {name}: {memory:.0f} MB for a file of {megabytes:.0f} MB, {memory / megabytes:.2f} times")


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--slices", type=int, default=200)
    parser.add_argument("--frames", type=int, default=FRAMES)
    parser.add_argument("--only", choices=["ct", "multiframe", "memory"])
    parser.add_argument("--candidates", help=f"some of them, separated by commas: {'; '.join(CANDIDATES)}")
    parser.add_argument("--tools", type=Path, help="folder of the other tools' environment, made where missing")
    parser.add_argument(
        "--folder", type=Path, help="empty folder for the files, which stay (tmpfs: no disk in between)"
    )
    parser.add_argument("--core", type=int, default=0, help="the core that every candidate is pinned to")
    parser.add_argument("--seconds", type=int, default=300, help="after which a candidate is stopped")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    return parser.parse_args()


def measure(options: argparse.Namespace, folder: Path) -> None:
    """Make the files and measure."""
    tools = install(options.tools or folder / "tools")
    bench = Bench(folder, tools, options.core, options.seconds)
    names = options.candidates.split(",") if options.candidates else list(CANDIDATES)
    write_ct(folder / "ct", options.slices)
    (folder / "first.dcm").write_bytes((folder / "ct" / "0001.dcm").read_bytes())
    if options.only in (None, "ct"):
        compare(bench, folder / "ct", options.rounds, names)
    if options.only in (None, "multiframe"):
        write_multiframe(folder / "multiframe", options.frames)
        compare(bench, folder / "multiframe", options.rounds, names)
    if options.only in (None, "memory"):
        write_multiframe(folder / "large", LARGE // (2 * MR_SIZE * MR_SIZE))
        weigh(bench, folder / "large", names)


def main() -> None:
    """Print what was asked for."""
    options = arguments()
    if options.child:
        name, source, target = options.child
        child(name, Path(source), Path(target))
        return
    with tempfile.TemporaryDirectory(prefix="deid-bench-") as temporary:
        folder = options.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        measure(options, folder)


if __name__ == "__main__":
    main()
