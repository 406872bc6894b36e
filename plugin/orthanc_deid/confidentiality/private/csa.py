"""Siemens CSA headers (0029,xx10 and xx20), rebuilt from what a converter needs; every other byte becomes zero.

The layout (tags with items, CSA1 and CSA2) is that of nibabel's documentation "Siemens format DICOM with CSA header".
Scanners write names and VRs into fields of fixed size over whatever the memory held before - parts of the protocol, of
forms - so nothing is copied that was not looked at. What dcm2niix reads is taken from 1.0.20260724.
"""

import re
import struct
from collections.abc import Callable
from functools import lru_cache

Clean = Callable[[str], str]

_CSA2 = b"SV10\x04\x03\x02\x01"
_TAG = struct.Struct("<64si4s3i")
_ITEM = struct.Struct("<4i")
_MOST_TAGS = 128
_MOST_ITEMS = 1024
_CHECK = 77
_MARKS = frozenset({77, 205})  # of a tag or item with and without a value
_MOST = 4096  # of VM and the number of a type

# Names whose values are numbers.
_NUMBERS = frozenset(
    b"""
    AbsTablePosition Actual3DImaPartNumber AutoAlignMatrix AutoInlineImageFilterEnabled B1rms B_matrix B_value
    BandwidthPerPixelPhaseEncode Columns CsiImageOrientationPatient CsiImagePositionPatient CsiPixelSpacing
    CsiSliceLocation CsiSliceThickness DiffusionGradientDirection DwellTime EchoColumnPosition EchoLinePosition
    EchoNumbers EchoPartitionPosition EchoTime EchoTrainLength FMRIStimulInfo FMRIStimulLevel Filter1 Filter2 FlipAngle
    FlowEncodingDirection FlowVenc GradientDelayTime GradientEchoTrainLength ImaAbsTablePosition ImaRelTablePosition
    ImageOrientationPatient ImagePositionPatient ImagingFrequency InversionTime Isocentered MagneticFieldStrength
    MeasuredFourierLines MeasurementIndex MoCoQMeasure MosaicRefAcqTimes MultistepIndex NonPlanarImage
    NormalizeManipulated NumberOfAverages NumberOfFrames NumberOfImagesInMosaic NumberOfPhaseEncodingSteps
    NumberOfPrescans PercentPhaseFieldOfView PercentSampling PhaseColumns PhaseEncodingDirectionPositive
    PhaseGradientAmplitude PhaseRows PixelBandwidth PixelSpacing ProtocolSliceNumber RBMoCoRot RBMoCoTrans
    RFEchoTrainLength ReadoutGradientAmplitude ReadoutOS RealDwellTime RelTablePosition RepetitionTime
    RepetitionTimeEffective Rows SarWholeBody Sed SelectionGradientAmplitude SequenceMask SliceArrayConcatenations
    SliceLocation SliceMeasurementDuration SliceNormalVector SlicePosition_PCS SliceResolution SliceThickness
    SpectroscopyAcquisitionDataColumns SpectroscopyAcquisitionOut-of-planePhaseSteps
    SpectroscopyAcquisitionPhaseColumns SpectroscopyAcquisitionPhaseRows TablePositionOrigin TimeAfterStart
    TransmitterCalibration TransmitterReferenceAmplitude UsedChannelMask VelocityEncodingDirectionN4 VoiInPlaneRotation
    VoiNormalCor VoiNormalSag VoiNormalTra VoiOrientation VoiPhaseFoV VoiPosition VoiReadoutFoV VoiThickness
    VoxelInPlaneRot VoxelNormalCor VoxelNormalSag VoxelNormalTra VoxelPhaseFOV VoxelPositionCor VoxelPositionSag
    VoxelPositionTra VoxelReadoutFOV VoxelThickness
    """.split()
)
# Names whose values are words of the device, and all that those can be.
_WORDS = {
    b"AcquisitionMatrixText": rb"\d{1,4}[ps]*\*\d{1,4}[ps]*",
    b"DiffusionDirectionality": rb"NONE|DIRECTIONAL|ISOTROPIC|BMATRIX",
    b"ICE_Dims": rb"[X0-9]{1,6}(_[X0-9]{1,6}){1,40}",
    b"ImagedNucleus": rb"\d{1,3}[A-Z][a-z]?",
    b"ImageHistory": rb"ChannelMixing:ND=(true|false)(_[A-Z]{3}=\d)*|CC:(SoS|AC|ComplexAdd)",
    b"ImaPATModeText": rb"p\d{1,2}(s\d{1,2})?|s\d{1,2}",
    b"PATModeText": rb"p\d{1,2}(s\d{1,2})?|s\d{1,2}",
    b"PhaseEncodingDirection": rb"ROW|COL",
    b"PositivePCSDirections": rb"[+-][LRAPHF]{3}",
    b"ResonantNucleus": rb"\d{1,3}[A-Z][a-z]?",
}
_PATTERNS = {name: re.compile(pattern) for name, pattern in _WORDS.items()}
_TYPED = frozenset({b"CoilString", b"ImaCoilString", b"ReceivingCoil", b"SequenceName", b"TransmittingCoil"})
# The release of the scanner's software, sequences of the vendor, coil elements (HEA;HEP, HE1-4): they name nobody.
_VENDORS = re.compile(
    rb"N4_V[A-Z0-9]{2,6}_LATEST_\d{8}|%SiemensSeq%[\\/]{1,2}\w{1,40}"
    rb"|[A-Z]{1,3}\d{0,2}([-,]\d{1,2})*(;[A-Z]{1,3}\d{0,2}([-,]\d{1,2})*){0,40}",
    re.ASCII,
)
_PROTOCOLS = frozenset({b"MrPhoenixProtocol", b"MrProtocol"})
_KEPT = _NUMBERS | _TYPED | _PROTOCOLS | _PATTERNS.keys()

_NUMBER = re.compile(rb"[+-]?(0x[0-9a-fA-F]{1,8}|\d{0,12}\.?\d{1,17}|\d{1,12}\.)([eE][+-]?\d{1,3})?")
_VR = re.compile(rb"[A-Z]{2}")


@lru_cache(maxsize=8)  # the series header is the same in every instance of a series
def cleaned(data: bytes, clean: Clean) -> bytes | None:
    """Answer a header with the same layout and only what is known to say nothing of a person; None if unreadable.

    A text that a person may have written goes through `clean`. The protocol of XA scanners (0021,xx19), a text from
    the start, becomes as short as what is left of it.
    """
    if data.lstrip()[:10] == b"<XProtocol":
        kept = _protocol(data, clean)
        return kept and b"<XProtocol>\n" + kept + b" " * (len(kept) & 1)
    try:
        return _Header(data, clean).rebuilt()
    except (_UnknownLayoutError, struct.error):
        return None


def cleaned_bytes(value: bytes, clean: Clean) -> bytes:
    """Clean a text inside a quoted or NUL-terminated place: one line, no quotes, in the encoding that it had."""
    try:
        encoding = "utf-8"
        text = value.decode(encoding)
    except UnicodeDecodeError:
        encoding = "latin-1"
        text = value.decode(encoding)
    new = "".join(c if c.isprintable() and c != '"' else " " for c in clean(text)).strip()
    return new.encode(encoding, "replace")


def _typed(value: bytes, clean: Clean) -> bytes:
    return value if _VENDORS.fullmatch(value) else cleaned_bytes(value, clean)


class _UnknownLayoutError(Exception):
    """A number stands where no known header has it."""


class _Header:
    """Reads a header from front to back and writes what stays to the same places of the output."""

    def __init__(self, data: bytes, clean: Clean) -> None:
        self.data, self.clean = data, clean
        self.output = bytearray(len(data))
        self.second = data[:4] == _CSA2[:4]
        self.at = 0
        self.surplus = 0  # CSA1 writes the length of an item plus the number of items of the first tag

    def rebuilt(self) -> bytes:
        if self.second:
            self.put(_CSA2)
        count, check = struct.unpack_from("<2I", self.data, self.at)
        _expect(0 < count <= _MOST_TAGS and check == _CHECK)
        self.put(struct.pack("<2I", count, check))
        for number in range(count):
            self.tag(first=number == 0)
        return bytes(self.output)

    def put(self, value: bytes) -> None:
        self.output[self.at : self.at + len(value)] = value
        self.at += len(value)

    def tag(self, *, first: bool) -> None:
        name, vm, vr, kind, items, mark = _TAG.unpack_from(self.data, self.at)
        name, vr = name.split(b"\0", 1)[0], vr.split(b"\0", 1)[0]
        _expect(0 <= vm <= _MOST and 0 <= kind <= _MOST and 0 <= items <= _MOST_ITEMS and mark in _MARKS)
        _expect(_VR.fullmatch(vr) is not None)
        if first and not self.second:
            self.surplus = items
        self.put(_TAG.pack(name if name in _KEPT else b"", vm, vr, kind, items, mark))
        for _ in range(items):
            self.item(name)

    def item(self, name: bytes) -> None:
        header = _ITEM.unpack_from(self.data, self.at)
        size = header[1] if self.second else header[0] - self.surplus
        self.put(_ITEM.pack(*header))
        _expect(0 <= size <= len(self.data) - self.at and header[2] in _MARKS | {0})
        _expect(min(header) >= 0 and max(header) <= size + _MOST)
        start = self.at
        if name in _KEPT:
            new = self.value(name, self.data[start : start + size].split(b"\0", 1)[0].rstrip())
            self.put(new if len(new) <= size else b"")
        self.at = start + (size + 3) // 4 * 4

    def value(self, name: bytes, value: bytes) -> bytes:
        if name in _NUMBERS:
            return value if _NUMBER.fullmatch(value) else b""
        if name in _PROTOCOLS:
            return _protocol(value, self.clean) or b""
        if name in _TYPED:
            return _typed(value, self.clean)
        return value if _PATTERNS[name].fullmatch(value) else b""


def _expect(truth: object) -> None:
    if not truth:
        raise _UnknownLayoutError


# The part of the protocol that dcm2niix reads: lines of a key, an equals sign and a number or quoted text.
_BEGIN, _END = b"### ASCCONV BEGIN", b"### ASCCONV END"
_LINE = re.compile(rb"^([A-Za-z][\w.\[\]]{0,127})[ \t]*=[ \t]*([^\n]{1,4000})$", re.MULTILINE | re.ASCII)
_NUMBER_KEYS = re.compile(
    rb"""
    al(TR|TE|TI)\[ | adFlipAngleDegree\[ | l(Inv)?Contrasts$ | lAverages$ | dAveragesDouble$ | lRepetitions$
    | lDelayTimeInTR$ | sKSpace\. | sFastImaging\. | sPat\. | sSliceAcceleration\. | sDiffusion\. | sAsl\.
    | sSliceArray\.(lSize|lConc|uc\w+|asSlice\[\d+\]\.(d\w+|sPosition\.d\w+|sNormal\.d\w+))$
    | sRSatArray\.asElm\[\d+\]\. | sRXSPEC\.alDwellTime\[ | sPrepPulses\.ucMTC$ | sWi[pP]MemBlock\.a[dl]Free\[
    | sTXSPEC\.asNucleusInfo\[\d+\]\.flReferenceAmplitude$ | sProtConsistencyInfo\.ulConvFromVersion$
    | sGRADSPEC\.(asGPAData\[0\]\.lOffset[XYZ]|lOffset[XYZ]|alShimCurrent\[\d+\])$
    """,
    re.VERBOSE | re.ASCII,
)
_NUMBER_ENDS = (b"ucReadOutMode", b"ucCoilCombineMode")
_TEXT_ENDS = (
    b"CoilElementID.tCoilID", b"tProtocolName", b"tSequenceFileName", b"MemBlock.tFree", b".sCoilStringForConversion",
    b".tBaselineString", b".tMeasuredBaselineString",
)  # fmt: skip
_QUOTED = re.compile(rb'"{1,2}([^"]*)"{1,2}')


def _protocol(text: bytes, clean: Clean) -> bytes | None:
    """Answer the lines of a protocol that stay; None where it has no part of that kind."""
    begin = text.find(_BEGIN)
    end = text.find(_END, begin)
    if begin < 0 or end < 0:
        return None
    lines = (_line(match[1], match[2].strip(), clean) for match in _LINE.finditer(text[begin:end].replace(b"\r", b"")))
    return b"".join((_BEGIN, b" ###\n", *lines, _END, b" ###\n"))


def _line(key: bytes, value: bytes, clean: Clean) -> bytes:
    new = _line_value(key, value, clean)
    return key + b"\t = \t" + new + b"\n" if new else b""


def _line_value(key: bytes, value: bytes, clean: Clean) -> bytes | None:
    if _NUMBER_KEYS.match(key) or key.endswith(_NUMBER_ENDS):
        return value if _NUMBER.fullmatch(value) else None
    quoted = _QUOTED.fullmatch(value) if key.endswith(_TEXT_ENDS) else None
    if quoted is None:
        return None
    new = _typed(quoted[1], clean)
    return b'""' + new + b'""' if new else None
