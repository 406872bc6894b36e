import io
import subprocess
import zlib
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree as ET

import pypdf
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pypdf.generic import DecodedStreamObject, DictionaryObject, NameObject, TextStringObject

from objects import MARKER
from orthanc_deid.confidentiality.documents.encapsulated import DUMMY_TEXT, cleaned, dummy
from orthanc_deid.confidentiality.documents.pdf import written
from orthanc_deid.errors import Rejected

PDF, CDA = "application/pdf", "text/xml"
_V3 = "{urn:hl7-org:v3}"


def without_marker(text: str) -> str:
    return " ".join(word for word in text.split() if MARKER not in word)


def same(text: str) -> str:
    return text


def pdf_text(data: bytes) -> list[list[str]]:
    reader = pypdf.PdfReader(io.BytesIO(data), strict=True)
    return [page.extract_text().splitlines() for page in reader.pages]


def made_pdf(change: Callable[[pypdf.PdfWriter], None] = lambda _: None, content: bytes = b"") -> bytes:
    """Return a PDF of another writer, compressed, with metadata and a line of text."""
    writer = pypdf.PdfWriter(clone_from=io.BytesIO(written([["Left lung clear", f"Patient: {MARKER}"], []])))
    writer.add_metadata({"/Author": MARKER, "/Title": MARKER})
    if content:
        stream = DecodedStreamObject()
        stream.set_data(content)
        writer.pages[0][NameObject("/Contents")] = writer._add_object(stream)  # noqa: SLF001  # has no other door
    change(writer)
    for page in writer.pages:
        page.compress_content_streams()
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def script(text: str) -> DictionaryObject:
    return DictionaryObject({NameObject("/S"): NameObject("/JavaScript"), NameObject("/JS"): TextStringObject(text)})


def test_a_pdf_keeps_its_pages_and_clinical_words_and_nothing_else() -> None:
    data = made_pdf()
    assert MARKER.encode() in data
    new = cleaned(PDF, data + b"\x00", without_marker)
    assert pdf_text(new) == [["Left lung clear", "Patient:"], []]
    assert MARKER.encode() not in new
    assert pypdf.PdfReader(io.BytesIO(new)).metadata is None


def test_a_cleaned_pdf_shows_its_text_in_clear_so_that_a_search_sees_it() -> None:
    assert b"(Left lung clear)" in cleaned(PDF, made_pdf(), without_marker)


def test_text_that_becomes_empty_leaves_an_empty_page() -> None:
    assert pdf_text(cleaned(PDF, made_pdf(), lambda _: "")) == [[], []]


def test_a_script_an_attachment_and_an_annotation_stay_behind() -> None:
    def change(writer: pypdf.PdfWriter) -> None:
        writer.root_object[NameObject("/OpenAction")] = script(MARKER)
        writer.add_attachment(f"{MARKER}.txt", MARKER.encode())

    new = cleaned(PDF, made_pdf(change), without_marker)
    assert not {b"/Names", b"/JavaScript", b"/EmbeddedFile"} & set(new.split(b"<"))
    assert MARKER.encode() not in new


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not readable"),
        (b"MZ\x00\x01", "not readable"),
        (b"%PDF-1.4\n%%EOF", "not readable"),
        (made_pdf(content=b"q 100 0 0 100 0 0 cm BI /W 1 /H 1 /BPC 8 /CS /G ID x EI Q"), "no text"),
        (made_pdf(content=b"0 0 m 100 100 l S"), "no text"),
    ],
)
def test_what_cannot_be_read_as_text_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(Rejected, match=reason):
        cleaned(PDF, data, same)


def test_a_scan_is_refused() -> None:
    image = DecodedStreamObject()
    image.set_data(zlib.compress(bytes(4)))
    image.update({NameObject("/Subtype"): NameObject("/Image")})

    def change(writer: pypdf.PdfWriter) -> None:
        resources = writer.pages[0]["/Resources"]
        assert isinstance(resources, DictionaryObject)
        resources[NameObject("/XObject")] = DictionaryObject({NameObject("/Im0"): writer._add_object(image)})  # noqa: SLF001

    with pytest.raises(Rejected, match="no text"):
        cleaned(PDF, made_pdf(change, b"q 595 0 0 842 0 0 cm /Im0 Do Q"), same)


@pytest.mark.parametrize("font", ["/Type0", "/Type3"])
def test_a_font_without_letters_is_refused(font: str) -> None:
    def change(writer: pypdf.PdfWriter) -> None:
        resources = writer.pages[0]["/Resources"]
        assert isinstance(resources, DictionaryObject)
        fonts = resources["/Font"]
        assert isinstance(fonts, DictionaryObject)
        old = fonts["/F0"].get_object()
        assert isinstance(old, DictionaryObject)
        old[NameObject("/Subtype")] = NameObject(font)
        old[NameObject("/Encoding")] = NameObject("/Identity-H")

    with pytest.raises(Rejected, match="font"):
        cleaned(PDF, made_pdf(change), same)


def test_scripts_without_text_are_refused() -> None:
    writer = pypdf.PdfWriter()
    writer.add_blank_page(100, 100)
    writer.root_object[NameObject("/OpenAction")] = script("alert")
    out = io.BytesIO()
    writer.write(out)
    with pytest.raises(Rejected, match="scripts"):
        cleaned(PDF, out.getvalue(), same)


def test_an_encrypted_pdf_is_refused() -> None:
    writer = pypdf.PdfWriter(clone_from=io.BytesIO(made_pdf()))
    writer.encrypt("secret", algorithm="RC4-128")
    out = io.BytesIO()
    writer.write(out)
    with pytest.raises(Rejected, match="encrypted"):
        cleaned(PDF, out.getvalue(), same)


def test_a_form_is_refused() -> None:
    def change(writer: pypdf.PdfWriter) -> None:
        form = DictionaryObject({NameObject("/XFA"): NameObject("/x")})
        writer.root_object[NameObject("/AcroForm")] = writer._add_object(form)  # noqa: SLF001

    with pytest.raises(Rejected, match="form"):
        cleaned(PDF, made_pdf(change), same)


@pytest.mark.parametrize(
    "line", ["Müller ß", "Łódź Żółć", "Ελένη Люк", "山田太郎 홍길동 王小东", "a (b) \\ c )", "\U00020bb7田"]
)
def test_any_script_comes_through(line: str) -> None:
    assert pdf_text(cleaned(PDF, written([[line]]), same)) == [[line]]


def test_more_letters_than_one_font_holds_come_through() -> None:
    lines = ["".join(map(chr, range(start, start + 50))) for start in range(0x4E00, 0x4E00 + 1000, 50)]
    assert pdf_text(cleaned(PDF, written([lines]), same)) == [lines]


def test_a_page_of_many_lines_stays_one_page() -> None:
    lines = [f"line {number}" for number in range(200)]
    assert pdf_text(cleaned(PDF, written([lines]), same)) == [lines]


@given(
    st.lists(
        st.lists(
            st.text(st.characters(min_codepoint=32, exclude_categories=["C", "Z", "M"]), min_size=1, max_size=30),
            max_size=5,
        ),
        max_size=3,
    )
)
def test_any_lines_make_a_pdf_that_reads_back(pages: list[list[str]]) -> None:
    assert len(pypdf.PdfReader(io.BytesIO(written(pages)), strict=True).pages) == max(1, len(pages))
    text = ["".join("".join(lines).split()) for lines in pdf_text(written(pages))]
    assert text == (["".join(page) for page in pages] or [""])


def test_poppler_reads_the_same(tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(written([["Müller 山田 Ελ", "(second)"], []]))
    done = subprocess.run(["pdftotext", tmp_path / "a.pdf", "-"], capture_output=True, check=True, timeout=30)
    assert done.stdout.decode().split() == ["Müller", "山田", "Ελ", "(second)"]
    assert not done.stderr


def cda(body: str, header: str = "") -> bytes:
    return (
        f'<?xml version="1.0"?><ClinicalDocument xmlns="urn:hl7-org:v3"><title>{MARKER}</title>{header}'
        f"<recordTarget><patientRole><patient><name>{MARKER}</name></patient></patientRole></recordTarget>"
        f"<component>{body}</component></ClinicalDocument>"
    ).encode()


SECTION = (
    "<structuredBody><component><section><code code='1'/><title>Findings</title><text><paragraph>Lung "
    f"<content ID='{MARKER}'>clear</content> &lt;5 mm</paragraph><list><item>{MARKER} seen</item><item>Second</item>"
    "</list><table><tr><td>a</td><td>b</td></tr></table>tail</text>"
    f"<entry><observation><text>{MARKER} entry</text></observation></entry>"
    "<component><section><title>Inner</title><text>inner<br/>text</text></section></component>"
    "</section></component></structuredBody>"
)


def read_cda(data: bytes) -> list[tuple[str | None, list[str | None]]]:
    root = ET.fromstring(data)  # noqa: S314  # our own output
    return [
        (s.findtext(f"{_V3}title"), [p.text for p in s.iter(f"{_V3}paragraph")]) for s in root.iter(f"{_V3}section")
    ]


def test_a_cda_keeps_its_narrative_and_nothing_else() -> None:
    new = cleaned(CDA, cda(SECTION), without_marker)
    assert MARKER.encode() not in new
    assert b"entry" not in new
    assert read_cda(new) == [
        ("Findings", ["Lung clear <5 mm", "seen", "Second", "a", "b", "tail"]),
        ("Inner", ["inner", "text"]),
    ]


def test_a_cda_whose_text_is_gone_keeps_its_sections() -> None:
    new = cleaned("text/XML ", cda(SECTION) + b"\x00", lambda _: "")
    assert [len(lines) for _, lines in read_cda(new)] == [6, 2]
    assert cleaned(CDA, new, same) == cleaned(CDA, cleaned(CDA, new, same), same)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"not xml", "not readable"),
        (b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', "document type"),
        (b'<!DOCTYPE a SYSTEM "http://localhost/x.dtd"><a/>', "document type"),
        (b"<svg/>", "another kind"),
        (cda("<nonXMLBody><text>JVBERi0=</text></nonXMLBody>"), "another kind"),
        (cda("<structuredBody/>"), "no sections"),
        (b"<ClinicalDocument>" + b"<a>" * 200 + b"</a>" * 200 + b"</ClinicalDocument>", "nested"),
        (b'<?xml version="1.0" encoding="klingon"?><ClinicalDocument/>', "not readable"),
    ],
)
def test_a_dangerous_or_other_cda_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(Rejected, match=reason):
        cleaned(CDA, data, same)


@pytest.mark.parametrize("mime", ["model/stl", "model/obj", "model/mtl", "application/zip", "", "text/plain"])
def test_a_kind_without_text_is_refused(mime: str) -> None:
    with pytest.raises(Rejected, match="kind"):
        cleaned(mime, b"", same)


def test_no_reason_holds_a_value() -> None:
    with pytest.raises(Rejected) as caught:
        cleaned(PDF, MARKER.encode(), same)
    assert MARKER not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_dummy_is_a_valid_document_of_its_kind() -> None:
    assert pdf_text(dummy("application/pdf")) == [[DUMMY_TEXT]]
    assert read_cda(dummy("text/XML")) == [("", [DUMMY_TEXT])]
    assert len(dummy("model/stl")) == 84
    assert dummy("model/obj").startswith(b"o ")
    assert dummy("model/mtl").startswith(b"newmtl ")
    assert dummy("what") == DUMMY_TEXT.encode()
