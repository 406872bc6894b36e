"""HL7 CDA documents: the narrative text of the structured body, and a smallest document that holds nothing else."""

from dataclasses import dataclass, field
from xml.parsers import expat  # nosec  # every DTD is refused, and with it every entity
from xml.sax.saxutils import escape

from orthanc_deid.errors import Rejected

_DEEPEST = 100  # elements in one another
_V3 = "urn:hl7-org:v3 "
# Elements of the narrative block (CDA R2 4.3.5) that begin and end a line; all others are part of one.
_LINES = frozenset({"br", "caption", "item", "list", "paragraph", "table", "td", "text", "th", "title", "tr"})


@dataclass
class Section:
    """What a person reads of a section."""

    title: str = ""
    lines: list[str] = field(default_factory=list)


def sections(data: bytes) -> list[Section]:
    """Read the sections of the structured body in their order, those inside others after the one they are in.

    Raises
    ------
    Rejected
        It is no CDA, brings a DTD, is nested too deeply, or has another body than sections.
    """
    narrative = _Narrative()
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.StartDoctypeDeclHandler = _no_doctype
    parser.StartElementHandler = narrative.start
    parser.EndElementHandler = narrative.end
    parser.CharacterDataHandler = narrative.words.append
    try:
        parser.Parse(data.rstrip(b"\x00"), True)  # noqa: FBT003  # expat takes it by position only
    except (expat.ExpatError, ValueError, LookupError):
        raise Rejected("encapsulated CDA: not readable as XML") from None
    if not narrative.found:
        raise Rejected("encapsulated CDA: no sections")
    return narrative.found


def _no_doctype(*_declaration: object) -> None:
    raise Rejected("encapsulated CDA: brings a document type of its own")


class _Narrative:
    """Collects titles and narrative blocks; what stands elsewhere is not looked at."""

    def __init__(self) -> None:
        self.path: list[str] = []
        self.found: list[Section] = []
        self.words: list[str] = []

    def start(self, name: str, _attributes: dict[str, str]) -> None:
        """Enter an element."""
        name = name.removeprefix(_V3)
        self.between(name)
        self.path.append(name)
        if self.path[0] != "ClinicalDocument":
            raise Rejected("encapsulated CDA: another kind of XML")
        if len(self.path) > _DEEPEST:
            raise Rejected("encapsulated CDA: nested too deeply")
        if name == "nonXMLBody":
            raise Rejected("encapsulated CDA: its body is a document of another kind")
        if name == "section" and "structuredBody" in self.path:
            self.found.append(Section())

    def end(self, _name: str) -> None:
        """Leave an element."""
        self.between(self.path[-1])
        self.path.pop()

    def between(self, name: str) -> None:
        """Finish a line where an element that has its own begins or ends."""
        block = self.block()
        if block and name not in _LINES:
            return
        text = " ".join("".join(self.words).split())
        self.words.clear()
        if text and block == "title":
            self.found[-1].title += text
        elif text and block == "text":
            self.found[-1].lines.append(text)

    def block(self) -> str:
        """Say where the path leads: into the `title` or the `text` of a section, or elsewhere."""
        if not self.found:
            return ""
        inside = {name for parent, name in zip(self.path, self.path[1:], strict=False) if parent == "section"}
        return next((name for name in ("title", "text") if name in inside), "")


def written(found: list[Section]) -> bytes:
    """Write a document of the sections; who and when are masked (HL7 NullFlavor MSK)."""
    return (_HEADER + "".join(map(_component, found)) + _END).encode("utf-8")


def _component(section: Section) -> str:
    lines = "".join(f"<paragraph>{escape(line)}</paragraph>" for line in section.lines)
    return f"<component><section><title>{escape(section.title)}</title><text>{lines}</text></section></component>"


_HEADER = (
    '<?xml version="1.0" encoding="UTF-8"?>'
    '<ClinicalDocument xmlns="urn:hl7-org:v3"><typeId root="2.16.840.1.113883.1.3" extension="POCD_HD000040"/>'
    '<id nullFlavor="MSK"/><code nullFlavor="MSK"/><effectiveTime nullFlavor="MSK"/>'
    '<confidentialityCode code="N" codeSystem="2.16.840.1.113883.5.25"/>'
    '<recordTarget><patientRole><id nullFlavor="MSK"/></patientRole></recordTarget>'
    '<author><time nullFlavor="MSK"/><assignedAuthor><id nullFlavor="MSK"/></assignedAuthor></author>'
    '<custodian><assignedCustodian><representedCustodianOrganization><id nullFlavor="MSK"/>'
    "</representedCustodianOrganization></assignedCustodian></custodian><component><structuredBody>"
)
_END = "</structuredBody></component></ClinicalDocument>\n"
