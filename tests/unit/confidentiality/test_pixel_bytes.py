import io

import pydicom
import pytest
from pydicom.encaps import encapsulate
from pydicom.uid import JPEG2000, JPEGBaseline8Bit

from objects import image, sample, written
from orthanc_deid.confidentiality.encode import decode, encode
from orthanc_deid.confidentiality.pixel_bytes import scrub
from orthanc_deid.errors import Rejected

NAME = b"Rstuvwx"


def segment(marker: int, payload: bytes) -> bytes:
    return marker.to_bytes(2, "big") + (len(payload) + 2).to_bytes(2, "big") + payload


def jpeg(*segments: bytes, behind: bytes = b"") -> bytes:
    quantization = segment(0xFFDB, b"\x00" + bytes(range(64)))
    return (
        b"\xff\xd8"
        + b"".join(segments)
        + quantization
        + segment(0xFFDA, b"\x01\x00")
        + b"\x12\xff\x00\x34"
        + (b"\xff\xd9" + behind)
    )


def compressed(*frames: bytes, syntax: pydicom.uid.UID = JPEGBaseline8Bit, fragments: int = 1) -> bytes:
    ds = image(NumberOfFrames=len(frames), BitsAllocated=8, BitsStored=8, HighBit=7)
    ds.file_meta.TransferSyntaxUID = syntax
    ds.PixelData = encapsulate(list(frames), fragments_per_frame=fragments)
    ds["PixelData"].VR = "OB"
    ds["PixelData"].is_undefined_length = True
    return written(ds)


def scrubbed(data: bytes) -> bytes:
    ds = decode(data)
    scrub(ds)
    return encode(ds)


@pytest.mark.parametrize(
    "remark",
    [
        segment(0xFFFE, b"of " + NAME),
        segment(0xFFE1, b"Exif\x00\x00" + NAME),
        segment(0xFFE0, b"JFIF\x00\x01\x02\x00\x00\x01\x00\x01\x01\x01" + NAME),
        segment(0xFFE0, b"JFXX\x00" + NAME),
        segment(0xFFED, b"Photoshop 3.0\x00" + NAME),
        b"\xff" + segment(0xFFFE, NAME),
    ],
)
@pytest.mark.parametrize("fragments", [1, 3])
def test_a_remark_in_a_jpeg_becomes_zeros_and_nothing_moves(remark: bytes, fragments: int) -> None:
    data = compressed(jpeg(remark), jpeg(behind=NAME), fragments=fragments)
    out = scrubbed(data)
    assert NAME not in out
    assert len(out) == len(encode(decode(data)))
    if fragments == 1:
        assert out.count(bytes(range(64))) == 2


def test_what_a_decoder_needs_and_what_an_encoder_says_of_itself_stays() -> None:
    frame = jpeg(
        segment(0xFFE0, b"JFIF\x00\x01\x02\x00\x00\x01\x00\x01\x00\x00"),
        segment(0xFFE2, b"ICC_PROFILE\x00\x01\x01profile"),
        segment(0xFFEE, b"Adobe\x00\x64\x00\x00\x00\x00\x01"),
        segment(0xFFFE, b"LEAD Technologies Inc. V1.01\x00"),
    )
    ds = decode(compressed(frame))
    assert not scrub(ds)


def test_a_remark_in_a_jpeg_2000_becomes_zeros_in_the_header_and_in_a_tile() -> None:
    tile = segment(0xFF64, b"\x00\x01" + NAME) + b"\xff\x93\x01\x02"
    start = b"\xff\x90\x00\x0a\x00\x00" + (12 + len(tile)).to_bytes(4, "big") + b"\x00\x01"
    head = b"\xff\x4f" + segment(0xFF51, bytes(38)) + segment(0xFF64, b"\x00\x01Kakadu-v6.4.1")
    stream = head + segment(0xFF64, b"\x00\x01of " + NAME) + start + tile + b"\xff\xd9" + NAME
    out = scrubbed(compressed(stream, syntax=JPEG2000))
    assert NAME not in out
    assert b"Kakadu-v6.4.1" in out


def test_bytes_behind_the_last_pixel_become_zeros_and_the_pixels_stay() -> None:
    ds = image()
    ds.PixelData = bytes(range(8)) + NAME + b" "
    new = pydicom.dcmread(io.BytesIO(scrubbed(written(ds))))
    assert new.PixelData == bytes(range(8)) + bytes(8)


def test_segments_that_cannot_be_followed_refuse_the_instance() -> None:
    with pytest.raises(Rejected, match="a segment of no length"):
        scrubbed(compressed(b"\xff\xd8\xff\xfe\x00\x00" + NAME))


@pytest.mark.parametrize("name", ["693_J2KI.dcm", "examples_ybr_color.dcm", "MR_small_RLE.dcm", "CT_small.dcm"])
def test_what_scanners_write_stays_byte_by_byte(name: str) -> None:
    ds = decode(sample(name))
    assert not scrub(ds)
