"""Files with an identity planted where a test wants it, written byte by byte: also what pydicom would not write."""

import io
import random
import re
import struct
import warnings
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from types import MappingProxyType

import pydicom
from pydicom._dicom_dict import DicomDictionary
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.uid import (
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGBaseline8Bit,
    RLELossless,
)

from objects import VERSION, every_dataset, known_of, patient_of, pseudonyms
from orthanc_deid.confidentiality.encode import decode, encode
from orthanc_deid.confidentiality.profile import Profile
from orthanc_deid.confidentiality.rewrite import rewrite
from orthanc_deid.confidentiality.standard.options import Option

NAME, FIRST, ID, BIRTH, ACCESSION = "Zyxwvut", "Qponmlk", "MRN-770001", "19630417", "ACC-550001"
INSTITUTION, PHONE, ROOT = "Saint Fictia Hilltop", "+41 61 555 01 77", "1.2.826.0.1.3680043.10.1337"
STUDY, SERIES, INSTANCE = f"{ROOT}.1", f"{ROOT}.1.1", f"{ROOT}.1.1.1"
STRANGER = "Vorgelmund"  # a person of whom no structured field knows
# What may stand in no byte of an output, by what it is.
IDENTITY = MappingProxyType(
    {
        "name": NAME,
        "first name": FIRST,
        "id": ID,
        "birth date": BIRTH,
        "accession": ACCESSION,
        "institution": "Fictia",
        "phone": "555 01 77",
        "uid": ROOT,
    }
)
CONTROL, CONTROL_NUMBER = "ACME 5000", "117.25"  # Manufacturer and KVP, which stay beside everything planted

SYNTAXES = (
    ImplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
    JPEGBaseline8Bit,
    RLELossless,
)
VRS = (
    *("AE", "AS", "AT", "CS", "DA", "DS", "DT", "FD", "FL", "IS", "LO", "LT", "OB", "OD", "OF", "OL", "OV", "OW"),
    *("PN", "SH", "SL", "SQ", "SS", "ST", "SV", "TM", "UC", "UI", "UL", "UN", "UR", "US", "UT", "UV"),
)
_LONG = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"})
_PADDED_BY_NUL = frozenset({"UI", "OB", "UN"})
PIXEL_DATA = 0x7FE00010


@dataclass(frozen=True)
class Element:
    """An element of exactly these bytes, a number of two bytes, or items; it may be as wrong as a test needs."""

    tag: int
    vr: str
    value: "bytes | int | tuple[Items, ...]"
    undefined: bool = False  # whether its length, and those of its items, are undefined


Items = tuple[Element, ...]


def element(keyword: str, value: "str | bytes | int | Iterable[Items]", vr: str = "") -> Element:
    """Make an element by its keyword; a text is Latin-1 and padded to an even length."""
    tag = tag_for_keyword(keyword)
    assert tag is not None, keyword
    return plant(tag, value, vr or dictionary_VR(tag))


def plant(tag: int, value: "str | bytes | int | Iterable[Items]", vr: str) -> Element:
    """Make an element by its tag."""
    if isinstance(value, str):
        value = padded(value.encode("latin-1"), vr)
    return Element(tag, vr, value if isinstance(value, bytes | int) else tuple(value))


def padded(value: bytes, vr: str) -> bytes:
    """Answer bytes of an even length."""
    return value + (b"\x00" if vr in _PADDED_BY_NUL else b" ") * (len(value) & 1)


def image(*more: Element) -> list[Element]:
    """Answer the elements of an image of the patient, with the control values; `more` take the place of its own."""
    own = [
        element("SOPClassUID", CTImageStorage),
        element("SOPInstanceUID", INSTANCE),
        element("StudyInstanceUID", STUDY),
        element("SeriesInstanceUID", SERIES),
        element("FrameOfReferenceUID", f"{ROOT}.9"),
        element("StudyDate", "20200615"),
        element("AccessionNumber", ACCESSION),
        element("Modality", "CT"),
        element("InstitutionName", INSTITUTION),
        element("PatientName", f"{NAME}^{FIRST}"),
        element("PatientID", ID),
        element("PatientBirthDate", BIRTH),
        element("PatientTelephoneNumbers", PHONE),
        *controls(),
        element("SamplesPerPixel", 1),
        element("PhotometricInterpretation", "MONOCHROME2"),
        element("Rows", 2),
        element("Columns", 2),
        element("BitsAllocated", 8),
        element("BitsStored", 8),
        element("HighBit", 7),
        element("PixelRepresentation", 0),
        element("PixelData", b"\x01\x02\x03\x04", "OB"),
    ]
    return list(({each.tag: each for each in own} | {each.tag: each for each in more}).values())


def controls() -> Items:
    """Answer a text and a number of a machine that every profile keeps."""
    return element("Manufacturer", CONTROL), element("KVP", CONTROL_NUMBER)


def nested(elements: Items, depth: int, sequence: int = 0x00082218) -> Items:
    """Put elements into an item of an item, so many deep, with the control values beside them at each depth."""
    for _ in range(depth):
        elements = (Element(sequence, "SQ", ((*controls(), *elements),)),)
    return elements


def file(
    elements: Iterable[Element], syntax: str = ExplicitVRLittleEndian, preamble: bytes = b"", trailing: bytes = b""
) -> bytes:
    """Write a Part 10 file; `trailing` stands behind the dataset as it is."""
    ordered = sorted(elements, key=lambda each: each.tag)
    if syntax in (JPEGBaseline8Bit, RLELossless):
        ordered = [_encapsulated(each) if each.tag == PIXEL_DATA else each for each in ordered]
    body = encoded(ordered, implicit=syntax == ImplicitVRLittleEndian, little=syntax != ExplicitVRBigEndian) + trailing
    if syntax == DeflatedExplicitVRLittleEndian:
        deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        body = padded(deflate.compress(body) + deflate.flush(), "OB")
    meta = (
        Element(0x00020001, "OB", b"\x00\x01"),
        plant(0x00020002, CTImageStorage, "UI"),
        plant(0x00020003, INSTANCE, "UI"),
        plant(0x00020010, syntax, "UI"),
        plant(0x00020012, f"{ROOT}.99", "UI"),
        plant(0x00020016, f"AE_{NAME}", "AE"),
        plant(0x00020100, f"{ROOT}.98", "UI"),
        plant(0x00020102, f"private information about {NAME}".encode(), "OB"),
    )
    group = encoded(meta, implicit=False, little=True)
    length = encoded((Element(0x00020000, "UL", struct.pack("<I", len(group))),), implicit=False, little=True)
    return preamble.ljust(128, b"\x00") + b"DICM" + length + group + body


def encoded(elements: Iterable[Element], *, implicit: bool, little: bool) -> bytes:
    """Encode elements in the order in which they come."""
    return b"".join(_encoded(each, implicit=implicit, little=little) for each in elements)


def _encoded(each: Element, *, implicit: bool, little: bool) -> bytes:
    order = "<" if little else ">"
    if isinstance(each.value, int):
        value = struct.pack(order + "H", each.value)
    elif isinstance(each.value, bytes):
        value = each.value
    else:
        bodies = (encoded(items, implicit=implicit, little=little) for items in each.value)
        value = b"".join(_item(body, order, undefined=each.undefined) for body in bodies)
        value += struct.pack(order + "HHI", 0xFFFE, 0xE0DD, 0) if each.undefined else b""
    length = 0xFFFFFFFF if each.undefined else len(value)
    head = (each.tag >> 16, each.tag & 0xFFFF)
    if implicit:
        return struct.pack(order + "HHI", *head, length) + value
    if each.vr in _LONG:
        return struct.pack(order + "HH2sHI", *head, each.vr.encode(), 0, length) + value
    return struct.pack(order + "HH2sH", *head, each.vr.encode(), length) + value


def _item(body: bytes, order: str, *, undefined: bool) -> bytes:
    if undefined:
        return (
            struct.pack(order + "HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)
            + body
            + struct.pack(order + "HHI", 0xFFFE, 0xE00D, 0)
        )
    return struct.pack(order + "HHI", 0xFFFE, 0xE000, len(body)) + body


def _encapsulated(pixels: Element) -> Element:
    assert isinstance(pixels.value, bytes)
    fragments = struct.pack("<HHI", 0xFFFE, 0xE000, 0) + struct.pack("<HHI", 0xFFFE, 0xE000, len(pixels.value))
    end = struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    return Element(pixels.tag, "OB", fragments + pixels.value + end, undefined=True)


def scattered(rng: random.Random) -> tuple[bytes, str]:
    """Answer a file of random attributes, items and private blocks with the identity in many, and its syntax."""
    syntax = rng.choice(SYNTAXES[:4])
    charset = rng.choice((*CHARSETS, ""))
    own = (element("SpecificCharacterSet", charset),) if charset else ()
    return file(image(*own, *_random_items(rng, rng.randrange(5))), syntax), syntax


def _random_items(rng: random.Random, depth: int) -> Items:
    found = {each.tag: each for each in (_random_text(rng) for _ in range(rng.randrange(2, 12)))}
    found |= {each.tag: each for each in _random_dates(rng)}
    found |= {each.tag: each for each in rng.choice(_PRIVATE)}
    if rng.random() < 0.7:
        reference = element("ReferencedSOPInstanceUID", rng.choice(REFERENCES))
        found[reference.tag] = reference
    for sequence in rng.sample(_SEQUENCES, rng.randrange(1, 3)) if depth else ():
        items = tuple(
            tuple(sorted((*controls(), *_random_items(rng, depth - 1)), key=lambda each: each.tag))
            for _ in range(rng.randrange(1, 3))
        )
        found[sequence] = Element(sequence, "SQ", items, undefined=rng.random() < 0.5)
    return tuple(found.values())


def _random_text(rng: random.Random) -> Element:
    tag, vr = rng.choice(_TEXTS)
    words = rng.sample(_WORDS, rng.randrange(1, 4)) + rng.sample(_KNOWN, rng.randrange(2))
    rng.shuffle(words)
    joined = rng.choice((" ", "\\", ", ")).join(words)
    return plant(tag, joined.upper() if vr == "CS" else joined, vr)


def _random_dates(rng: random.Random) -> Iterator[Element]:
    for keyword, form in DATES.items():
        if rng.random() < 0.4:
            yield element(
                keyword, form.format(f"20{rng.randrange(10, 24)}{rng.randrange(1, 13):02}{rng.randrange(1, 29):02}")
            )


CHARSETS = ("ISO_IR 100", "ISO_IR 192", "GB18030", "ISO_IR 144", "\\ISO 2022 IR 87")
REFERENCES = (STUDY, SERIES, INSTANCE, f"{ROOT}.1.1.2", f"{ROOT}.9", "1.2.840.10008.1.4.1.1")
# Keyword -> how a date is written in it.
DATES = MappingProxyType(
    {
        "SeriesDate": "{}",
        "AcquisitionDateTime": "{}101112.25",
        "ContentDate": "{}",
        "DateOfLastCalibration": "{}",
        "FrameReferenceDateTime": "{}101112",
        "ObservationDateTime": "{}1011",
    }
)
_KNOWN = (NAME, f"{NAME} {FIRST}", ID, BIRTH, ACCESSION, INSTITUTION, PHONE, STUDY)
_WORDS = ("abdomen", "contrast", "T1", "axial", "3 mm", "B30f", "head", "venous")
_SEQUENCES = (0x00082218, 0x00081140, 0x00081115, 0x00321064, 0x52009229, 0x0040A730, 0x00400275, 0x00081250)
_KEPT_OUT = frozenset({0x00080005, 0x00280301, 0x00420012, 0x00080016})
_TEXTS = tuple(
    (tag, vr)
    for tag, (vr, *_) in sorted(DicomDictionary.items())
    if vr in ("AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UT")
    and tag >> 16 not in (0, 2, 4, 0xFFFE)
    and tag not in _KEPT_OUT | {each.tag for each in image()}
)
_PRIVATE: tuple[Items, ...] = (
    (),
    (plant(0x00190010, "SIEMENS MR HEADER", "LO"), plant(0x0019100A, 8, "US"), plant(0x00191009, NAME, "LO")),
    (plant(0x00430010, "GEMS_PARM_01", "LO"), plant(0x00431095, f"{NAME} 5", "LO"), plant(0x00431001, NAME, "LO")),
    (plant(0x00090010, NAME, "LO"), plant(0x00091001, ID, "LO"), plant(0x00091002, NAME, "UN")),
)


def passed(data: bytes, profile: Profile) -> bytes:
    """Answer what the pass makes of a file, with no search after it that could refuse the result."""
    ds = decode(data)
    known = known_of(data, profile)
    return encode(rewrite(ds, profile, pseudonyms(), patient_of(ds), version=VERSION, known=known))


def proved(out: bytes, profile: Profile, *more: str) -> Dataset:
    """Read an output: nothing of the identity or of `more` is left, its values are readable and its UIDs valid."""
    ds = read(out)
    found = left(out, [*forbidden(profile), *more])
    assert not found, f"left: {sorted(found)}, in {sorted(_places(ds, found))[:9] or 'no attribute'}"
    invalid = [uid for uid in uids(ds) if not _is_valid(uid, profile)]
    assert not invalid, f"not valid: {invalid[:3]}"
    return ds


def _places(ds: Dataset, words: Iterable[str], path: str = "") -> Iterator[str]:
    """Answer the attributes in which words stand."""
    for elem in ds:
        if elem.VR == "SQ":
            for item in elem.value:
                yield from _places(item, words, f"{path}{elem.tag}")
        elif left(elem.value if isinstance(elem.value, bytes) else str(elem.value).encode(), words):
            yield f"{path}{elem.tag}"


def forbidden(profile: Profile) -> list[str]:
    """Answer the words of the identity that a profile does not retain."""
    retained = {Option.UIDS: "uid", Option.INSTITUTION_IDENTITY: "institution"}
    kept = {retained.get(option) for option in profile.options}
    return [word for kind, word in IDENTITY.items() if kind not in kept]


def read(data: bytes) -> Dataset:
    """Read a file and every value in it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # warnings of wrong values that were planted
        ds = pydicom.dcmread(io.BytesIO(data))
        ds.decode()
        assert str(ds)
        return ds


def uids(ds: Dataset) -> Iterator[str]:
    """Answer every UID of a dataset and its items."""
    for each in every_dataset(ds):
        for elem in each:
            if elem.VR == "UI":
                yield from (str(value) for value in (elem.value if elem.VM > 1 else [elem.value]) if value)


def _is_valid(uid: str, profile: Profile) -> bool:
    ours = profile.has(Option.UIDS) or uid.startswith(("2.25.", "1.2.840.10008."))
    return ours and len(uid) <= 64 and bool(_UID.fullmatch(uid))


_UID = re.compile(r"[0-2](?:\.(?:0|[1-9][0-9]*))+")


def left(data: bytes, words: Iterable[str]) -> set[str]:
    """Answer which words stand anywhere in a file in any case, as Latin-1, UTF-8 or UTF-16, deflated or not."""
    views = [data.lower()]
    if b"1.2.840.10008.1.2.1.99" in data[:400]:
        at = data.index(b"\x02\x00\x13\x00SH") + 8
        views.append(zlib.decompress(data[at + data[at - 2] :], wbits=-zlib.MAX_WBITS).lower())
    views += [view.replace(b"\x00", b"") for view in views]  # UTF-16 of either order, and NULs among letters
    return {
        word
        for word in words
        for encoding in ("latin-1", "utf-8")
        if any(word.lower().encode(encoding, "replace") in view for view in views)
    }
