"""Texts in the character sets that their dataset declares, and in those it should have declared (PS3.3 C.12.1.1.2)."""

import re
import warnings
from collections.abc import Iterator

from pydicom import Dataset
from pydicom.charset import STAND_ALONE_ENCODINGS, decode_bytes, python_encoding
from pydicom.tag import BaseTag

Encodings = tuple[str, ...]  # Python's names; the first is in force where no escape sequence says otherwise
DEFAULT: Encodings = ("ascii",)
_TAG = BaseTag(0x00080005)
_ESC = b"\x1b"
_DELIMITERS = set(b"\r\n\t\f\\^=")
_ASCII_TERMS = frozenset({"", "ISO_IR 6", "ISO 2022 IR 6"})
# Terms that are no part of the standard, as scanners write them.
_MISSPELT = re.compile(r"^(ISO)[ _-]?(IR|2022)[ _-]?(?:(IR)[ _-]?)?(\d+)$", re.IGNORECASE)
_NICKNAMES = {"UTF-8": "ISO_IR 192", "UTF8": "ISO_IR 192", "LATIN1": "ISO_IR 100", "GB2312": "GB18030"}

# Escape sequences of PS3.3 Tables C.12-3 and C.12-4 -> Python's name of the set that they call.
_G0 = {b"$B": "iso2022_jp", b"$@": "iso2022_jp", b"$(D": "iso2022_jp_2"}  # two bytes of seven bits
_G1 = {
    b"-A": "latin_1", b"-B": "iso8859_2", b"-C": "iso8859_3", b"-D": "iso8859_4", b"-F": "iso_ir_126",
    b"-G": "iso_ir_127", b"-H": "iso_ir_138", b"-L": "iso_ir_144", b"-M": "iso_ir_148", b"-T": "iso_ir_166",
    b")I": "shift_jis", b"$)C": "euc_kr", b"$)A": "iso_ir_58",
}  # fmt: skip
_ROMAN = frozenset({b"(B", b"(J"})  # ASCII, and JIS X 0201's, which differs from it in two signs
_ESCAPES = {name: code for code, name in (_G1 | _G0).items() if code != b"$@"}
_WIDE = frozenset({"iso2022_jp", "iso2022_jp_2", "euc_kr", "iso_ir_58", "GB2312"})  # no set to begin with
_CALL = re.compile(rb"\x1b([$(),\-.*+]{1,2}[@-~])")
_RESETS = {"PN": "\\^=", "LT": "\r\n\t\f", "ST": "\r\n\t\f", "UT": "\r\n\t\f"}  # PS3.5 6.1.2.5.3
_RESETS_OF_OTHERS = "\\\r\n\t\f"
_AT_ANY_RESET = re.compile("([\r\n\t\f\\\\^=])")
_OF_ANY_SET = frozenset({"LO", "LT", "PN", "SH", "ST", "UC", "UN", "UT"})
# Alphabets in which text that is also valid UTF-8 beyond ASCII is UTF-8: the letter pairs it needs do not occur.
_UNLIKE_UTF8 = frozenset(
    {
        "ascii", "latin_1", "iso8859_2", "iso8859_3", "iso8859_4",
        "iso_ir_126", "iso_ir_127", "iso_ir_138", "iso_ir_144", "iso_ir_148",
    }
)  # fmt: skip
_IDEOGRAPHIC = 0x0E00  # from Thai on; three bytes of UTF-8
_TEXT_PER_CONTROL = 8  # characters; fewer, and it is data
_CONTROLS = re.compile("[\x00-\x08\x0b\x0e-\x1f\x7f\ufffd]")


def declared(ds: Dataset, inherited: Encodings) -> Encodings:
    """Answer the encodings of a dataset or item.

    In place: a term that is misspelt is put right, and a declaration that names an unknown set is deleted.
    """
    if _TAG not in ds:
        return inherited
    value = ds.get_item(_TAG).value
    text = value.decode("latin-1") if isinstance(value, bytes) else value
    written = [str(term).strip("\x00 ") for term in (text.split("\\") if isinstance(text, str) else text or ())]
    terms = [_standard(term) for term in written]
    if any(term not in python_encoding for term in terms):
        del ds[_TAG]
        return DEFAULT
    if terms != written:
        ds.add_new(_TAG, "CS", terms)
    return _encodings(terms)


def _standard(term: str) -> str:
    """Answer the standard's spelling of a term, itself where it cannot be guessed."""
    if term in python_encoding:
        return term
    match = _MISSPELT.match(term)
    if not match:
        return _NICKNAMES.get(term.upper(), term)
    return f"ISO 2022 IR {match[4]}" if match[2] == "2022" else f"ISO_IR {match[4]}"


def _encodings(terms: list[str]) -> Encodings:
    """Answer Python's names; a set that allows no escape sequences stands alone or not at all."""
    if terms and terms[0] in STAND_ALONE_ENCODINGS:
        return (python_encoding[terms[0]],)
    names = [
        "ascii" if term in _ASCII_TERMS else python_encoding[term]
        for term in terms
        if term not in STAND_ALONE_ENCODINGS
    ]
    if len(names) == 1 and names[0] in _WIDE:
        return ("ascii", names[0])
    return tuple(dict.fromkeys(names)) or DEFAULT


def decodes(value: bytes, encodings: Encodings) -> bool:
    """Tell whether every byte means something in the encodings."""
    try:
        if len(encodings) == 1:
            value.decode(encodings[0])
            return _ESC not in value
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # pydicom warns where it has to guess
            return "\ufffd" not in decode_bytes(value, list(encodings), _DELIMITERS)
    except (ValueError, LookupError, UserWarning):
        return False


def decoded(value: bytes, encodings: Encodings, vr: str) -> str | None:
    """Answer the text that a person would see, whatever is declared; None where the bytes are no text.

    Padding with NUL is left out, several values stay separated by a backslash, a stray control character becomes a
    blank. First comes UTF-8 where it can be nothing else, then what is declared, the declared sets without their
    escape sequences, UTF-8, and Western Europe.
    """
    value = value.rstrip(b"\x00")
    if value.isascii() and _ESC not in value:
        return _readable(value.decode("ascii"))
    readings = list(_readings(value, encodings, vr))
    clean = (text for text in readings if not _CONTROLS.search(text))
    return next(clean, None) or _readable(readings[0])


def _readable(text: str) -> str | None:
    blanked, count = _CONTROLS.subn(" ", text)
    return blanked if count * _TEXT_PER_CONTROL <= len(text) else None


def _readings(value: bytes, encodings: Encodings, vr: str) -> Iterator[str]:
    if encodings != ("UTF8",) and _is_utf8(value, encodings[0]):
        yield value.decode("utf-8")
    if _ESC in value:
        text = _with_escapes(value, encodings[0], vr)
        if text is not None:
            yield text
    for name in (*encodings, "utf-8", "cp1252", "latin_1"):
        try:
            yield value.decode(name)
        except ValueError:
            continue


def _is_utf8(value: bytes, declared_set: str) -> bool:
    """Tell whether the bytes are UTF-8 in truth; those of some East Asian sets may be so by chance."""
    try:
        others = [char for char in value.decode("utf-8") if not char.isascii()]
    except ValueError:
        return False
    if declared_set in _UNLIKE_UTF8:
        return bool(others)
    return len(others) > 1 and all(ord(char) >= _IDEOGRAPHIC and char.isalpha() for char in others)


def _with_escapes(value: bytes, first: str, vr: str) -> str | None:
    """Decode ISO 2022 with every escape sequence of the standard, declared or not."""
    parts = _CALL.split(value)  # text, escape, text, escape, text
    texts = []
    try:
        texts.append(_without_escapes(parts[0], first))
        for code, part in zip(parts[1::2], parts[2::2], strict=True):
            texts.append(_after_escape(code, part, first, vr))
    except (KeyError, ValueError):
        return None
    return "".join(texts)


def _after_escape(code: bytes, part: bytes, first: str, vr: str) -> str:
    if code in _G0:
        return (_ESC + code + part + _ESC + b"(B").decode(_G0[code])
    if code in _ROMAN:
        return _without_escapes(part, first)
    within, delimiter, rest = _at_reset(part, vr)
    text = within.decode(_G1[code])
    # A writer that does not begin anew at a delimiter goes on in the set it called.
    return text + _without_escapes(delimiter + rest, first, _G1[code])


def _without_escapes(part: bytes, *names: str) -> str:
    for name in (*names, "utf-8", "cp1252"):
        try:
            return part.decode(name)
        except ValueError:
            continue
    return part.decode("latin_1")


def _at_reset(part: bytes, vr: str) -> tuple[bytes, bytes, bytes]:
    resets = _RESETS.get(vr, _RESETS_OF_OTHERS)
    found = re.search(b"[" + re.escape(resets.encode("ascii")) + b"]", part)
    return (part[: found.start()], found[0], part[found.end() :]) if found else (part, b"", b"")


def ascii_only(value: bytes) -> bytes:
    """Put a question mark for each byte outside the default repertoire and for each escape."""
    return value.decode("ascii", "replace").replace("\ufffd", "?").replace("\x1b", "?").encode("ascii")


def encoded(text: str, encodings: Encodings, vr: str = "LO") -> bytes:
    """Encode a text as a dataset of the encodings holds it; a character that they lack becomes a question mark.

    VRs to which (0008,0005) does not apply get the default repertoire (PS3.5 6.1.2.2).
    """
    text = text.replace("\x1b", "?")
    if text.isascii() or vr not in _OF_ANY_SET:
        return text.encode("ascii", "replace")
    if len(encodings) == 1:
        return b"".join(_sign(char, encodings[0]) or b"?" for char in text)
    # Readers do not agree at which of these signs of which VR a text begins anew, so it does at each.
    return b"".join(_escaped(part, encodings) for part in _AT_ANY_RESET.split(text))


def _escaped(part: str, encodings: Encodings) -> bytes:
    """Encode what stands between two delimiters, calling sets by their escape sequences."""
    out: list[bytes] = []
    right, wide = encodings[0], ""  # what bytes above 0x7F mean; the two-byte set in place of ASCII, if any
    roman = b"(J" if encodings[0] == "shift_jis" else b"(B"
    for char in part:
        name, sign = _choice(char, (wide, right, *encodings) if wide else (right, *encodings))
        if wide and name != wide:
            out.append(_ESC + roman)
            wide = ""
        if name and name not in (right, wide):
            out.append(_ESC + _ESCAPES[name])
            right, wide = (right, name) if _ESCAPES[name] in _G0 else (name, wide)
        out.append(sign)
    if wide:
        out.append(_ESC + roman)
    if right != encodings[0] and encodings[0] in _ESCAPES:
        out.append(_ESC + _ESCAPES[encodings[0]])
    return b"".join(out)


def _choice(char: str, names: Encodings) -> tuple[str, bytes]:
    """Answer the first set that has a character, and its bytes; no name for ASCII."""
    if not char.isascii():
        for name in names:
            sign = _sign(char, name)
            if sign and name in _ESCAPES:
                return name, sign
    return "", char.encode("ascii", "replace")


def _sign(char: str, name: str) -> bytes:
    """Answer a character's bytes in a set, without escape sequences; nothing where the set lacks it."""
    try:
        sign = char.encode(name)
    except ValueError:
        return b""
    if char.isascii() or name not in _ESCAPES:
        return sign
    code = _ESC + _ESCAPES[name]
    if _ESCAPES[name] in _G0:
        return sign[len(code) : -len(_ESC + b"(B")] if sign.startswith(code) else b""
    size = 2 if name in _WIDE else 1
    return sign if len(sign) == size and min(sign) >= _RIGHT else b""


_RIGHT = 0xA0  # the first byte of the right half
