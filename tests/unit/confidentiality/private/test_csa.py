import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from objects import MARKER
from orthanc_deid.confidentiality.private import csa

ITEM = struct.Struct("<4i")
PROTOCOL = """<XProtocol>
{
  <Name> "PhoenixMetaProtocol"
  <ParamString."PatientName"> { "%(marker)s" }
}
### ASCCONV BEGIN object=MrProtDataImpl@MrProtocolData version=51130001 ###
ulVersion\t = \t0x14b44b6
tSequenceFileName\t = \t""%%SiemensSeq%%\\ep2d_diff""
tProtocolName\t = \t""ep2d %(marker)s""
tReferenceImage0\t = \t""1.3.12.2.1107.5.2.19.45160.2018091812250026""
sProtConsistencyInfo.tMeasuredBaselineString\t = \t""N4_VE11C_LATEST_20160120""
sStudyComment.tText\t = \t""%(marker)s""
alTR[0]\t = \t2435000
alTE[0]\t = \t30000
sSliceArray.asSlice[0].dReadoutFOV\t = \t216.0
sSliceArray.asSlice[0].sPosition.dTra\t = \t-12.5
sSliceArray.ucMode\t = \t0x4
sPat.lAccelFactPE\t = \t2
sPat.lRefLinesPE\t = \t%(marker)s
sFastImaging.lEchoSpacing\t = \t540
lPatientNumber\t = \t77001199
### ASCCONV END ###
<Tail> "%(marker)s"
""" % {"marker": MARKER}  # noqa: UP031  # braces and percent signs are the protocol's own

Tag = tuple[bytes, bytes, list[bytes]]  # name, VR, values

IMAGE: list[Tag] = [
    (b"NumberOfImagesInMosaic", b"US", [b"5       "]),
    (b"B_value", b"IS", [b"1000"]),
    (b"DiffusionGradientDirection", b"FD", [b"0.70710678", b"-0.70710678", b"0.00000000"]),
    (b"MosaicRefAcqTimes", b"FD", [b"0.00000000", b"1450.00000000"]),
    (b"PhaseEncodingDirectionPositive", b"IS", [b"1"]),
    (b"ICE_Dims", b"LO", [b"X_1_1_1_2_1_1_1_1_1_1_1_38"]),
    (b"ImageHistory", b"LO", [b"ChannelMixing:ND=true_CMM=1_CDM=1", b"CC:ComplexAdd"]),
    (b"ImaCoilString", b"LO", [b"HEA of " + MARKER.encode()]),
    (b"RealDwellTime", b"IS", [MARKER.encode()]),  # no number
    (b"ImaPATModeText", b"LO", [MARKER.encode()]),  # no mode
    (b"PatientName", b"PN", [MARKER.encode()]),
    (MARKER.encode(), b"IS", [b"1"]),
    (b"Filter1", b"IS", []),
]
SERIES: list[Tag] = [
    (b"UsedPatientWeight", b"IS", [b"90"]),
    (b"MrProtocolVersion", b"IS", [b"51130001"]),
    (b"RepresentativeImage", b"UI", [b"1.3.12.2.1107.5.2.19.45160.2018091812250026"]),
    (b"MrPhoenixProtocol", b"UN", [PROTOCOL.encode()]),
    (b"ReadoutOS", b"FD", [b"2.00000000"]),
]


def header(tags: list[Tag], *, second: bool = True) -> bytes:
    """Encode a CSA header as scanners do: what memory held before stays behind each short value."""
    rest = f" {MARKER} ".encode() * 10
    body = b"SV10\x04\x03\x02\x01" if second else b""
    body += struct.pack("<2I", len(tags), 77)
    surplus = 0 if second else 6
    for name, vr, values in tags:
        kept = [*values, *[b""] * (6 - len(values))]
        mark = 77 if values else 205
        body += struct.pack(
            "<64si4s3i", name + b"\0" + rest[: 63 - len(name)], len(values), vr + b"\0#", 6, len(kept), mark
        )
        for value in kept:
            stored = value + b"\0" + rest[:9] if value else b""
            size = len(stored) + surplus
            body += ITEM.pack(size, size, 77 if value else 205, size)
            body += stored + rest[: -len(stored) % 4]
    return body + rest[:12]


def values(data: bytes) -> dict[str, list[str]]:
    """Read a header as nibabel does."""
    second = data[:4] == b"SV10"
    at = 8 if second else 0
    count, _ = struct.unpack_from("<2I", data, at)
    at += 8
    found: dict[str, list[str]] = {}
    surplus = 0
    for number in range(count):
        name, _, _, _, items, _ = struct.unpack_from("<64si4s3i", data, at)
        at += 84
        if number == 0:
            surplus = items
        key = name.split(b"\0")[0].decode()
        for _ in range(items):
            numbers = ITEM.unpack_from(data, at)
            size = numbers[1] if second else numbers[0] - surplus
            text = data[at + 16 : at + 16 + size].split(b"\0")[0].decode().strip()
            if text:
                found.setdefault(key, []).append(text)
            at += 16 + (size + 3) // 4 * 4
    return found


def without_marker(text: str) -> str:
    return text.replace(MARKER, "")


def nothing(_text: str) -> str:
    return ""


@pytest.mark.parametrize("second", [True, False], ids=["CSA2", "CSA1"])
def test_what_a_converter_reads_of_an_image_header_stays_where_it_was(*, second: bool) -> None:
    data = header(IMAGE, second=second)
    new = csa.cleaned(data, without_marker)
    assert new is not None
    assert len(new) == len(data)
    assert values(new) == {
        "NumberOfImagesInMosaic": ["5"],
        "B_value": ["1000"],
        "DiffusionGradientDirection": ["0.70710678", "-0.70710678", "0.00000000"],
        "MosaicRefAcqTimes": ["0.00000000", "1450.00000000"],
        "PhaseEncodingDirectionPositive": ["1"],
        "ICE_Dims": ["X_1_1_1_2_1_1_1_1_1_1_1_38"],
        "ImageHistory": ["ChannelMixing:ND=true_CMM=1_CDM=1", "CC:ComplexAdd"],
        "ImaCoilString": ["HEA of"],
    }


@pytest.mark.parametrize("second", [True, False], ids=["CSA2", "CSA1"])
@pytest.mark.parametrize("tags", [IMAGE, SERIES], ids=["image", "series"])
def test_no_byte_of_an_identity_is_left_in_a_header(tags: list[Tag], *, second: bool) -> None:
    data = header(tags, second=second)
    assert data.count(MARKER.encode()) > 20
    new = csa.cleaned(data, without_marker)
    assert new is not None
    for known in (MARKER.encode(), b"PatientName", b"PatientWeight", b"1107", b"20180918", b"77001199"):
        assert known not in new


def test_the_protocol_keeps_its_numbers_and_what_names_the_vendors_sequence() -> None:
    new = csa.cleaned(header(SERIES), without_marker)
    assert new is not None
    (protocol,) = values(new)["MrPhoenixProtocol"]
    assert protocol.splitlines() == [
        "### ASCCONV BEGIN ###",
        'tSequenceFileName\t = \t""%SiemensSeq%\\ep2d_diff""',
        'tProtocolName\t = \t""ep2d""',
        'sProtConsistencyInfo.tMeasuredBaselineString\t = \t""N4_VE11C_LATEST_20160120""',
        "alTR[0]\t = \t2435000",
        "alTE[0]\t = \t30000",
        "sSliceArray.asSlice[0].dReadoutFOV\t = \t216.0",
        "sSliceArray.asSlice[0].sPosition.dTra\t = \t-12.5",
        "sSliceArray.ucMode\t = \t0x4",
        "sPat.lAccelFactPE\t = \t2",
        "sFastImaging.lEchoSpacing\t = \t540",
        "### ASCCONV END ###",
    ]


def test_a_text_of_which_nothing_may_stay_takes_its_line_along() -> None:
    new = csa.cleaned(header(SERIES), nothing)
    assert new is not None
    assert b"tProtocolName" not in new
    assert b"alTR[0]\t = \t2435000" in new


@pytest.mark.parametrize("coils", [b"HEA;HEP", b"HE1-4;NE1,2;SP1", b"BC"])
def test_coil_elements_stay_when_no_text_may(coils: bytes) -> None:
    new = csa.cleaned(header([(b"ImaCoilString", b"LO", [coils])]), nothing)
    assert new is not None
    assert values(new) == {"ImaCoilString": [coils.decode()]}


def test_a_cleaned_text_cannot_become_a_line_of_the_protocol() -> None:
    new = csa.cleaned(header(SERIES), lambda _: 'x""\nsPat.lAccelFactPE = 7\n### ASCCONV END ###')
    assert new is not None
    (protocol,) = values(new)["MrPhoenixProtocol"]
    assert [line for line in protocol.splitlines() if line.startswith(("sPat", "###"))] == [
        "### ASCCONV BEGIN ###",
        "sPat.lAccelFactPE\t = \t2",
        "### ASCCONV END ###",
    ]


def test_a_text_that_grew_beyond_its_place_is_dropped() -> None:
    new = csa.cleaned(header(IMAGE), lambda text: text * 50)
    assert new is not None
    assert "ImaCoilString" not in values(new)
    assert values(new)["B_value"] == ["1000"]


def test_the_protocol_of_an_xa_scanner_is_a_text_without_header() -> None:
    new = csa.cleaned(PROTOCOL.encode(), without_marker)
    assert new is not None
    assert new.startswith(b"<XProtocol>\n### ASCCONV BEGIN ###\n")
    assert b"sFastImaging.lEchoSpacing\t = \t540\n" in new
    assert MARKER.encode() not in new
    assert len(new) % 2 == 0


def test_a_text_keeps_its_encoding() -> None:
    for encoding in ("utf-8", "latin-1"):
        tags = [(b"ImaCoilString", b"LO", ["Spüle".encode(encoding)])]
        new = csa.cleaned(header(tags), lambda text: text.replace("S", "K"))
        assert new is not None
        assert "Kpüle".encode(encoding) in new


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"SV10",
        b"SV10\x04\x03\x02\x01" + struct.pack("<2I", 0, 77),
        b"SV10\x04\x03\x02\x01" + struct.pack("<2I", 1, 78),
        b"SV10\x04\x03\x02\x01" + struct.pack("<2I", 129, 77),
        b"<XProtocol> without the part that is read",
        MARKER.encode() * 100,
        header(IMAGE)[:-40],
        header(IMAGE)[:100],
        header(IMAGE).replace(b"IS\0", b"#S\0"),
    ],
    ids=lambda data: str(len(data)),
)
def test_what_is_no_known_header_is_not_kept(data: bytes) -> None:
    assert csa.cleaned(data, without_marker) is None


@given(st.binary(max_size=400))
def test_any_bytes_end_in_an_answer(data: bytes) -> None:
    assert isinstance(csa.cleaned(data, nothing), bytes | None)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    data = bytearray(header(draw(st.sampled_from([IMAGE, SERIES])), second=draw(st.booleans())))
    for at, value in draw(st.lists(st.tuples(st.integers(0, len(data) - 1), st.integers(0, 255)), max_size=8)):
        data[at] = value
    return bytes(data[: draw(st.integers(len(data) - 300, len(data)))])


@given(damaged())
def test_a_damaged_header_is_refused_or_comes_out_clean_and_as_long(data: bytes) -> None:
    new = csa.cleaned(data, without_marker)
    assert new is None or (len(new) == len(data) and MARKER.encode() not in new)
