"""Which private elements may stay (PS3.15 E.3.10), found by creator, group and offset wherever their block sits."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache

from orthanc_deid.errors import ConfigurationError

from . import csa, ge, private_data

# What dcm2niix 1.0.20260724 reads of private elements and what else b-values, b-vectors, slice timing, mosaics, phase
# encoding and scaling need; texts that a person writes are not among them. Canon, Toshiba, Hitachi and Hyperfine keep
# these in attributes of the standard. The versions of the CSA headers are the study's date.
CONVERTER = {
    "SIEMENS CSA HEADER": "CS 002908 002918; LO/shift 002909 002919; OB/csa 002910 002920",
    "SIEMENS MR HEADER": """
        CS 001908 00190D 005108; DS 00190B 001916 001917; FD 00190E 001915 001925 001926 001927 001928 001929;
        IS 00190C 001914 001918 001923; LO 001909 005109 00510F 005111; SH 00190F 001911 00510B 00510E 005113;
        SL 001912 001913; US 00190A
    """,
    "SIEMENS MR SDS 01": """
        CS 00215A 00215B 00215C; IS 002105; LO 002109; OB/csa 002119; SH 00210C; SQ/items 0021FE
    """,
    "SIEMENS MR SDI 02": """
        CS 002175; DS 002104; FD 002153; IS 00211C 002142 00218A; LO 002106 00214F 002176 00218E; SH 002158;
        SQ/items 0021FE
    """,
    "SIEMENS MR IMA": "SQ/items 002101",
    "GEMS_ACQU_01": """
        DS 00191B 00197F 0019A9 0019B2 0019B3 0019B6 0019BB 0019BC 0019BD 0019D9 0019DF 0019E0 0019E2; FL 00195A;
        LO 00199C 00199E; SL 0019A2; SS 001917
    """,
    "GEMS_RELA_01": "DS 00215E; SL 00215A; SS 00214F",
    "GEMS_SERS_01": "OB/ge-protocol 00251B",
    "GEMS_IMAG_01": "FL 002760 002761 002762",
    "GEMS_PARM_01": """
        CS 00438A 0043A3; DS 00436F 004383; FL 00437C; IS 004339 0043A5; LO 004395 0043A4 0043B2 0043B6 0043B7 0043CA;
        OB/ge-user-data 00432A; SS 004302 004303 004304 00432C 00432F 004330
    """,
    "GEMS_PETD_01": "FL 00093A 00098F",
    "Philips Imaging DD 001": """
        CS 200104 20010B 200110 200119 20011C 20011F 200121; FL 200103 20011B 200122; IS 200108 20010A 200181;
        SL 200113 200114 200117 200118 200160; SQ/items 20015F; SS 200115 20012D 200135
    """,
    "Philips MR Imaging DD 001": """
        CS 200535 20056F; FL 20050D 20050E 200530 200571 200572 200573 200574 200575 200576 200578 200579 20057A
        2005A0 2005B0 2005B1 2005B2; SL 200520; SS 200563
    """,
    "Philips MR Imaging DD 002": "CS 200510",
    "Philips MR Imaging DD 005": "CS 200529; FL 20053C; IS 200512 200513; SQ/items 20050F",
    "Philips MR Imaging DD 006": "IS 200596",
    "Image Private Header": "DS 006550; FD 006509 006537; IS 006558; SH 006505 00650D; SQ/items 006551",
}

# Action -> what takes the text out of such a value, given how to clean a text; None where it cannot be read.
BLOBS: Mapping[str, Callable[[bytes, Callable[[str], str]], bytes | None]] = {
    "csa": csa.cleaned,
    "ge-protocol": ge.protocol,
    "ge-user-data": ge.user_data,
}

# Name -> list; of two that hold an element the later one says what happens.
_LISTS: Mapping[str, Mapping[str, str]] = {
    "tcia": private_data.TCIA,
    "standard": private_data.STANDARD,
    "converter": CONVERTER,
}
LISTS = frozenset(_LISTS)

_Key = tuple[str, int, int]


@dataclass(frozen=True, slots=True)
class Safe:
    """An element that may stay: its VR where the file says UN, and keep, uid, shift, items or a key of BLOBS."""

    vr: str
    action: str


@dataclass(frozen=True, slots=True)
class Listed:
    """An element of a list; `offset` is the last two digits of its element number."""

    creator: str
    group: int
    offset: int
    safe: Safe


def lookup(creator: str, group: int, offset: int, *, lists: frozenset[str]) -> Safe | None:
    """Answer what to do with an element; None where no list holds it.

    Creators are compared without case and padding: Philips has written its own in both.
    """
    found = _table(lists).get((_folded(creator), group, offset))
    return found.safe if found else None


def creators(lists: frozenset[str]) -> frozenset[str]:
    """Answer the private creators of the lists as they are spelled there."""
    return frozenset(entry.creator for entry in _table(lists).values())


def listed(lists: frozenset[str]) -> Iterator[Listed]:
    """Go through all elements of the lists, by creator, group and offset."""
    return iter(sorted(_table(lists).values(), key=lambda entry: (entry.creator, entry.group, entry.offset)))


@cache
def _table(lists: frozenset[str]) -> Mapping[_Key, Listed]:
    unknown = lists - LISTS
    if unknown:
        raise ConfigurationError(f"no list of private elements is named {min(unknown)}: use {', '.join(sorted(LISTS))}")
    chosen = (entries for name, entries in _LISTS.items() if name in lists)
    return {
        (_folded(creator), entry.group, entry.offset): entry
        for entries in chosen
        for creator, text in entries.items()
        for entry in _parsed(creator, text)
    }


def _parsed(creator: str, text: str) -> Iterator[Listed]:
    for section in text.split(";"):
        head, *words = section.split()
        vr, _, action = head.partition("/")
        safe = Safe(vr, action or "keep")
        for word in words:
            yield Listed(creator, int(word[:4], 16), int(word[4:], 16), safe)


def _folded(creator: str) -> str:
    return creator.strip("\x00 ").casefold()
