"""Searches a finished file for what identified its source; knows nothing of the pass that made it.

What counts as a hit in a text is said in matcher.py, which also the cleaner of texts obeys. Besides:

- UIDs are compared as whole dotted numbers, in every attribute.
- CS: whole values from 4 characters that are no defined term of the standard. DS and IS: whole values from 6 digits,
  as shorter numbers are measurements. A value that is longer than these VRs allow is a text.
- UI holds nothing but UIDs; DA, DT and TM are not searched for ids.
- Birth dates are searched as text in their usual notations, and as DA or DT only in the attributes for birth dates:
  a shifted date of a study may be equal to a birth date by chance and says nothing then.
- UN, OB and private values are searched as Latin-1 and UTF-8, the bytes of numbers for words from 6 characters on;
  pixel data is not.
- The meanings of the standard's own codes for what was done (CID 7050) name nobody, whatever the patient is called.
"""

import re
import struct
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from pydicom import Dataset
from pydicom.dataelem import DataElement

from orthanc_deid.errors import Rejected

from . import encode
from .elements import end_of_fragments
from .identifiers import Identifiers
from .standard.attributes import BIRTH_DATES, NUMBERS, PIXEL_UNITS, UNITS_OF_PIXELS
from .standard.options import BASIC_CODE, Option, code
from .texts import vocabulary
from .texts.matcher import INSIDE, Matcher, folded, key, matcher, notations

_LONGEST_CODE = 16  # characters of one value of CS or DS
_UNDEFINED = 0xFFFFFFFF
_DELIMITER = 8  # bytes

_TEXT = frozenset({"AE", "AS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"})
_BYTES = frozenset({"OB", "UN"})
_PIXELS = frozenset({0x7FE00008, 0x7FE00009, 0x7FE00010})
_OUR_MEANINGS = frozenset({BASIC_CODE[1], *(code(option)[1] for option in Option)})


@dataclass(frozen=True, slots=True)
class Finding:
    """Where something was found, items counted from 0, and its kind as in matcher.Span; never the value."""

    tag: str
    kind: str


def search(data: bytes, known: Identifiers) -> list[Finding]:
    """Answer every attribute of an encoded file that holds something known.

    Raises
    ------
    Rejected
        The file cannot be read.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a library's warning may hold a value
        # The UIDs differ from instance to instance, all else is the study's: its preparation is remembered.
        if not _known_bytes(known.without("uids")).may_be_in(data, known.uids):
            return []
        wanted = matcher(known)
        try:
            ds = encode.decode(data)
            found = list(_search(ds, wanted, ""))
            return found + list(_search(ds.file_meta, wanted, ""))
        except Exception as error:  # noqa: BLE001  # pydicom raises many kinds; none may pass as "nothing found"
            raise Rejected(f"the result is not readable ({type(error).__name__})") from None


@lru_cache(maxsize=8)
def _known_bytes(known: Identifiers) -> "_KnownBytes":
    return _KnownBytes(matcher(known))


class _KnownBytes:
    """The fast look: whether anything known may stand in the bytes of a file before its pixels."""

    def __init__(self, known: Matcher) -> None:
        self.words = sorted(
            {_rarest(run).encode() for run in (*known.runs, *known.id_runs)} | {text.encode() for text in known.inside}
        )
        self.joined = sorted(text.encode() for text in known.joined)
        self.whole = frozenset(max(_BYTE_WORD.findall(text.encode()), key=len, default=b"") for text in known.whole)
        self.whole -= {b""}
        self.birth = sorted(date.encode("ascii", "replace") for date in known.birth)
        self.years = {date[:4].encode("ascii", "replace") for date in known.birth}
        self.dates = [date.encode() for birth in known.birth for date in notations(birth)]
        texts = (*known.whole, *known.inside)
        self.always = any(mark in text for text in texts for mark in "\u00fe\u00ff")

    def may_be_in(self, data: bytes, uids: frozenset[str]) -> bool:
        """Answer False only where a full search would find nothing."""
        if self.always or any(syntax in data[:_META] for syntax in _PARSED_SYNTAXES):
            return True
        head = data[: _pixels_at(data)]
        old = frozenset(uid.encode("ascii", "replace") for uid in uids)
        if _OTHER_CHARSET.search(head) or _meets(old, _UID.findall(head)):
            return True
        lower = head.lower()
        found = set(_BYTE_WORD.findall(lower))
        if _meets(self.whole, found) or self._dates_in(lower) or self._joined_in(lower):
            return True
        return self._words_in(_canonical(head)) or self._accented([word for word in found if not word.isascii()])

    def _dates_in(self, lower: bytes) -> bool:
        if any(date in lower for date in self.birth):
            return True
        if not any(year in lower for year in self.years):
            return False
        return bool(_ACCENTED_MONTH.search(lower)) or any(date in lower for date in self.dates)

    def _joined_in(self, lower: bytes) -> bool:
        compact = lower.translate(None, _NOT_ALNUM)
        return any(text in compact for text in self.joined)

    def _words_in(self, head: bytes) -> bool:
        lower = head.lower()
        return any(_stands(head, lower, word) for word in self.words)

    def _accented(self, found: list[bytes]) -> bool:
        joined = b" ".join(found)
        latin = joined.replace(b"\xdf", b"ss").decode("latin-1").translate(_LATIN)
        for text in (latin, joined.decode("utf-8", "ignore")):
            plain = key(folded(text)).encode()
            if _meets(self.whole, _BYTE_WORD.findall(plain)) or any(word in plain for word in self.words):
                return True
        return False


def _rarest(run: tuple[str, ...]) -> str:
    """Answer the word of a run that is most of its own: clinical ones are in every file."""
    return max(run, key=lambda word: (vocabulary.is_telling(word), len(word)))


def _meets(known: frozenset[bytes], found: Iterable[bytes]) -> bool:
    """Tell whether a word is known, also without its last byte: that may be the next attribute's group number."""
    return any(word in known or word[:-1] in known for word in found)


def _canonical(head: bytes) -> bytes:
    """Write umlauts of two letters as one, as matcher.key does."""
    for pair in (b"ae", b"oe", b"ue"):
        for form in (pair, pair.upper(), pair.title()):
            head = head.replace(form, form[:1])
    return head


def _stands(head: bytes, lower: bytes, word: bytes) -> bool:
    """Tell whether a word stands somewhere with an end on both sides; `lower` is the head in lower case."""
    at = lower.find(word)
    while at >= 0:
        if _begins(head, at) and _ends(head, at + len(word)):
            return True
        at = lower.find(word, at + 1)
    return False


def _begins(head: bytes, at: int) -> bool:
    before, first, second = head[at - 1 : at], head[at : at + 1], head[at + 1 : at + 2]
    if not (before.isalpha() if first.isalpha() else before.isdigit()):
        return True
    return first.isupper() and (before.islower() or second.islower())


def _ends(head: bytes, at: int) -> bool:
    """Tell whether a word ends here; one byte more may be the next attribute's group number."""
    last, after, beyond = head[at - 1 : at], head[at : at + 1], head[at + 1 : at + 2]
    if not (after.isalpha() if last.isalpha() else after.isdigit()) or not beyond.isalnum():
        return True
    return (after.isupper() and (last.islower() or beyond.islower())) or (last.isupper() and after.islower())


_UID = re.compile(rb"(?<![0-9])[0-9]+(?:\.[0-9]+){2,}")
_BYTE_WORD = re.compile(rb"[0-9A-Za-z\x80-\xfd]+")
_NOT_ALNUM = bytes(set(range(128)) - set(b"0123456789abcdefghijklmnopqrstuvwxyz"))
_ACCENTED_MONTH = re.compile(rb"m[\x80-\xff]{1,2}rz|f[\x80-\xff]{1,2}vr|ao[\x80-\xff]{1,2}t|d[\x80-\xff]{1,2}c")
_LATIN = {code: folded(chr(code)) for code in range(0xC0, 0x100)}
_META = 1024  # bytes in which the transfer syntax stands
# Deflated, and big endian, where a length stands right before a value and reads as part of it.
_PARSED_SYNTAXES = (b"1.2.840.10008.1.2.1.99", b"1.2.840.10008.1.2.2")
# Any but ASCII, Latin-1 and UTF-8.
_OTHER_CHARSET = re.compile(rb"ISO_IR (?!6[^0-9]|100|192)|ISO 2022|GB18030|GBK|\x1b[$(]")


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
        return start if end_of_fragments(data, start) == len(data) - _DELIMITER else 0
    return start if start + length == len(data) else 0


def _search(ds: Dataset, known: Matcher, path: str) -> Iterator[Finding]:
    for tag in list(ds.keys()):
        raw, elem = ds.get_item(tag), ds[tag]
        where = f"{path}({elem.tag.group:04X},{elem.tag.element:04X})"
        if elem.VR == "SQ":
            for index, item in enumerate(elem.value):
                yield from _search(item, known, f"{where}[{index}]")
        elif elem.tag not in _PIXELS:
            as_number = " " in elem.VR or elem.VR in NUMBERS - _BYTES
            kind = _in_number(raw.value, known) if as_number else _kind(elem, known)
            if kind:
                yield Finding(where, kind)


def _kind(elem: DataElement, known: Matcher) -> str | None:
    vr = str(elem.VR)
    if vr in _BYTES:
        return _in_texts(_byte_texts(elem.value), known)
    texts = [str(value).strip("\x00 ") for value in (elem.value if elem.VM > 1 else [elem.value or ""])]
    if vr == "UI":
        return "uid" if not known.uids.isdisjoint(texts) else None
    if elem.tag in UNITS_OF_PIXELS and PIXEL_UNITS.issuperset(texts):
        return None
    if elem.tag in BIRTH_DATES and not known.birth.isdisjoint(texts):
        return "birth date"
    if vr in ("CS", "DS", "IS"):
        return next((kind for text in texts if (kind := _in_code(vr, text, known))), None)
    return _in_texts(texts, known) if vr in _TEXT else None


def _in_code(vr: str, text: str, known: Matcher) -> str | None:
    if len(text) > _LONGEST_CODE:
        return known.kind(text)
    return known.code(text) if vr == "CS" or len(text) >= INSIDE else None


def _in_number(value: object, known: Matcher) -> str | None:
    """Search the bytes of numbers for longer words: shorter ones are there by chance."""
    text = " ".join(_byte_texts(value))
    found = {word for word in _LONG_WORD.findall(folded(text)) if len(word) >= INSIDE}
    return next((known.whole[word] for word in found if word in known.whole), None)


_LONG_WORD = re.compile(r"[^\W_]+")


def _byte_texts(value: object) -> list[str]:
    data = value if isinstance(value, bytes) else b""
    return [data.decode("latin-1").strip("\x00 "), data.decode("utf-8", "replace").strip("\x00 ")]


def _in_texts(texts: list[str], known: Matcher) -> str | None:
    return next((kind for text in texts if text not in _OUR_MEANINGS and (kind := known.kind(text))), None)
