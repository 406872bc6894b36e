"""What is told of a DICOM file before it is offered."""

import io
import struct

import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.uid import ImplicitVRLittleEndian

from orthanc_deid.collect.dicom import Facts, examine
from orthanc_deid.packed.refused import Refused, Word
from studies import Person, ct_instance

DATA = ct_instance(Person(1))
STUDY = str(dcmread(io.BytesIO(DATA)).StudyInstanceUID)


def sample(name: str) -> bytes:
    with open(str(get_testdata_file(name, download=False)), "rb") as file:  # noqa: PTH123  # pydicom gives a text
        return file.read()


def word(data: bytes) -> Word:
    with pytest.raises(Refused) as caught:
        examine(io.BytesIO(data))
    assert not any(marker in str(caught.value) for marker in Person(1).markers)
    return caught.value.word


def test_its_study_is_told() -> None:
    assert examine(io.BytesIO(DATA)) == Facts(STUDY, is_directory=False, patient_id=Person(1).PatientID)


@pytest.mark.parametrize(
    "name", ["CT_small.dcm", "JPEG2000.dcm", "image_dfl.dcm", "MR_small_bigendian.dcm", "rtplan.dcm"]
)
def test_whole_files_of_every_syntax_are_whole(name: str) -> None:
    data = sample(name)
    assert examine(io.BytesIO(data)).study_uid == str(dcmread(io.BytesIO(data)).StudyInstanceUID)


@pytest.mark.parametrize("left_off", [1, 100, 1000])
def test_a_cut_in_the_pixels_is_told(left_off: int) -> None:
    assert word(DATA[:-left_off]) is Word.TRUNCATED


def test_a_cut_in_compressed_pixels_is_told() -> None:
    assert word(sample("JPEG2000.dcm")[:-200]) is Word.TRUNCATED


def test_a_cut_in_an_implicit_file_is_told() -> None:
    ds = dcmread(io.BytesIO(DATA))
    ds.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    made = io.BytesIO()
    ds.save_as(made, implicit_vr=True, little_endian=True, enforce_file_format=True)
    assert examine(io.BytesIO(made.getvalue())).study_uid == STUDY
    assert word(made.getvalue()[:-2]) is Word.TRUNCATED


def test_a_directory_is_told() -> None:
    assert examine(io.BytesIO(sample("DICOMDIR"))).is_directory


def test_nonsense_in_a_header_is_damaged_or_cut() -> None:
    assert word(DATA[:132] + struct.pack("<HH2sH", 2, 0x10, b"UI", 60000)) in {Word.DAMAGED, Word.TRUNCATED}
    assert word(DATA[:132]) in {Word.DAMAGED, Word.TRUNCATED}
