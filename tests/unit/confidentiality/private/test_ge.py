import gzip
import struct
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from objects import MARKER
from orthanc_deid.confidentiality.private import ge


def without_marker(text: str) -> str:
    return text.replace(MARKER, "")


def nothing(_text: str) -> str:
    return ""


def protocol_block(text: str) -> bytes:
    packed = gzip.compress(text.encode())
    packed = packed[:3] + b"\x08" + packed[4:10] + b"Ex27018Ser5\0" + packed[10:]  # the name of a file
    return struct.pack("<I", len(packed)) + packed


GE_TEXT = f"""SEDESC "Axial of {MARKER}"
PSEQ "Gradient Echo {MARKER}"
IOPT "EPI, MPh, {MARKER}"
SLICEORDER "1"
VIEWORDER "0"
NOSLC "15"
MBACCEL "{MARKER}"
DELACQ "Minimum"
DELACQNOAV "0.25"
PDGMUID "1.2.840.113819.3.1109952946424919"
"""


def lines(block: bytes) -> Iterator[str]:
    (size,) = struct.unpack_from("<I", block)
    yield from gzip.decompress(block[4 : 4 + size]).decode().splitlines()


def test_the_protocol_block_keeps_order_and_timing() -> None:
    new = ge.protocol(protocol_block(GE_TEXT), without_marker)
    assert new is not None
    assert len(new) % 2 == 0
    assert b"27018" not in new
    assert list(lines(new)) == [
        "",  # what is searched for begins with the end of a line
        'PSEQ "Gradient Echo"',
        'IOPT "EPI, MPh"',
        'SLICEORDER "1"',
        'VIEWORDER "0"',
        'NOSLC "15"',
        'DELACQ "Minimum"',
        'DELACQNOAV "0.25"',
    ]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        protocol_block("<?xml version='1.0'?><a/>"),
        protocol_block(GE_TEXT)[:-9],
        protocol_block('SLICEORDER "1"\n' * 200_000),  # more than any protocol unpacks to
        struct.pack("<I", 3) + b"abc",
    ],
    ids=["empty", "XML", "cut", "bomb", "no gzip"],
)
def test_what_is_no_known_protocol_block_is_not_kept(data: bytes) -> None:
    assert ge.protocol(data, nothing) is None


def user_data(version: float, size: int = 2048) -> bytes:
    data = bytearray((MARKER + "09/18/118").encode() * 200)[:size]
    struct.pack_into("<H", data, 24, 64)
    struct.pack_into("<f", data, 64, version)
    return bytes(data)


@pytest.mark.parametrize(("version", "at"), [(24.0, [0x3A, 0x30, 0x394]), (26.002, [0x86, 0x7C, 0x354])])
def test_the_user_defined_data_keeps_three_flags(version: float, at: list[int]) -> None:
    data = user_data(version)
    new = ge.user_data(data, nothing)
    assert new is not None
    assert len(new) == len(data)
    kept = {24, 25, *range(64, 68)} | {64 + place + byte for place in at for byte in range(2)}
    assert {place for place, byte in enumerate(new) if byte} <= kept
    assert all(new[place] == data[place] for place in kept)


@pytest.mark.parametrize("data", [user_data(3.0), user_data(float("nan")), user_data(26.0, 960), b""])
def test_what_is_no_known_user_defined_data_is_not_kept(data: bytes) -> None:
    assert ge.user_data(data, nothing) is None


@given(st.binary(max_size=2000), st.sampled_from([b"", protocol_block(GE_TEXT)]), st.integers(0, 400))
def test_any_bytes_end_in_an_answer(data: bytes, start: bytes, size: int) -> None:
    for blob in (ge.protocol, ge.user_data):
        assert isinstance(blob(start[:size] + data, nothing), bytes | None)
