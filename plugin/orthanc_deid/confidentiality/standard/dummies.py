"""Values that say nothing and are valid: what D (and X/D, Z/D) puts in place of the original."""

from collections.abc import Callable

from pydicom import Dataset

from ..documents import encapsulated

TEXT = encapsulated.DUMMY_TEXT  # fits CS and SH, needs no character set

# VR -> bytes, little endian; all of one byte value where the VR is a number, so that either order reads the same.
VALUES: dict[str, bytes] = (
    dict.fromkeys(("AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UT"), TEXT.encode())
    | dict.fromkeys(("DS", "IS"), b"0 ")
    | dict.fromkeys(("OB", "OW", "UN", "US", "SS"), bytes(2))
    | dict.fromkeys(("AT", "FL", "OF", "OL", "SL", "UL"), bytes(4))
    | dict.fromkeys(("FD", "OD", "OV", "SV", "UV"), bytes(8))
    | {"AS": b"000Y", "DA": b"19000101", "DT": b"19000101000000", "TM": b"000000", "UR": b"urn:deidentified"}
)

# Where the standard fixes the values or the size, the one that claims least; PS3.3 has each.
BY_TAG: dict[int, bytes] = {
    0x00080060: b"OT",  # Modality
    0x00080064: b"WSD",  # Conversion Type
    0x00100040: b"O",  # Patient's Sex
    0x00180015: b"WHOLEBODY",  # Body Part Examined
    0x00200062: b"U",  # Image Laterality: unpaired
    0x00280301: b"YES",  # Burned In Annotation
    0x00282110: b"00",  # Lossy Image Compression
    0x00340002: bytes(16),  # Flow Identifier: a UUID
    0x00340005: bytes(16),  # Source Identifier: a UUID
    0x00340007: bytes(10),  # Frame Origin Timestamp: PTPv2
    0x0040A010: b"CONTAINS",  # Relationship Type
    0x0040A040: b"TEXT",  # Value Type
    0x0040A050: b"SEPARATE",  # Continuity of Content
    0x0040A491: b"PARTIAL",  # Completion Flag
    0x0040A493: b"UNVERIFIED",  # Verification Flag
    0x04000565: b"COERCE",  # Reason for the Attribute Modification
    0x20500020: b"IDENTITY",  # Presentation LUT Shape
    0x300A000C: b"TREATMENT_DEVICE",  # RT Plan Geometry
    0x300E0002: b"UNAPPROVED",  # Approval Status
    0x30040002: b"RELATIVE",  # Dose Units
}

_ENCAPSULATED_DOCUMENT = 0x00420011


def value(tag: int, vr: str, mime: str = "") -> bytes | None:
    """Answer the bytes for an attribute that is no sequence, or None where nothing valid is known.

    `mime` is the dataset's (0042,0012), which says of what kind an encapsulated document has to be.
    """
    if tag == _ENCAPSULATED_DOCUMENT and mime:
        return encapsulated.dummy(mime)
    return BY_TAG.get(tag, VALUES.get(vr))


def items(tag: int, beside: Dataset | None = None) -> list[Dataset]:
    """Make the one item that stands for a sequence's content; `beside` is the dataset that holds the sequence."""
    return [_ITEMS.get(tag, _code)(beside or Dataset())]


def _code(_beside: Dataset) -> Dataset:
    return coded("DEIDENTIFIED", "99DEID", "De-identified")


def coded(code: str, scheme: str, meaning: str) -> Dataset:
    """Make an item of the Code Sequence Macro (PS3.3 8.8)."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = code, scheme, meaning
    return item


def _content(_beside: Dataset) -> Dataset:
    item = Dataset()
    item.RelationshipType = "CONTAINS"
    item.ValueType = "TEXT"
    item.ConceptNameCodeSequence = [coded("121106", "DCM", "Comment")]
    item.TextValue = TEXT
    return item


def _graphic_annotation(beside: Dataset) -> Dataset:
    """Make an annotation of one text in the first layer that the presentation state has (PS3.3 C.10.5)."""
    item = Dataset()
    layers = beside.get("GraphicLayerSequence") or [Dataset()]
    item.GraphicLayer = layers[0].get("GraphicLayer") or TEXT
    text = Dataset()
    text.UnformattedTextValue = TEXT
    text.AnchorPoint = [0, 0]
    text.AnchorPointAnnotationUnits = "DISPLAY"
    text.AnchorPointVisibility = "N"
    item.TextObjectSequence = [text]
    return item


def _waveform_annotation(_beside: Dataset) -> Dataset:
    item = Dataset()
    item.UnformattedTextValue = TEXT
    item.ReferencedWaveformChannels = [1, 0]  # all of the first multiplex group
    return item


def _observer(_beside: Dataset) -> Dataset:
    item = Dataset()
    item.VerifyingOrganization = TEXT
    item.VerificationDateTime = VALUES["DT"].decode()
    item.VerifyingObserverName = TEXT
    item.VerifyingObserverIdentificationCodeSequence = []
    return item


def _person(_beside: Dataset) -> Dataset:
    item = Dataset()
    item.PersonIdentificationCodeSequence = [_code(item)]
    item.InstitutionName = TEXT
    return item


def _step(_beside: Dataset) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = "1.2.840.10008.3.1.2.3.3"  # Modality Performed Procedure Step
    item.ReferencedSOPInstanceUID = "2.25.0"
    return item


def _flow(_beside: Dataset) -> Dataset:
    item = Dataset()
    item.FlowIdentifier = bytes(16)
    item.FlowTransferSyntaxUID = "1.2.840.10008.1.2.7.1"  # SMPTE ST 2110-20 Uncompressed Progressive Active Video
    item.FlowRTPSamplingRate = 90000  # Hz, of all video over RTP
    return item


_ITEMS: dict[int, Callable[[Dataset], Dataset]] = {
    0x00081072: _person,  # Operator Identification Sequence
    0x00081111: _step,  # Referenced Performed Procedure Step Sequence
    0x00340001: _flow,  # Flow Identifier Sequence
    0x0040A073: _observer,  # Verifying Observer Sequence
    0x0040A730: _content,  # Content Sequence
    0x0040B020: _waveform_annotation,  # Waveform Annotation Sequence
    0x00700001: _graphic_annotation,  # Graphic Annotation Sequence
}
