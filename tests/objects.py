"""DICOM objects for the confidentiality tests: pydicom's own files, and one with a marker wherever PHI can hide."""

import io
import warnings
from collections.abc import Iterator
from pathlib import Path

import pydicom
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from orthanc_deid import profiles, settings
from orthanc_deid.confidentiality.encode import decode
from orthanc_deid.confidentiality.identifiers import Identifiers, from_dataset
from orthanc_deid.confidentiality.plan import plan
from orthanc_deid.confidentiality.profile import Profile
from orthanc_deid.confidentiality.pseudonyms import Patient, Pseudonyms

_SETTINGS = settings.load({"ORTHANC_DEID_HOME": "/nonexistent"})
PROFILES = tuple(profiles.load(_SETTINGS, name) for name in profiles.known(_SETTINGS))
BASIC, RESEARCH = (profiles.load(_SETTINGS, name) for name in ("basic", "research"))
KEY = bytes(range(32))
MARKER = "Zyxwvut"
ROOT = "1.2.826.0.1.3680043.10.1337"
PATIENT = Patient("", "MRN-770001")
VERSION = "0.0.0"

SAMPLES = (
    "CT_small.dcm",
    "MR_small.dcm",
    "MR_small_RLE.dcm",
    "693_J2KI.dcm",
    "examples_jpeg2k.dcm",
    "examples_rgb_color.dcm",
    "examples_ybr_color.dcm",
    "examples_palette.dcm",
    "examples_overlay.dcm",
    "rtplan.dcm",
    "rtstruct.dcm",
    "rtdose.dcm",
    "test-SR.dcm",
    "reportsi.dcm",
    "waveform_ecg.dcm",
    "image_dfl.dcm",
    "ExplVR_BigEnd.dcm",
    "MR_small_implicit.dcm",
    "SC_rgb_rle_2frame.dcm",
    "liver_1frame.dcm",
    "liver_expb_1frame.dcm",
)


def pseudonyms() -> Pseudonyms:
    """Return the pseudonyms of one test project."""
    return Pseudonyms(KEY)


def sample(name: str) -> bytes:
    """Return a file of pydicom's, with the preamble and file meta that one of them lacks."""
    path = get_testdata_file(name, download=False)
    assert isinstance(path, str)
    data = Path(path).read_bytes()
    if data[128:132] == b"DICM":
        return data
    ds = pydicom.dcmread(io.BytesIO(data), force=True)
    ds.file_meta.TransferSyntaxUID = pydicom.uid.ImplicitVRLittleEndian
    return written(ds)


def known_of(data: bytes, profile: Profile) -> Identifiers:
    """Return what identifies the patient in a file, but for what the profile keeps."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return from_dataset(decode(data), kept=plan(profile).kept)


def patient_of(ds: Dataset) -> Patient:
    """Return who a dataset is about."""
    return Patient(str(ds.get("IssuerOfPatientID", "")), str(ds.get("PatientID", "")))


def written(ds: Dataset) -> bytes:
    """Encode a dataset by pydicom."""
    out = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pydicom.dcmwrite(out, ds, enforce_file_format=True)
    return out.getvalue()


def image(**values: object) -> Dataset:
    """Return a small CT image with an identity."""
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SOPClassUID = CTImageStorage
    ds.SOPInstanceUID, ds.StudyInstanceUID, ds.SeriesInstanceUID = f"{ROOT}.1.1.1", f"{ROOT}.1", f"{ROOT}.1.1"
    ds.FrameOfReferenceUID = f"{ROOT}.9"
    ds.PatientName, ds.PatientID, ds.PatientBirthDate = f"{MARKER}^Qponmlk", PATIENT.patient_id, "19630417"
    ds.PatientSex, ds.PatientAge, ds.StudyDate, ds.StudyTime = "F", "057Y", "20200615", "101112"
    ds.Modality, ds.AccessionNumber, ds.StudyID = "CT", "ACC-550001", "SID-0001"
    ds.Rows = ds.Columns = 2
    ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.PixelRepresentation = 1, "MONOCHROME2", 0
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = 16, 12, 11
    ds.PixelData = bytes(range(8))
    for keyword, value in values.items():
        setattr(ds, keyword, value)
    return ds


def planted(ds: Dataset, depth: int) -> None:
    """Put the marker into every kind of place of a dataset, and of items down to a depth."""
    ds.PatientName, ds.PatientID = f"{MARKER}^Qponmlk", PATIENT.patient_id
    ds.ReferringPhysicianName = ds.OperatorsName = ds.NameOfPhysiciansReadingStudy = f"{MARKER}^Ralph"
    ds.InstitutionName = ds.StudyDescription = ds.ProtocolName = ds.RequestingService = f"of {MARKER}"
    ds.SegmentLabel = ds.TextValue = ds.ImageComments = ds.AdditionalPatientHistory = f"about {MARKER}"
    ds.PatientAddress, ds.DeviceSerialNumber, ds.RetrieveURL = MARKER, MARKER, f"http://h/{MARKER}"
    ds.StudyInstanceUID, ds.ReferencedSOPInstanceUID, ds.UID = f"{ROOT}.1", f"{ROOT}.1.1.2", f"{ROOT}.77"
    ds.SecondaryReviewerName = f"{MARKER}^Nobody"  # a PN that Table E.1-1 does not list
    ds.add_new(0x60003000, "OW", f"{MARKER} ".encode())
    ds.add_new(0x60000022, "LO", f"label {MARKER}")
    ds.add_new(0x60004000, "LT", MARKER)
    ds.add_new(0x50102500, "LO", MARKER)
    ds.add_new(0x00091001, "LO", MARKER)
    ds.add_new(0x00090010, "LO", "ACME")
    ds.add_new(0x00280001, "LO", MARKER)  # even group, unknown to the dictionary
    if depth:
        for keyword in ("ReferencedSeriesSequence", "ProcedureCodeSequence", "ReferencedImageSequence"):
            item = Dataset()
            planted(item, depth - 1)
            setattr(ds, keyword, [item])
        private = Dataset()
        planted(private, 0)
        ds.add_new(0x00091002, "SQ", [private])


def every_dataset(ds: Dataset) -> Iterator[Dataset]:
    """Walk over a dataset and all its items."""
    yield ds
    for elem in ds:
        if elem.VR == "SQ":
            for item in elem.value:
                yield from every_dataset(item)
