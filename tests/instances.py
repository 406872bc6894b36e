"""One synthetic instance as the bytes of a file."""

from io import BytesIO
from typing import Any

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid


def instance(rows: int = 16, syntax: str = ExplicitVRLittleEndian, **attributes: Any) -> bytes:  # noqa: ANN401  # any value
    """Answer a secondary capture of `rows` x `rows` pixels of 16 bits, with these attributes set or (None) absent."""
    ds = Dataset()
    ds.SOPClassUID = SecondaryCaptureImageStorage
    ds.SOPInstanceUID, ds.StudyInstanceUID, ds.SeriesInstanceUID = generate_uid(), generate_uid(), generate_uid()
    ds.PatientID, ds.PatientName, ds.Modality = "TEST-1", "Test^One", "OT"
    ds.ImageType = ["DERIVED", "SECONDARY"]
    ds.Rows = ds.Columns = rows
    ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.PixelRepresentation = 1, "MONOCHROME2", 0
    ds.BitsAllocated = ds.BitsStored = 16
    ds.HighBit = 15
    ds.PixelData = bytes(rows * rows * 2)
    for keyword, value in attributes.items():
        setattr(ds, keyword, value)
        if value is None:
            delattr(ds, keyword)
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = UID(syntax)
    ds.file_meta.MediaStorageSOPClassUID = attributes.get("SOPClassUID") or SecondaryCaptureImageStorage
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    file = BytesIO()
    ds.save_as(file, enforce_file_format=True)
    return file.getvalue()
