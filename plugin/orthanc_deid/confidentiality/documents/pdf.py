"""PDF documents: the text of each page, and a smallest document that holds nothing else (ISO 32000)."""

import re
import textwrap
import unicodedata
from collections.abc import Iterator
from io import BytesIO
from itertools import islice
from typing import TYPE_CHECKING, Any

from orthanc_deid.errors import Rejected

if TYPE_CHECKING:
    from pypdf import PageObject, PdfReader

_MOST_PAGES = 1000
_DEEPEST = 8  # forms in one another
# Operators that draw something which is no text: strokes, fills, shadings, pictures.
_DRAWS = frozenset({b"S", b"s", b"f", b"F", b"f*", b"B", b"B*", b"b", b"b*", b"sh", b"Do", b"BI", b"INLINE IMAGE"})
# What stands for a letter that the font does not tell: controls, private use, the replacement character, glyph names.
_UNTOLD = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f\ue000-\uf8ff\ufffd]|\\(cid:\\d+\\)")
_NUMBERED = re.compile(
    "^/(?!u[0-9A-F]{4})(?:[A-Za-z]{1,2}|cid|glyph|index)\\d+$"
)  # a glyph's number in place of a name


def pages(data: bytes) -> list[list[str]]:
    """Read the lines of each page.

    Raises
    ------
    Rejected
        It is no PDF, is encrypted, a form or a collection of files, or a page shows what cannot be read as text.
    """
    import logging

    import pypdf

    logging.getLogger("pypdf").setLevel(logging.CRITICAL + 1)  # it quotes what it reads
    try:
        reader = pypdf.PdfReader(BytesIO(data.rstrip(b"\x00")))
        return _read(reader)
    except Rejected:
        raise
    except Exception as error:  # noqa: BLE001  # pypdf raises many kinds for broken files, and says what it read
        raise Rejected(f"encapsulated PDF: not readable ({type(error).__name__})") from None


def _read(reader: "PdfReader") -> list[list[str]]:
    if reader.is_encrypted:
        raise Rejected("encapsulated PDF: encrypted")
    if len(reader.pages) > _MOST_PAGES:
        raise Rejected(f"encapsulated PDF: more than {_MOST_PAGES} pages")
    root: Any = reader.root_object
    if "/Collection" in root or _within(root, "/AcroForm"):
        raise Rejected("encapsulated PDF: a form or a collection of files")
    found = [_lines(page) for page in reader.pages]
    if not any(found) and not {"/OpenAction", "/AA", "/Names"}.isdisjoint(root):
        raise Rejected("encapsulated PDF: no text, but scripts or attachments")
    return found


def _lines(page: "PageObject") -> list[str]:
    for font in _fonts(page.get("/Resources"), 0):
        if not _tells_letters(font):
            raise Rejected("encapsulated PDF: a font does not say which letters it shows")
    text = page.extract_text()
    if _UNTOLD.search(text):
        raise Rejected("encapsulated PDF: letters that cannot be read")
    lines = [" ".join(line.split()) for line in text.splitlines()]
    lines = [line for line in lines if line]
    if not lines and _draws(page):
        raise Rejected("encapsulated PDF: a page shows something that is no text")
    return lines


def _draws(page: "PageObject") -> bool:
    content = page.get_contents()
    return content is not None and any(operator in _DRAWS for _, operator in content.operations)


def _fonts(resources: Any, depth: int) -> Iterator[Any]:  # noqa: ANN401  # pypdf's objects are dicts of anything
    """Find the fonts of a page and of the forms drawn on it."""
    if resources is None:
        return
    if depth > _DEEPEST:
        raise Rejected("encapsulated PDF: forms nested too deeply")
    resources = resources.get_object()
    for font in _within(resources, "/Font").values():
        yield font.get_object()
    for drawn in _within(resources, "/XObject").values():
        yield from _fonts(drawn.get_object().get("/Resources"), depth + 1)


def _within(holder: Any, key: str) -> Any:  # noqa: ANN401
    """Answer an entry of a dictionary of the PDF, an empty one where it is missing."""
    return holder[key].get_object() if key in holder else {}


def _tells_letters(font: Any) -> bool:  # noqa: ANN401
    """Tell whether codes have meanings: by a map to Unicode, or by an encoding of letters that have names."""
    if "/ToUnicode" in font:
        return True
    encoding = _within(font, "/Encoding") or ""
    if isinstance(encoding, str):
        embedded = any(key.startswith("/FontFile") for key in _within(font, "/FontDescriptor"))
        return (
            font.get("/Subtype") != "/Type3" and not encoding.startswith("/Identity") and bool(encoding or not embedded)
        )
    return not any(isinstance(name, str) and _NUMBERED.match(name) for name in encoding.get("/Differences", ()))


def written(found: list[list[str]]) -> bytes:
    """Write a document of the pages' lines; any character of Unicode can be read back, ASCII stands in clear."""
    letters = sorted({char for page in found for line in page for char in line if _western(char) is None})
    fonts = [[], *(letters[at : at + _UPPER] for at in range(0, len(letters), _UPPER))]
    codes = {char: (number, _FIRST + at) for number, font in enumerate(fonts) for at, char in enumerate(font)}
    objects = [b"<</Type/Catalog/Pages 2 0 R>>", b""]
    names = []
    for number, font in enumerate(fonts):
        names.append(f"/F{number} {len(objects) + 1} 0 R")
        objects += _font(font, len(objects) + 1)
    resources = f"<</Font<<{''.join(names)}>>>>"
    kids = []
    for page in found or [[]]:
        objects.append(_stream(_content(page, codes)))
        kids.append(f"{len(objects) + 1} 0 R")
        objects.append(_PAGE.format(resources=resources, content=len(objects)).encode("ascii"))
    objects[1] = f"<</Type/Pages/Count {len(kids)}/Kids[{' '.join(kids)}]>>".encode("ascii")
    return _file(objects)


def _western(char: str) -> int | None:
    """Answer the code of a character in WinAnsiEncoding, which every reader can show."""
    code = char.encode("cp1252", "ignore")
    return max(code[0], _SPACE) if code and char not in _DOUBTFUL else None


_DOUBTFUL = "\xa0\xad"  # readers take them for a space and a hyphen
_SPACE = 0x20
_UPPER, _FIRST = 128, 128  # codes of a font above ASCII, and the first of them
_PAGE = "<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Resources{resources}/Contents {content} 0 R>>"  # A4, points
_TOP, _LEFT, _HIGH = 800, 40, 760  # points
_LEADING = 12.0  # points from line to line, less where a page has many
_COLUMNS = 100  # characters that fit a line


def _font(letters: list[str], number: int) -> list[bytes]:
    """Make the font of Western letters, or one of others with the map of its codes to Unicode after it."""
    if not letters:
        return [b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica/Encoding/WinAnsiEncoding>>"]
    glyphs = "".join("/" + _glyph(char) for char in letters)
    widths = " ".join(str(_WIDE if ord(char) > _FIRST_WIDE else _NARROW + _MORE * char.isupper()) for char in letters)
    font = (
        f"<</Type/Font/Subtype/Type1/BaseFont/Helvetica/Encoding<</Type/Encoding/Differences[{_FIRST}{glyphs}]>>"
        f"/FirstChar {_FIRST}/LastChar {_FIRST + len(letters) - 1}/Widths[{widths}]/ToUnicode {number + 1} 0 R>>"
    )
    return [font.encode("ascii"), _stream(_to_unicode(letters))]


def _glyph(char: str) -> str:
    """Answer the name by which the fonts that readers put in place of Helvetica have a letter (Adobe Glyph List)."""
    code = ord(char)
    for first, afii in _CYRILLIC:
        if first <= code < first + 32:
            return f"afii{afii + code - first + (code > first + 5)}"  # after the sixth letter stands IO
    match = _LATIN.match(unicodedata.name(char, ""))
    mark = _MARKS.get(match[3]) if match else None
    if match and mark:
        return (match[2] if match[1] == "CAPITAL" else match[2].lower()) + mark
    return f"u{code:04X}" if code > _BMP else f"uni{code:04X}"


_CYRILLIC = ((0x410, 10017), (0x430, 10065))
_LATIN = re.compile("^LATIN (CAPITAL|SMALL) LETTER ([A-Z]) WITH (.+)$")
_MARKS = {
    "ACUTE": "acute", "BREVE": "breve", "CARON": "caron", "CEDILLA": "cedilla", "COMMA BELOW": "commaaccent",
    "DOT ABOVE": "dotaccent", "DOUBLE ACUTE": "hungarumlaut", "MACRON": "macron", "OGONEK": "ogonek",
    "RING ABOVE": "ring", "STROKE": "slash",
}  # fmt: skip
_BMP = 0xFFFF
_NARROW, _MORE, _WIDE = 500, 150, 1000  # thousandths of the size of the font
_FIRST_WIDE = 0x1100  # Hangul and most that follows is as wide as high
_MOST_ROWS = 100  # of one block of a CMap


def _to_unicode(letters: list[str]) -> bytes:
    rows = (f"<{_FIRST + at:02X}><{char.encode('utf-16-be').hex()}>\n" for at, char in enumerate(letters))
    blocks = ""
    while block := list(islice(rows, _MOST_ROWS)):
        blocks += f"{len(block)} beginbfchar\n{''.join(block)}endbfchar\n"
    return (
        "/CIDInit/ProcSet findresource begin 12 dict begin begincmap/CMapName/D def/CMapType 2 def\n"
        "1 begincodespacerange\n<00><FF>\nendcodespacerange\n"
        f"{blocks}endcmap CMapName currentdict/CMap defineresource pop end end"
    ).encode("ascii")


def _content(lines: list[str], codes: dict[str, tuple[int, int]]) -> bytes:
    rows = [row for line in lines for row in textwrap.wrap(line, _COLUMNS) or [""]]
    leading = min(_LEADING, _HIGH / max(1, len(rows)))
    size = leading * 0.8
    shown = b"T*\n".join(_row(row, codes, size) for row in rows)
    return f"BT {leading:.2f} TL {_LEFT} {_TOP} Td\n".encode("ascii") + shown + b"ET"


def _row(text: str, codes: dict[str, tuple[int, int]], size: float) -> bytes:
    """Show a line: one piece for each change of font."""
    pieces: list[tuple[int, bytearray]] = [(0, bytearray())]
    for char in text:
        western = _western(char)
        number, code = codes[char] if western is None else (0, western)
        if number != pieces[-1][0]:
            pieces.append((number, bytearray()))
        pieces[-1][1].extend(b"\\" * (char in "()\\") + bytes([code]))
    return b"".join(b"/F%d %.2f Tf(%s)Tj\n" % (number, size, bytes(shown)) for number, shown in pieces)


def _stream(content: bytes) -> bytes:
    return b"<</Length %d>>stream\n%s\nendstream" % (len(content), content)


def _file(objects: list[bytes]) -> bytes:
    """Write header, numbered objects, their table and the trailer."""
    out = bytearray(b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n")
    table = b"0000000000 65535 f \n"
    for number, content in enumerate(objects, 1):
        table += b"%010d 00000 n \n" % len(out)
        out += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    size, start = len(objects) + 1, len(out)
    out += b"xref\n0 %d\n%strailer\n<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n" % (size, table, size, start)
    return bytes(out)
