from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID

from orthanc_deid.demo.readback import leaks


def nested(ds: Dataset, depth: int) -> Dataset:
    for _ in range(depth):
        outer = Dataset()
        outer.ContentSequence = [ds]
        ds = outer
    return ds


def test_an_identity_is_found_at_any_depth_in_any_case() -> None:
    ds = Dataset()
    ds.TextValue = "seen by QUITTENBAUM yesterday"
    assert list(leaks(nested(ds, 3), {"Quittenbaum"})) == ["(0040,a160)"]


def test_an_identity_is_found_in_a_private_element_of_bytes() -> None:
    ds = Dataset()
    block = ds.private_block(0x0011, "MAKER", create=True)
    block.add_new(0x01, "UN", b"..Quittenbaum..")
    assert list(leaks(ds, {"Quittenbaum"})) == ["(0011,1001)"]


def test_an_identity_is_found_in_the_file_header() -> None:
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.MediaStorageSOPInstanceUID = UID("1.2.3.4.5")
    assert list(leaks(ds, {"1.2.3.4.5"})) == ["(0002,0003)"]


def test_pixels_and_strangers_are_no_leak() -> None:
    ds = Dataset()
    ds.PatientName = "PSEUDONYM"
    ds.add_new("PixelData", "OW", b"quittenbaum ")
    assert list(leaks(ds, {"Quittenbaum"})) == []
