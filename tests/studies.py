"""Synthetic studies with an identity planted wherever one can hide; made in memory, a few kilobytes an instance."""

import io
from dataclasses import dataclass

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian

ROOT = "1.2.826.0.1.3680043.10.1337"
ROWS = 32


@dataclass(frozen=True)
class Person:
    """The identity that must not come out; every value is unlike anything that belongs in a result."""

    number: int = 1

    @property
    def PatientName(self) -> str:  # noqa: N802  # the attribute's keyword
        """Family and given name."""
        return f"Zyxwvut{self.number:03d}^Qponmlk{self.number:03d}"

    @property
    def PatientID(self) -> str:  # noqa: N802  # the attribute's keyword
        """Medical record number."""
        return f"MRN-77{self.number:04d}"

    @property
    def AccessionNumber(self) -> str:  # noqa: N802  # the attribute's keyword
        """Order number."""
        return f"ACC-55{self.number:04d}"

    @property
    def markers(self) -> tuple[str, ...]:
        """Strings to look for in whatever leaves."""
        family, given = self.PatientName.split("^")
        return (family, given, self.PatientID, self.AccessionNumber, "19630417", "Hospital Xanadu", ROOT)


def ct_instance(person: Person, *, study: int = 1, series: int = 1, number: int = 1) -> bytes:
    """Return one small CT slice as a DICOM file."""
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SpecificCharacterSet = "ISO_IR 100"
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = CTImageStorage
    study_uid = f"{ROOT}.{person.number}.{study}"
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = UID(f"{study_uid}.{series}.{number}")
    ds.StudyInstanceUID, ds.SeriesInstanceUID = study_uid, f"{study_uid}.{series}"
    ds.FrameOfReferenceUID = f"{ROOT}.{person.number}.999"
    ds.PatientName, ds.PatientID, ds.PatientBirthDate = person.PatientName, person.PatientID, "19630417"
    ds.PatientSex, ds.PatientAge = "F", "057Y"
    ds.AccessionNumber, ds.StudyID, ds.Modality = person.AccessionNumber, f"SID{person.number:04d}", "CT"
    ds.StudyDate = ds.SeriesDate = ds.ContentDate = "20200615"
    ds.StudyTime = "101112"
    ds.AcquisitionDateTime = "20200615101112.5"
    ds.InstitutionName, ds.ReferringPhysicianName = "Hospital Xanadu", "Referrer^Ralph"
    ds.StudyDescription = f"Thorax of {person.PatientName.replace('^', ' ')}"
    ds.ImageType, ds.SeriesNumber, ds.InstanceNumber = ["ORIGINAL", "PRIMARY", "AXIAL"], series, number
    item = Dataset()
    item.PatientName, item.StudyInstanceUID = person.PatientName, study_uid
    item.ReferencedSOPInstanceUID, item.ReferencedSOPClassUID = f"{study_uid}.{series}.1", CTImageStorage
    ds.ReferencedImageSequence = Sequence([item])
    block = ds.private_block(0x0029, "MARKER VENDOR", create=True)
    block.add_new(0x10, "LO", person.PatientName)
    ds.add_new(0x60000022, "LO", f"overlay of {person.PatientID}")
    _add_pixels(ds, number)
    stream = io.BytesIO()
    ds.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def ct_study(person: Person, count: int, *, study: int = 1, first: int = 1) -> list[bytes]:
    """Return the slices of one series."""
    return [ct_instance(person, study=study, number=n) for n in range(first, first + count)]


def _add_pixels(ds: Dataset, number: int) -> None:
    ds.Rows = ds.Columns = ROWS
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 12, 11, 0
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.PixelSpacing, ds.SliceThickness, ds.ImagePositionPatient = ["0.5", "0.5"], "2", ["0", "0", str(2 * number)]
    ds.ImageOrientationPatient = ["1", "0", "0", "0", "1", "0"]
    ds.PixelData = bytes((number + k) % 16 if k % 2 else k % 251 for k in range(2 * ROWS * ROWS))
