import struct

import pytest
from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian

import objects
from instances import instance
from orthanc_deid.confidentiality import encode
from orthanc_deid.packed.kinds import HEAD, Kind, kind_of, with_preamble


def bare(data: bytes) -> bytes:
    """Cut preamble and file meta off."""
    (length,) = struct.unpack_from("<I", data, 140)
    return data[144 + length :]


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.1", ImplicitVRLittleEndian, ExplicitVRBigEndian])
def test_a_dataset_without_preamble_and_file_meta_is_told_and_completed(syntax: str) -> None:
    data = instance(syntax=syntax)
    assert kind_of(bare(data)[:HEAD]) is Kind.BARE
    completed = encode.decode(with_preamble(bare(data)))
    assert completed == encode.decode(data)
    assert completed.file_meta.TransferSyntaxUID == syntax


def test_a_file_meta_without_preamble_is_told_and_completed() -> None:
    data = instance()
    assert kind_of(data[132 : 132 + HEAD]) is Kind.BARE
    assert with_preamble(data[132:]) == bytes(128) + data[128:]


@pytest.mark.parametrize("name", objects.SAMPLES)
def test_a_file_of_pydicoms_is_dicom(name: str) -> None:
    assert kind_of(objects.sample(name)[:HEAD]) is Kind.DICOM


def test_what_only_begins_like_a_tag_is_no_dicom() -> None:
    assert kind_of(b"\x08\x00\x05\x00" + b"\xff" * 100) is Kind.OTHER
    assert kind_of(b"\x08\x00\x16\x00" + struct.pack("<I", 26) + b"\x00\x01\x02\x03" * 40) is Kind.OTHER
    assert kind_of(b"\x08\x00\x77\x00UI\x04\x001.2\x00" + bytes(100)) is Kind.OTHER
    assert kind_of(b"\x02\x00\x03\x00\x04\x00" + bytes(100)) is Kind.OTHER
    assert kind_of(b"\x00\x08\x00\x05DA" + bytes(100)) is Kind.OTHER
    assert kind_of(b"") is Kind.OTHER


def test_a_dicom_file_whose_preamble_looks_like_a_zip_is_dicom() -> None:
    data = b"PK\x03\x04" + instance()[4:]
    assert kind_of(data[:HEAD]) is Kind.DICOM
    assert kind_of(b"PK\x03\x04" + bytes(100)) is Kind.ZIP
