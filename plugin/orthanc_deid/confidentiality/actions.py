"""One function for each action of a plan: an element in, the element that stays or None to remove it."""

import re
from collections import Counter
from collections.abc import Callable
from math import inf

from pydicom import Dataset
from pydicom.datadict import dictionary_has_tag, dictionary_VR
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.tag import BaseTag

from orthanc_deid.errors import Rejected

from .documents import encapsulated
from .plan import Action, Decision
from .standard import attribute_types, attributes, dummies
from .standard.attributes import (
    BULK,
    BURNED_IN,
    DOCUMENT_LENGTH,
    DOCUMENT_MIME,
    NUMBERS,
    PIXEL_UNITS,
    TEXTS,
    UNITS_OF_PIXELS,
)
from .texts import charsets, dates
from .texts.encoded import Texts

Element = DataElement | RawDataElement
_OLDEST = 89  # years; above, an age is a direct identifier (HIPAA 164.514(b)(2)(i)(C))
_SHORT = 0xFFFE  # bytes that fit the 16-bit length of most VRs
SHIFTED, KEPT, REMOVED = "shifted", "kept", "removed"


class Run:
    """What the actions need to know of the dataset and its patient."""

    encodings: charsets.Encodings = charsets.DEFAULT
    implicit: bool
    little: bool
    name: bytes
    id: bytes
    days: int
    dates: str  # SHIFTED, KEPT or REMOVED, for dates that no decision covers
    uid: Callable[[str], str]
    token: Callable[[str], str]
    texts: Texts
    documents: str  # the profile's word
    notes: Counter[str]
    sop_class: str
    sequence: int | None = None  # the one whose item is being cleaned

    def items(self, ds: Dataset, elem: Element) -> Element | None:
        """Clean the items of a sequence; what cannot be read as one is removed."""
        raise NotImplementedError

    def is_image(self, tag: int) -> bool:
        """Tell whether an attribute is the image's own pixels, which are looked at elsewhere."""
        raise NotImplementedError

    def raw(self, tag: int, vr: str, value: bytes) -> RawDataElement:
        """Make an element of bytes in the encoding of the dataset."""
        return RawDataElement(BaseTag(tag), vr, len(value), value, 0, self.implicit, self.little)

    def with_value(self, elem: Element, text: str | bytes) -> Element:
        """Make the element anew with another value; unknown VRs become the dictionary's."""
        value = text.encode("ascii", "replace") if isinstance(text, str) else text
        return self.raw(elem.tag, vr_of(elem), value)


Handler = Callable[[Run, Dataset, Element], Element | None]


def keep(run: Run, ds: Dataset, elem: Element) -> Element | None:
    """Keep a text; a VR that holds more gets the action of its kind, bytes for a text are removed."""
    vr = elem.VR or vr_of(elem)
    if vr in NUMBERS:
        return None
    if vr in TEXTS:
        return text(run, elem)
    handler = _BY_VR.get(vr)
    return handler(run, ds, elem) if handler else plain(run, elem)


def number(run: Run, ds: Dataset, elem: Element) -> Element | None:
    """Keep a number, in digits too; any other VR has no place there."""
    vr = elem.VR or dictionary_VR(elem.tag)
    if vr == "UN" and dictionary_VR(elem.tag) != "UN":
        return unknown(run, ds, elem)
    if vr in BULK and "O" not in dictionary_VR(elem.tag):
        return None  # bytes in place of a number
    if vr in NUMBERS or " " in vr:
        return elem if run.is_image(elem.tag) else numbers_only(run, elem, vr)
    return plain(run, elem) if vr in ("DS", "IS") else None


def numbers_only(run: Run, elem: Element, vr: str) -> Element | None:
    """Keep the bytes of numbers; a text in their place goes, and any in which something known of the study stands."""
    value = bytes_of(elem)
    if vr in ("OB", "OW", "OB or OW") and reads_as_text(value):
        return _not_expected(run, elem, "text in bytes")
    return _not_expected(run, elem, "text in numbers") if holds_known(run, value) else elem


def holds_known(run: Run, value: bytes) -> bool:
    """Tell whether something known of the study stands among bytes, in one byte a character or in two."""
    if len(value) < _LEAST_TEXT:
        return False
    for view in (value, value.replace(b"\x00", b"")):
        words = b" ".join(_WORDS_IN_BYTES.findall(view)).decode("latin-1")
        if words and run.texts.screen(words) != words:
            return True
    return False


def as_is(run: Run, ds: Dataset, elem: Element) -> Element | None:
    """Keep any text, name, date, UID or number that a person asked for."""
    vr = elem.VR or vr_of(elem)
    if vr == "SQ":
        return run.items(ds, elem)
    if vr == "UN":
        return unknown(run, ds, elem, as_is)
    if vr == "UI" or (dictionary_has_tag(elem.tag) and dictionary_VR(elem.tag) == "UI"):
        return class_uid(run, ds, elem)
    return elem if vr in NUMBERS else decodable(run, elem)


def decodable(run: Run, elem: Element) -> Element:
    """Keep a text that its character set can decode; replace the bytes that it cannot."""
    value = elem.value
    if not isinstance(elem, RawDataElement) or not value or (value.isascii() and b"\x1b" not in value):
        return elem
    return elem if charsets.decodes(value, run.encodings) else run.with_value(elem, charsets.ascii_only(value))


def text(run: Run, elem: Element) -> Element:
    """Keep a text that a machine wrote, without what is known of the study; UIDs in it are mapped."""
    value = elem.value
    if not isinstance(elem, RawDataElement) or not value or not value.strip(_BLANK):
        return elem
    if elem.tag in UNITS_OF_PIXELS and text_of(elem).strip("\x00 ") in PIXEL_UNITS:
        return elem  # HU of a patient called Hu
    vr = vr_of(elem)
    new = uids_mapped(run, run.texts.screened(value, vr, run.encodings))
    return elem if new is value or new == value else _left(run, elem, new)


def _left(run: Run, elem: Element, new: bytes) -> Element:
    """Put what is left of a text; a dummy where nothing is, as the object may require a value."""
    nothing = not new.strip(_BLANK)
    return run.with_value(elem, dummies.value(elem.tag, vr_of(elem)) or b"" if nothing else new)


def clean(run: Run, ds: Dataset, elem: Element, otherwise: Handler) -> Element | None:
    """Keep what may stay of a text that somebody typed; where nothing may, do what the Basic Profile does."""
    vr = elem.VR if elem.VR not in (None, "UN") else vr_of(elem)
    if vr == "SQ":
        return run.items(ds, elem)
    if not isinstance(elem, RawDataElement) or vr not in _CLEANED:
        return otherwise(run, ds, elem)
    if not elem.value or not elem.value.strip(b" \x00"):
        return run.with_value(elem, b"")
    new = run.texts.cleaned(elem.value, vr, run.encodings)
    return run.with_value(elem, new) if new.strip() else otherwise(run, ds, elem)


def plain(run: Run, elem: Element) -> Element | None:
    """Keep a number in digits, or a value of printable ASCII; anything else in it is not what the VR says."""
    value, vr = elem.value, str(elem.VR or vr_of(elem))
    if not isinstance(elem, RawDataElement) or not value or not value.strip(_BLANK):
        return elem
    if vr in ("DS", "IS"):
        return elem if is_number(value) and not run.texts.knows_number(value) else _not_expected(run, elem, "no number")
    if vr not in ("AE", "CS", "UR") or value.rstrip(b"\x00").translate(None, _PRINTABLE):
        return None
    new = run.texts.screened(value, vr, run.encodings)
    if vr != "UR":  # an OID in an address is of a published code
        new = uids_mapped(run, new)
    return elem if new == value else _left(run, elem, new)


def is_number(value: bytes) -> bool:
    """Tell whether DS or IS holds only numbers; scanners write more digits than the VR has, and words for none."""
    if _APART.search(value):
        return False
    if not value.translate(None, _OF_NUMBERS):
        return True
    return all(_NO_NUMBER.fullmatch(part) or not part.translate(None, _OF_NUMBERS) for part in value.split(b"\\"))


def uids_mapped(run: Run, value: bytes) -> bytes:
    """Map the UIDs that stand in a text."""
    if not _UID_IN_TEXT.search(value):
        return value
    return _UID_IN_TEXT.sub(lambda match: run.uid(match[0].decode("ascii")).encode("ascii"), value)


def unknown(run: Run, ds: Dataset, elem: Element, then: Handler | None = None) -> Element | None:
    """Read UN as what the dictionary says (PS3.5 6.2.2: little endian), so that it can be looked at."""
    vr = dictionary_VR(elem.tag)
    value = bytes_of(elem)
    if not run.little or " " in vr or len(value) > _SHORT or vr == "UN":
        return None
    known = run.raw(elem.tag, vr, value)
    return numbers_only(run, known, vr) if vr in NUMBERS else (then or keep)(run, ds, known)


def empty(run: Run, ds: Dataset, elem: Element) -> Element | None:
    """Leave the attribute without a value; put a dummy where the object requires one."""
    if _type(run, elem) == "1":
        return dummy(run, ds, elem)
    return DataElement(elem.tag, "SQ", []) if vr_of(elem) == "SQ" else run.with_value(elem, b"")


def _type(run: Run, elem: Element) -> str | None:
    """Answer 1, 2 or 3, conditional or not: that an attribute is there says that its condition is met."""
    found = attribute_types.of(run.sop_class, elem.tag, run.sequence)
    return found[0] if found else None


def unless_required(run: Run, ds: Dataset, elem: Element) -> Element | None:
    """Remove the attribute; where the object is not valid without it, leave no value or a dummy."""
    kind = _type(run, elem)
    if kind == "2":
        return empty(run, ds, elem)
    return dummy(run, ds, elem) if kind == "1" and run.sequence is None else None


def by_type(at_2: Handler, at_1: Handler) -> Handler:
    """Make the action of a combined letter: removes Type 3; an unknown object gets what is valid for every type."""

    def decide(run: Run, ds: Dataset, elem: Element) -> Element | None:
        kind = _type(run, elem)
        if kind is None:
            return None if vr_of(elem) == "SQ" else at_1(run, ds, elem)
        return {"1": at_1, "2": at_2, "3": remove}[kind](run, ds, elem)

    return decide


def remove(_run: Run, _ds: Dataset, _elem: Element) -> None:
    """Remove the attribute."""


def dummy(run: Run, ds: Dataset, elem: Element) -> Element | None:
    """Put a value of the VR and attribute that says nothing."""
    vr = vr_of(elem)
    if vr == "SQ":
        return DataElement(elem.tag, "SQ", dummies.items(elem.tag, ds))
    value = dummies.value(elem.tag, vr)
    return None if value is None else run.with_value(elem, value)


def items(run: Run, ds: Dataset, elem: Element) -> Element | None:
    """Clean the items of a sequence."""
    return run.items(ds, elem)


def map_uid(run: Run, ds: Dataset, elem: Element) -> Element | None:
    """Map each value by the project's key; what stays as it was and is no UID is removed."""
    uids = [value.strip("\x00 ") for value in text_of(elem).split("\\")]
    return class_uid(run, ds, run.with_value(elem, "\\".join(run.uid(uid) if uid else "" for uid in uids)))


def class_uid(_run: Run, _ds: Dataset, elem: Element) -> Element | None:
    """Keep a UID that names a class; anything that is no UID is removed."""
    values = (value.strip("\x00 ") for value in text_of(elem).split("\\"))
    return elem if all(not value or is_uid(value) for value in values) else None


def is_uid(text: str) -> bool:
    """Tell whether a text is a UID, if one with zeros that do not belong there."""
    return len(text) <= _LONGEST_UID and bool(_UID.fullmatch(text))


def shift(run: Run, _ds: Dataset, elem: Element) -> Element | None:
    """Shift each date; one that cannot be read removes the element."""
    new = dates.shifted(text_of(elem), run.days)
    return _not_expected(run, elem, "not a date or time of PS3.5") if new is None else run.with_value(elem, new)


def date(run: Run, _ds: Dataset, elem: Element) -> Element | None:
    """Keep a date; one that cannot be read may be anything."""
    return _not_expected(run, elem, "not a date or time of PS3.5") if dates.shifted(text_of(elem), 1) is None else elem


def time(run: Run, _ds: Dataset, elem: Element) -> Element | None:
    """Keep a time of day."""
    return elem if dates.is_time(text_of(elem)) else _not_expected(run, elem, "not a date or time of PS3.5")


def _not_expected(run: Run, elem: Element, what: str) -> Element | None:
    """Remove what is not of the kind that it should be, and say so."""
    run.notes[f"removed {elem.tag.group:04X},{elem.tag.element:04X}: {what}"] += 1
    return None


def reads_as_text(value: bytes) -> bool:
    """Tell whether bytes are a text that somebody wrote, and no measurement."""
    content = value.strip(b"\x00 ")
    return len(content) >= _LEAST_TEXT and not content.translate(None, _PRINTABLE + b"\t\n\f\r")


def uncovered_date(run: Run, ds: Dataset, elem: Element) -> Element | None:
    """Do with a date that no decision covers what the profile does with dates."""
    return {SHIFTED: shift, KEPT: date, REMOVED: empty}[run.dates](run, ds, elem)


def uncovered_time(run: Run, ds: Dataset, elem: Element) -> Element | None:
    """Keep a time where dates stay in some form, else leave it without a value."""
    return empty(run, ds, elem) if run.dates == REMOVED else time(run, ds, elem)


def age(run: Run, _ds: Dataset, elem: Element) -> Element | None:
    """Keep an age up to 89 years, make any above 090Y."""
    value = text_of(elem).strip("\x00 ")
    if not value:
        return run.with_value(elem, b"")
    if len(value) != len("089Y") or not value[:3].isdigit() or value[3] not in "DWMY":
        return None
    years = int(value[:3]) / _IN_A_YEAR[value[3]]
    return run.with_value(elem, "090Y" if years > _OLDEST else value)


def measured(run: Run, ds: Dataset, elem: Element) -> Element | None:
    """Keep the number of an item; one in a unit of ages, up to 89 years and with no more exact form."""
    in_a_year = _IN_A_YEAR.get(_AGE_UNITS.get(_code(ds, attributes.MEASUREMENT_UNITS), ""))
    kept = (number if elem.tag in attributes.MEASURED_EXACTLY else keep)(run, ds, elem)
    if kept is None or in_a_year is None:
        return kept
    if elem.tag in attributes.MEASURED_EXACTLY:
        return None
    oldest = max(map(_as_number, text_of(elem).split("\\")))
    return kept if oldest <= _OLDEST * in_a_year else run.with_value(elem, str((_OLDEST + 1) * in_a_year))


def _as_number(text: str) -> float:
    try:
        return float(text.strip("\x00 ") or 0)
    except ValueError:
        return inf  # nobody can say that it is a low age


def unless_birth(otherwise: Handler) -> Handler:
    """Make the action of a report's dates: a dummy in place of a birth date."""

    def decide(run: Run, ds: Dataset, elem: Element) -> Element | None:
        birth = _code(ds, attributes.CONCEPT_NAME) in attributes.BIRTH_CONCEPTS
        return (dummy if birth else otherwise)(run, ds, elem)

    return decide


def _code(ds: Dataset, tag: int) -> str:
    """Answer the Code Value of the first item of a sequence; sequences come before what they are asked for."""
    found = ds.get_item(tag)
    item = found.value[0] if isinstance(found, DataElement) and found.VR == "SQ" and found.value else Dataset()
    value = item.get_item(attributes.CODE_VALUE)
    return text_of(value).strip("\x00 ") if value is not None else ""


def patient_name(run: Run, _ds: Dataset, elem: Element) -> Element:
    """Put the pseudonym in place of the name."""
    return run.raw(elem.tag, dictionary_VR(elem.tag), run.name)


def patient_id(run: Run, _ds: Dataset, elem: Element) -> Element:
    """Put the pseudonym in place of the id."""
    return run.raw(elem.tag, dictionary_VR(elem.tag), run.id)


def hashed(run: Run, _ds: Dataset, elem: Element) -> Element | None:
    """Put 16 characters that are the same for the same text of the project, and tell nothing of it."""
    value = text_of(elem).strip("\x00 ")
    return run.with_value(elem, run.token(value) if value else "")


def document(run: Run, ds: Dataset, elem: Element) -> Element | None:
    """Replace, clean or refuse an encapsulated document; write its new length."""
    mime = ds.get_item(DOCUMENT_MIME)
    kind = text_of(mime).strip("\x00 ") if mime is not None else ""
    data = bytes_of(elem)
    if run.documents == "replace":
        new = encapsulated.dummy(kind)
    elif run.documents == "clean":
        new = encapsulated.cleaned(kind, data, run.texts.clean)
    else:
        raise Rejected("it holds an encapsulated document, which the profile refuses")
    if DOCUMENT_LENGTH in ds:
        ds[BaseTag(DOCUMENT_LENGTH)] = run.raw(
            DOCUMENT_LENGTH, "UL", len(new).to_bytes(4, "little" if run.little else "big")
        )
    if BURNED_IN in ds:
        ds[BaseTag(BURNED_IN)] = run.raw(BURNED_IN, "CS", b"NO")
    return run.raw(elem.tag, "OB", new)


def replacing(value: str) -> Handler:
    """Make the action that puts one value in place of any."""

    def replace(run: Run, _ds: Dataset, elem: Element) -> Element:
        return run.with_value(elem, charsets.encoded(value, run.encodings, vr_of(elem)))

    return replace


def cleaning(otherwise: Action) -> Handler:
    """Make the action that cleans a text, with what happens where no word is left."""
    fallback = HANDLERS[otherwise]
    return lambda run, ds, elem: clean(run, ds, elem, fallback)


def handler(decision: Decision) -> Handler:
    """Answer the function that carries out a decision."""
    if decision.action is Action.REPLACE:
        return replacing(decision.value)
    if decision.action is Action.CLEAN:
        return cleaning(decision.otherwise)
    return HANDLERS[decision.action]


_BLANK = b" \\\x00"
_CLEANED = TEXTS | {"AE", "CS"}
_PRINTABLE = bytes(range(0x20, 0x7F))
_LONGEST_UID = 64
# 0 names nothing: some writers put it where they have no UID. Three numbers may be a date.
_UID = re.compile(r"0|[0-2](?:\.[0-9]+)+|[0-9]+(?:\.[0-9]+){3,}")
_OF_NUMBERS = b"0123456789+-.eE \\\x00"
_APART = re.compile(rb"[^ \\\x00] +[^ \\\x00]")
_NO_NUMBER = re.compile(rb"[\x00 ]*[+-]?(?:nan|inf|infinity)[\x00 ]*", re.IGNORECASE)
_WORDS_IN_BYTES = re.compile(rb"[0-9A-Za-z\x80-\xff]{4,}")
_UID_IN_TEXT = re.compile(rb"(?<![0-9.])(?:2\.25\.[0-9]{16,39}|[0-2](?:\.[0-9]+){5,})(?![0-9])")
_LEAST_TEXT = 4  # bytes; fewer are text by chance
_IN_A_YEAR = {"Y": 1, "M": 12, "W": 52, "D": 365}
_AGE_UNITS = {"a": "Y", "mo": "M", "wk": "W", "d": "D"}  # UCUM

HANDLERS: dict[Action, Handler] = {
    Action.KEEP: keep,
    Action.NUMBER: number,
    Action.AS_IS: as_is,
    Action.REMOVE: remove,
    Action.EMPTY: empty,
    Action.DUMMY: dummy,
    Action.UNLESS_REQUIRED: unless_required,
    Action.REMOVE_OR_EMPTY: by_type(empty, empty),
    Action.REMOVE_OR_DUMMY: by_type(empty, dummy),
    Action.BY_TYPE: by_type(empty, dummy),
    Action.HASH: hashed,
    Action.ITEMS: items,
    Action.UID: map_uid,
    Action.CLASS: class_uid,
    Action.SHIFT: shift,
    Action.DATE: date,
    Action.TIME: time,
    Action.AGE: age,
    Action.MEASURED: measured,
    Action.NAME: patient_name,
    Action.ID: patient_id,
    Action.DOCUMENT: document,
}

# What a kept attribute gets whose VR in the file is one of these, whatever the dictionary says of it.
_BY_VR: dict[str, Handler] = {
    "SQ": items,
    "UN": unknown,
    "AS": age,
    "PN": empty,
    "UI": map_uid,
    "DA": uncovered_date,
    "DT": uncovered_date,
    "TM": uncovered_time,
}


def vr_of(elem: Element) -> str:
    """Answer the VR in the file where it is one of the dictionary's, else the first one of the dictionary."""
    if elem.tag >> 16 & 1:
        return str(elem.VR)  # private: the file, or the list that knows the element, has said it
    known = dictionary_VR(elem.tag).split(" ")
    return str(elem.VR) if elem.VR in known else known[0]


def bytes_of(elem: Element) -> bytes:
    """Answer the value where it is bytes."""
    value = elem.value
    return value if isinstance(value, bytes) else b""


def text_of(elem: Element) -> str:
    """Answer the value as text of the default repertoire, values separated by a backslash."""
    value = elem.value
    if isinstance(value, bytes):
        return value.decode("latin-1")
    if value is None:
        return ""
    return "\\".join(map(str, value)) if isinstance(value, list | tuple) or hasattr(value, "append") else str(value)
