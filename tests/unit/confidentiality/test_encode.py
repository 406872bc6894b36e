import io

import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.uid import UID

from objects import SAMPLES, image, sample, written
from orthanc_deid.confidentiality.encode import decode, encode
from orthanc_deid.errors import Rejected


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.filterwarnings("ignore")
def test_a_dataset_comes_back_as_it_was(name: str) -> None:
    source = decode(sample(name))
    again = decode(encode(decode(sample(name))))
    assert again.file_meta.TransferSyntaxUID == source.file_meta.TransferSyntaxUID
    assert [e.tag for e in again] == [e.tag for e in source if e.tag.element]
    assert all(elem == source[elem.tag] for elem in again if elem.tag != 0x7FE00010)
    assert again.get("PixelData") == source.get("PixelData")


def test_nothing_of_the_old_file_stays_around_the_dataset() -> None:
    ds = image()
    ds.file_meta.SourceApplicationEntityTitle = "HOSPITAL"
    ds.file_meta.PrivateInformationCreatorUID = UID("1.2.3")
    ds.file_meta.PrivateInformation = b"Zyxwvut "
    data = b"Zyxwvut!" * 16 + written(ds)[128:]
    out = encode(decode(data))
    assert out[:132] == bytes(128) + b"DICM"
    assert b"Zyxwvut " not in out
    meta = pydicom.dcmread(io.BytesIO(out)).file_meta
    assert {e.keyword for e in meta} == {
        "FileMetaInformationGroupLength",
        "FileMetaInformationVersion",
        "MediaStorageSOPClassUID",
        "MediaStorageSOPInstanceUID",
        "TransferSyntaxUID",
        "ImplementationClassUID",
        "ImplementationVersionName",
    }
    assert meta.MediaStorageSOPInstanceUID == ds.SOPInstanceUID


@pytest.mark.parametrize("size", [0, 1, 100, 131, 132, 200, 700, -1, -9])
def test_a_broken_file_is_rejected_without_its_values(size: int) -> None:
    with pytest.raises(Rejected) as caught:
        decode(written(image())[:size])
    assert caught.value.__cause__ is None
    assert "Zyxwvut" not in str(caught.value)


def test_what_cannot_be_written_is_rejected() -> None:
    ds = image()
    del ds.SOPInstanceUID
    with pytest.raises(Rejected):
        encode(ds)


@given(st.binary(max_size=400))
def test_any_bytes_are_read_or_rejected(noise: bytes) -> None:
    try:
        decode(bytes(128) + b"DICM" + noise)
    except Rejected:
        return
