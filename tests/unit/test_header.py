import subprocess
import sys
import zlib
from pathlib import Path

import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.uid import DeflatedExplicitVRLittleEndian

from instances import instance
from orthanc_deid.header import NotDicom, load_reader

SITE_PACKAGES = str(Path(pydicom.__file__).parents[1])
PLUGIN = str(Path(__file__).parents[2] / "plugin")
read = load_reader(SITE_PACKAGES)


def sample(name: str) -> bytes:
    path = get_testdata_file(name)
    assert isinstance(path, str)
    return Path(path).read_bytes()


def test_sop_class_and_image_type_are_read() -> None:
    header = read(instance(ImageType=["DERIVED", "SECONDARY", "SCREEN SAVE"]))
    assert header.sop_classes == {"1.2.840.10008.5.1.4.1.1.7"}
    assert header.image_type == ("DERIVED", "SECONDARY", "SCREEN SAVE")


@pytest.mark.parametrize(
    ("name", "first"),
    [
        ("MR_small_implicit.dcm", "DERIVED"),
        ("ExplVR_BigEnd.dcm", "ORIGINAL"),
        ("JPEG2000.dcm", "DERIVED"),
        ("no_meta_group_length.dcm", "ORIGINAL"),
    ],
)
def test_each_encoding_is_read(name: str, first: str) -> None:
    assert read(sample(name)).image_type[0] == first


def test_a_deflated_instance_is_read() -> None:
    assert read(sample("image_dfl.dcm")).sop_classes == {"1.2.840.10008.5.1.4.1.1.7"}


def test_a_deflated_bomb_is_not_inflated_whole() -> None:
    plain = instance(ImageType=["A", "B", "SCREEN SAVE"])
    at = plain.index(b"\x08\x00\x08\x00CS")
    meta = instance(syntax=DeflatedExplicitVRLittleEndian)
    meta = meta[: 144 + int.from_bytes(meta[140:144], "little")]
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    bomb = meta + packer.compress(plain[at:] + bytes(200 * 2**20)) + packer.flush()
    assert len(bomb) < 2**20
    assert read(bomb).image_type == ("A", "B", "SCREEN SAVE")


def test_both_claims_of_a_sop_class_count() -> None:
    dicom = instance(SOPClassUID="1.2.840.10008.5.1.4.1.1.2").replace(
        b"1.2.840.10008.5.1.4.1.1.2\0", b"1.2.840.10008.5.1.4.1.1.4\0", 1
    )
    assert read(dicom).sop_classes == {"1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4"}


@pytest.mark.parametrize("data", [b"", b"x", b"not dicom" * 100, bytes(1000)])
def test_what_has_no_dicm_is_no_dicom(data: bytes) -> None:
    with pytest.raises(NotDicom):
        read(data)


def test_a_file_of_preamble_alone_is_an_error() -> None:
    with pytest.raises(ValueError, match="no transfer syntax or no SOP class"):
        read(bytes(128) + b"DICM")


def test_reading_a_header_loads_neither_numpy_nor_anything_else_from_the_environment() -> None:
    code = f"""
import sys
sys.path.insert(0, {PLUGIN!r})
from orthanc_deid.header import load_reader
read = load_reader({SITE_PACKAGES!r})
read(open({get_testdata_file("JPEG2000.dcm")!r}, 'rb').read())
files = {{name: getattr(module, '__file__', None) or '' for name, module in sys.modules.items()}}
print(sorted({{name.split('.')[0] for name, file in files.items() if 'site-packages' in file}}))
assert {SITE_PACKAGES!r} not in sys.path
"""
    # -S: without the site-packages that the embedded Python does not have either
    done = subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout.strip() == "['pydicom']"
