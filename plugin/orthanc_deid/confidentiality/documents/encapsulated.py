"""Encapsulated documents made anew from their cleaned text; nothing else of the original stays (PS3.3 A.45)."""

from collections.abc import Callable

from orthanc_deid.errors import Rejected

from . import cda, pdf

Clean = Callable[[str], str]

DUMMY_TEXT = "DEIDENTIFIED"
_LARGEST = 64 << 20  # bytes
_PDF, _CDA = "application/pdf", "text/xml"
_STL_HEADER = 80  # bytes, before the number of triangles


def cleaned(mime: str, data: bytes, clean: Clean) -> bytes:
    """Make a new document of the same kind that holds the original's text, line by line as `clean` answers it.

    `mime` is (0042,0012). Pictures, forms, scripts, attachments, metadata and a CDA's header and entries are not in
    the new one. A page or section whose text is gone stays, empty. (0042,0015) has to be set to the new length.

    Raises
    ------
    Rejected
        The kind has no text that could be cleaned, or not all that this document shows can be read as text.
    """
    clean_kind = _CLEANERS.get(_normal(mime))
    if clean_kind is None:
        raise Rejected("encapsulated document of a kind that cannot be cleaned")
    if len(data) > _LARGEST:
        raise Rejected("encapsulated document too large to be looked at")
    return clean_kind(data, clean)


def dummy(mime: str) -> bytes:
    """Answer the smallest valid document of a kind; of an unknown kind a word."""
    make = _DUMMIES.get(_normal(mime))
    return make() if make else DUMMY_TEXT.encode("ascii")


def _normal(mime: str) -> str:
    return mime.split(";", maxsplit=1)[0].strip("\x00 ").lower()


def _clean_pdf(data: bytes, clean: Clean) -> bytes:
    return pdf.written([[clean(line) for line in page] for page in pdf.pages(data)])


def _clean_cda(data: bytes, clean: Clean) -> bytes:
    sections = cda.sections(data)
    return cda.written([cda.Section(clean(s.title), [clean(line) for line in s.lines]) for s in sections])


_CLEANERS: dict[str, Callable[[bytes, Clean], bytes]] = {_PDF: _clean_pdf, _CDA: _clean_cda}
_DUMMIES: dict[str, Callable[[], bytes]] = {
    _PDF: lambda: pdf.written([[DUMMY_TEXT]]),
    _CDA: lambda: cda.written([cda.Section("", [DUMMY_TEXT])]),
    "model/stl": lambda: bytes(_STL_HEADER + 4),  # no triangle
    "model/obj": lambda: f"o {DUMMY_TEXT}\nv 0 0 0\n".encode("ascii"),
    "model/mtl": lambda: f"newmtl {DUMMY_TEXT}\n".encode("ascii"),
}
