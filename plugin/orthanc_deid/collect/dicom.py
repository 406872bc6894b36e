"""What must be known of a DICOM file before it is offered: its study, whether it is whole, whether it is a DICOMDIR."""

import struct
import warnings
from dataclasses import dataclass
from typing import Any, BinaryIO

from pydicom import Dataset, dcmread

from ..packed.refused import Refused, Word

DIRECTORY = "1.2.840.10008.1.3.10"  # Media Storage Directory Storage
DEFLATED = "1.2.840.10008.1.2.1.99"
_LONG_VRS = (b"OB", b"OW", b"OF", b"OD", b"OL", b"OV", b"UN")  # four bytes of length (PS3.5 table 7.1-1)
_PIXELS = (b"\xe0\x7f\x08\x00", b"\xe0\x7f\x09\x00", b"\xe0\x7f\x10\x00")
_UNDEFINED = 0xFFFFFFFF
_END = b"\xfe\xff\xdd\xe0\x00\x00\x00\x00"  # of a sequence of fragments
_TAIL = 2**16  # bytes that may follow the pixels


@dataclass(frozen=True)
class Facts:
    """Of one file."""

    study_uid: str
    is_directory: bool
    patient_id: str = ""


def examine(file: BinaryIO) -> Facts:
    """Read the header of a file with preamble, which stands anywhere afterwards.

    Raises
    ------
    Refused
        It is cut, or cannot be read, or names no study.
    """
    file.seek(0)
    ds = _header(file)
    if str(ds.file_meta.get("MediaStorageSOPClassUID", "")) == DIRECTORY:
        return Facts("", is_directory=True)
    if str(ds.file_meta.get("TransferSyntaxUID", "")) != DEFLATED:
        _demand_whole(file)
    study = str(ds.get("StudyInstanceUID") or "").strip("\x00 ")
    if not study:
        raise Refused(Word.DAMAGED, "it names no study")
    return Facts(study, is_directory=False, patient_id=str(ds.get("PatientID") or ""))


def _header(file: BinaryIO) -> Any:  # noqa: ANN401  # pydicom's FileDataset
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a library's warning may hold a value
            return dcmread(file, stop_before_pixels=True, specific_tags=["PatientID", "StudyInstanceUID"])
    except EOFError:
        raise Refused(Word.TRUNCATED, "it ends in the middle of its header") from None
    except OSError as error:
        if error.errno is not None:
            raise
        raise Refused(Word.DAMAGED, "its header cannot be read (OSError)") from None
    except Exception as error:  # noqa: BLE001  # pydicom raises many kinds for broken files, and says what it read
        raise Refused(Word.DAMAGED, f"its header cannot be read ({type(error).__name__})") from None


def _demand_whole(file: BinaryIO) -> None:
    """Compare the announced length of the pixels with what is left; the file stands before them."""
    at = file.tell()
    head = file.read(12)
    end = file.seek(0, 2)
    if len(head) < len(b"ggeeVRxxllll") or head[:4] not in _PIXELS:
        return
    is_explicit = head[4:6] in _LONG_VRS and head[6:8] == b"\x00\x00"
    length = struct.unpack("<I", head[8:12] if is_explicit else head[4:8])[0]
    start = at + (12 if is_explicit else 8)
    if length == _UNDEFINED:
        file.seek(max(start, end - _TAIL))
        is_whole = _END in file.read(_TAIL)
    else:
        is_whole = start + length <= end
    if not is_whole:
        raise Refused(Word.TRUNCATED, "it ends in the middle of its pixels")


def directory(file: BinaryIO) -> list[str]:
    """Return the SOP Instance UIDs that a DICOMDIR names (PS3.3 F.3.2.2).

    Raises
    ------
    Refused
        It cannot be read.
    """
    file.seek(0)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            records: list[Dataset] = list(dcmread(file).get("DirectoryRecordSequence") or ())
            named = [str(record.get("ReferencedSOPInstanceUIDInFile") or "") for record in records]
    except Exception as error:  # noqa: BLE001  # as above
        raise Refused(Word.DAMAGED, f"a DICOMDIR that cannot be read ({type(error).__name__})") from None
    return [uid for uid in named if uid]
