"""What Orthanc shows of attributes that sources of pseudonyms read, private ones too: the same as pydicom does."""

from io import BytesIO

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from conftest import NewOrthanc
from instances import instance
from orthanc_deid.errors import NotFound
from orthanc_deid.orthanc_rest import Address, Orthanc, basic
from orthanc_deid.pseudonymization.reading import of_dataset, of_orthanc

CREATOR = "CHUV_DEV_TML"
NAMES = (
    *(f"000B,{element:02x},{CREATOR}" for element in range(1, 9)),
    "000B,01,SOMEBODY ELSE", "000B,01,NOBODY", "PatientName", "PatientBirthDate", "ImageType", "StudyComments",
    "ReferencedStudySequence", "NoKeyword",
)  # fmt: skip


def tagged(syntax: str) -> bytes:
    ds = dcmread(BytesIO(instance(syntax=syntax, PatientName="Müller^Ann", SpecificCharacterSet="ISO_IR 100")))
    ds.private_block(0x000B, "SOMEBODY ELSE", create=True).add_new(0x01, "LO", "X9")
    block = ds.private_block(0x000B, CREATOR, create=True)
    for element, (vr, value) in enumerate(
        (
            ("LO", "P0001"), ("LO", ""), ("IS", "-5"), ("UN", b"P0002 "), ("LT", "P" * 400), ("LO", ["A", "B"]),
            ("SQ", [Dataset()]), ("UN", b"12\x00\x01"),
        ),
        1,
    ):  # fmt: skip
        block.add_new(element, vr, value)
    file = BytesIO()
    ds.save_as(file, enforce_file_format=True)
    return file.getvalue()


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_orthanc_and_pydicom_read_the_same(new_orthanc: NewOrthanc, syntax: str) -> None:
    server = new_orthanc()
    server.start()
    orthanc = Orthanc(Address(server.url, basic("admin", server.password)))
    data = tagged(syntax)
    stored = orthanc.store(data)
    by_orthanc, by_pydicom = of_orthanc(orthanc, stored), of_dataset(dcmread(BytesIO(data)))
    assert {name: by_orthanc(name) for name in NAMES} == {name: by_pydicom(name) for name in NAMES}
    assert by_orthanc(f"000B,01,{CREATOR}") == "P0001"
    assert by_orthanc(f"000B,04,{CREATOR}") == "P0002"
    assert by_orthanc(f"000B,03,{CREATOR}") == "-5"
    assert by_orthanc("PatientName") == "Müller^Ann"
    with pytest.raises(NotFound):
        of_orthanc(orthanc, "-".join(["00000000"] * 5))
