"""Searches a finished file for what identified its source; knows nothing of the pass that made it.

Rules, so that a hit means something:

- UIDs are compared as whole dotted numbers, in every attribute.
- Names are whole words, without case and accents, in texts; ids also inside longer words from 6 characters on.
  Names and ids shorter than 4 characters count only as a whole value of a text.
- CS: whole values from 4 characters. DS and IS: whole values from 6 digits, as shorter numbers are measurements. A
  value that is longer than these VRs allow is a text.
- UI holds nothing but UIDs; DA, DT and TM are not searched for ids.
- Birth dates are searched as text in their usual notations, and as DA or DT only in the attributes for birth dates:
  a shifted date of a study may be equal to a birth date by chance and says nothing then.
- UN, OB and private values are searched as Latin-1 and UTF-8, the bytes of numbers for words from 6 characters on;
  pixel data is not.
"""

import re
import struct
import unicodedata
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO

from pydicom import Dataset, dcmread
from pydicom.dataelem import DataElement

from orthanc_deid.errors import Rejected

from .identifiers import BIRTH_DATES, Identifiers
from .plan import NUMBERS

_UID = re.compile(rb"[0-9]+(?:\.[0-9]+){2,}")
_WORD = re.compile(r"[^\W_]+")
_BYTE_WORD = re.compile(rb"[0-9A-Za-z\x80-\xfd]+")
_SHORT = 4  # characters; fewer count as whole values only
_INSIDE = 6  # characters from which an id is found inside a longer word, and a number in DS or IS
_LONGEST_CODE = 16  # characters of one value of CS or DS
_UNDEFINED = 0xFFFFFFFF

_TEXT = frozenset({"AE", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"})
_BYTES = frozenset({"OB", "UN"})
_PIXELS = frozenset({0x7FE00008, 0x7FE00009, 0x7FE00010})


@dataclass(frozen=True, slots=True)
class Finding:
    """Where something was found, items counted from 0, and its kind: name, id, birth date or uid; never the value."""

    tag: str
    kind: str


def search(data: bytes, known: Identifiers) -> list[Finding]:
    """Answer every attribute of an encoded file that holds something known.

    Raises
    ------
    Rejected
        The file cannot be read.
    """
    words = _words(known)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a library's warning may hold a value
        if not words.bytes.may_be_in(data):
            return []
        try:
            ds = dcmread(BytesIO(data), force=False)
            found = list(_search(ds, words, ""))
            return found + list(_search(ds.file_meta, words, ""))
        except Exception as error:  # noqa: BLE001  # pydicom raises many kinds; none may pass as "nothing found"
            raise Rejected(f"the result is not readable ({type(error).__name__})") from None


def folded(text: str) -> str:
    """Take away case and accents."""
    if not text.isascii():
        decomposed = unicodedata.normalize("NFKD", text)
        text = "".join(c for c in decomposed if not unicodedata.combining(c))
    return text.casefold()


class _Words:
    """Known texts, folded and sorted by how they are compared."""

    def __init__(self, known: Identifiers) -> None:
        names = {folded(name) for name in known.names}
        ids = {folded(text) for text in known.ids} - {""}
        # Two or three digits are anything.
        ids = {text for text in ids if len(text) >= _SHORT or not text.isdigit()}
        self.uids = known.uids
        self.whole = dict.fromkeys(names, "name") | dict.fromkeys(ids, "id")
        self.name_words = {tuple(_WORD.findall(name)) for name in names if len(name) >= _SHORT} - {()}
        self.id_words = {tuple(_WORD.findall(text)) for text in ids if len(text) >= _SHORT} - {()}
        # Scripts that write no blanks between words have no word boundaries to look for.
        self.inside = {text: "name" for text in names if max(text) > _LATIN_END}
        self.inside |= {text: "id" for text in ids if len(text) >= _INSIDE}
        self.dates = frozenset(notation for date in known.dates for notation in _notations(date))
        self.birth = known.dates
        self.bytes = _KnownBytes(self)


class _KnownBytes:
    """The fast look: whether anything known may stand in the bytes of a file before its pixels."""

    def __init__(self, words: _Words) -> None:
        self.uids = frozenset(uid.encode("ascii", "replace") for uid in words.uids)
        self.inside = [text.encode() for text in words.inside]
        texts = {*words.whole, *words.dates}
        self.words = frozenset(max(_BYTE_WORD.findall(text.encode()), key=len, default=b"") for text in texts) - {b""}
        self.always = any(mark in text for text in texts for mark in "\u00fe\u00ff")

    def may_be_in(self, data: bytes) -> bool:
        """Answer False only where a full search would find nothing."""
        if self.always or any(syntax in data[:_META] for syntax in _PARSED_SYNTAXES):
            return True
        head = data[: _pixels_at(data)]
        if _OTHER_CHARSET.search(head) or _meets(self.uids, _UID.findall(head)):
            return True
        lower = head.lower()
        found = set(_BYTE_WORD.findall(lower))
        if _meets(self.words, found) or any(text in lower for text in self.inside):
            return True
        return any(not word.isascii() and self._accented(word) for word in found)

    def _accented(self, word: bytes) -> bool:
        for encoding in ("utf-8", "latin-1"):
            text = folded(word.decode(encoding, "replace").replace("\ufffd", " ")).encode()
            if _meets(self.words, _BYTE_WORD.findall(text)) or any(inside in text for inside in self.inside):
                return True
        return False


def _meets(known: frozenset[bytes], found: Iterable[bytes]) -> bool:
    """Tell whether a word is known, also without its last byte: that may be the next attribute's group number."""
    return any(word in known or word[:-1] in known for word in found)


_META = 1024  # bytes in which the transfer syntax stands
_LATIN_END = "\u024f"
# Deflated, and big endian, where a length stands right before a value and reads as part of it.
_PARSED_SYNTAXES = (b"1.2.840.10008.1.2.1.99", b"1.2.840.10008.1.2.2")
# Any but ASCII, Latin-1 and UTF-8.
_OTHER_CHARSET = re.compile(rb"ISO_IR (?!6[^0-9]|100|192)|ISO 2022|GB18030|GBK|\x1b[$(]")


@lru_cache(maxsize=8)
def _words(known: Identifiers) -> _Words:
    return _Words(known)


def _notations(date: str) -> Iterator[str]:
    if len(date) == len("YYYYMMDD") and date.isdigit():
        y, m, d = date[:4], date[4:6], date[6:]
        yield date
        for mark in "-./":
            yield from (f"{y}{mark}{m}{mark}{d}", f"{d}{mark}{m}{mark}{y}", f"{m}{mark}{d}{mark}{y}")


def _pixels_at(data: bytes) -> int:
    """Answer where the value of the top-level Pixel Data begins that ends the file; the file's length if none does."""
    at = data.find(b"\xe0\x7f\x10\x00")
    while at >= 0:
        start = _value_if_last(data, at)
        if start:
            return start
        at = data.find(b"\xe0\x7f\x10\x00", at + 1)
    return len(data)


def _value_if_last(data: bytes, at: int) -> int:
    explicit = data[at + 4 : at + 6] in (b"OW", b"OB")
    start = at + (12 if explicit else 8)
    if start > len(data):
        return 0
    (length,) = struct.unpack_from("<I", data, start - 4)
    if length == _UNDEFINED:
        return start if _fragments_end(data, start) == len(data) else 0
    return start if start + length == len(data) else 0


def _fragments_end(data: bytes, at: int) -> int:
    """Answer the offset after the sequence delimiter of encapsulated pixel data, 0 where it is none."""
    while data[at : at + 4] == b"\xfe\xff\x00\xe0" and at + 8 <= len(data):
        at += 8 + int.from_bytes(data[at + 4 : at + 8], "little")
    return at + 8 if data[at : at + 4] == b"\xfe\xff\xdd\xe0" else 0


def _search(ds: Dataset, words: _Words, path: str) -> Iterator[Finding]:
    for tag in list(ds.keys()):
        raw, elem = ds.get_item(tag), ds[tag]
        where = f"{path}({elem.tag.group:04X},{elem.tag.element:04X})"
        if elem.VR == "SQ":
            for index, item in enumerate(elem.value):
                yield from _search(item, words, f"{where}[{index}]")
        elif elem.tag not in _PIXELS:
            kind = _in_number(raw.value, words) if elem.VR in NUMBERS - _BYTES else _kind(elem, words)
            if kind:
                yield Finding(where, kind)


def _kind(elem: DataElement, words: _Words) -> str | None:
    vr = str(elem.VR)
    if vr in _BYTES:
        return _in_texts(_byte_texts(elem.value), words)
    texts = [str(value).strip("\x00 ") for value in (elem.value if elem.VM > 1 else [elem.value or ""])]
    if vr == "UI":
        return "uid" if not words.uids.isdisjoint(texts) else None
    if elem.tag in BIRTH_DATES and not words.birth.isdisjoint(texts):
        return "birth date"
    if vr in ("CS", "DS", "IS") and max(map(len, texts)) <= _LONGEST_CODE:
        least = _SHORT if vr == "CS" else _INSIDE
        return next((words.whole[w] for t in texts if len(w := folded(t)) >= least and w in words.whole), None)
    return _in_texts(texts, words) if vr in _TEXT or vr in ("CS", "DS", "IS") else None


def _in_number(value: object, words: _Words) -> str | None:
    """Search the bytes of numbers for longer words: shorter ones are there by chance."""
    text = " ".join(_byte_texts(value))
    found = {word for word in _WORD.findall(folded(text)) if len(word) >= _INSIDE}
    return next((words.whole[word] for word in found if word in words.whole), None)


def _byte_texts(value: object) -> list[str]:
    data = value if isinstance(value, bytes) else b""
    return [data.decode("latin-1").strip("\x00 "), data.decode("utf-8", "replace").strip("\x00 ")]


def _in_texts(texts: list[str], words: _Words) -> str | None:
    return next((kind for text in texts if (kind := _in_text(text, words))), None)


def _in_text(text: str, words: _Words) -> str | None:
    plain = folded(text)
    if plain in words.whole:
        return words.whole[plain]
    if "." in plain and not words.uids.isdisjoint(match.decode() for match in _UID.findall(text.encode())):
        return "uid"
    if any(date in plain for date in words.dates):
        return "birth date"
    inside = next((kind for known, kind in words.inside.items() if known in plain), None)
    return inside or _word_kind(_WORD.findall(plain), words)


def _word_kind(found: list[str], words: _Words) -> str | None:
    if _has_any(found, words.name_words):
        return "name"
    return "id" if _has_any(found, words.id_words) else None


def _has_any(found: list[str], wanted: set[tuple[str, ...]]) -> bool:
    """Tell whether one of the wanted runs of words stands among those found."""
    present = set(found)
    return any(
        run[0] in present and any(tuple(found[i : i + len(run)]) == run for i in range(len(found))) for run in wanted
    )
