"""Values that say nothing and are valid: what D (and X/D, Z/D) puts in place of the original."""

from pydicom import Dataset

TEXT = "DEIDENTIFIED"  # fits CS and SH, needs no character set

# VR -> bytes, little endian; all of one byte value where the VR is a number, so that either order reads the same.
VALUES: dict[str, bytes] = (
    dict.fromkeys(("AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UT"), TEXT.encode())
    | dict.fromkeys(("DS", "IS"), b"0 ")
    | dict.fromkeys(("OB", "OW", "UN", "US", "SS"), bytes(2))
    | dict.fromkeys(("AT", "FL", "OF", "OL", "SL", "UL"), bytes(4))
    | dict.fromkeys(("FD", "OD", "OV", "SV", "UV"), bytes(8))
    | {"AS": b"000Y", "DA": b"19000101", "DT": b"19000101000000", "TM": b"000000", "UR": b"urn:deidentified"}
)


def items(tag: int) -> list[Dataset]:
    """Make the one item that stands for a sequence's content."""
    item = Dataset()
    if tag == _CONTENT:
        item.RelationshipType = "CONTAINS"
        item.ValueType = "TEXT"
        item.ConceptNameCodeSequence = [_code("121106", "DCM", "Comment")]
        item.TextValue = TEXT
        return [item]
    if tag == _GRAPHIC_ANNOTATION:
        item.GraphicLayer = TEXT
        return [item]
    return [_code("DEIDENTIFIED", "99DEID", "De-identified")]


_CONTENT = 0x0040A730
_GRAPHIC_ANNOTATION = 0x00700001


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    code = Dataset()
    code.CodeValue = value
    code.CodingSchemeDesignator = scheme
    code.CodeMeaning = meaning
    return code
