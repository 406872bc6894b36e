"""The pass: applies a profile to a dataset at every depth; complete without Orthanc's own /anonymize before it."""

import warnings
from collections.abc import Callable, Mapping

from pydicom import Dataset
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.tag import BaseTag

from orthanc_deid.errors import Rejected

from . import charsets, dates, dummies, method
from .plan import NUMBERS, PATIENT_ID, PATIENT_NAME, Action, plan
from .profile import Profile
from .pseudonyms import Patient, Pseudonyms

Element = DataElement | RawDataElement
_BULK = frozenset({"OB", "OD", "OF", "OL", "OV", "OW"})
_TEXTS = frozenset({"LO", "LT", "SH", "ST", "UC", "UT"})
# What native /anonymize changes inside items whatever it is told: StudyInstanceUID and SeriesInstanceUID.
_SPOILED = frozenset({0x0020000D, 0x0020000E})
_OLDEST = 89  # years; above, an age is a direct identifier (HIPAA 164.514(b)(2)(i)(C))
_SHORT = 0xFFFE  # bytes that fit the 16-bit length of most VRs


def rewrite(  # noqa: PLR0913  # four facts and three that differ by door
    ds: Dataset,
    profile: Profile,
    pseudonyms: Pseudonyms,
    patient: Patient,
    *,
    version: str,
    already_mapped: frozenset[str] = frozenset(),
    original: Callable[[], Dataset] | None = None,
) -> Dataset:
    """De-identify a dataset in place and return it.

    `ds` is the source, or what Orthanc's /anonymize made of it with the payload of `native`; then `already_mapped`
    holds the UIDs that the payload gave, which are this project's own and stay. `original` fetches the source; it is
    called only where /anonymize spoiled sequences that stay. `version` is this software's.

    Raises
    ------
    Rejected
        The dataset is nested too deeply to be looked at.
    """
    run = _Pass(ds, profile, pseudonyms, patient, already_mapped)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a library's warning may hold a value
        try:
            run.clean(ds, charsets.DEFAULT)
            if run.spoiled and original is not None:
                _take_sequences(ds, original())
                run.clean(ds, charsets.DEFAULT, only_sequences=True)
        except RecursionError:
            raise Rejected("sequences are nested too deeply") from None
    run.finish(ds, profile, version)
    return ds


def _take_sequences(ds: Dataset, source: Dataset) -> None:
    """Replace every sequence that is left by the source's."""
    for tag, elem in list(ds.items()):
        if elem.VR == "SQ":
            found = source.get_item(tag)
            if found is None:
                del ds[tag]
            else:
                ds[tag] = found


class _Pass:
    """One dataset's values and the handler of each action."""

    def __init__(
        self, ds: Dataset, profile: Profile, pseudonyms: Pseudonyms, patient: Patient, mapped: frozenset[str]
    ) -> None:
        implicit, little = ds.original_encoding
        self.implicit, self.little = bool(implicit), little is not False
        self.handlers = _handlers(plan(profile))
        self.uid = pseudonyms.uid
        self.mapped = mapped
        self.name = pseudonyms.patient_name(patient).encode("ascii")
        self.id = pseudonyms.patient_id(patient).encode("ascii")
        self.days = pseudonyms.offset_days(patient)
        self.dates = Action.SHIFT in plan(profile).values()
        self.encodings: charsets.Encodings = charsets.DEFAULT
        self.depth = 0
        self.spoiled = False

    def clean(self, ds: Dataset, inherited: charsets.Encodings, *, only_sequences: bool = False) -> None:
        """Apply the plan to every element of a dataset or item."""
        outer, self.encodings = self.encodings, charsets.declared(ds, inherited)
        find = self.handlers.get
        for tag, elem in list(ds.items()):
            if only_sequences and elem.VR not in ("SQ", None):
                continue
            handler = find(tag)
            new = handler(self, ds, elem) if handler else None
            if new is None:
                del ds[tag]
            elif new is not elem:
                ds[tag] = new
        if self.depth and not self.spoiled:
            self.spoiled = any(tag in ds for tag in _SPOILED)
        self.encodings = outer

    def finish(self, ds: Dataset, profile: Profile, version: str) -> None:
        """Write who the dataset is now, what a person asked for, and what was done."""
        self.put(ds, PATIENT_NAME, "PN", self.name)
        self.put(ds, PATIENT_ID, "LO", self.id)
        encodings = charsets.declared(ds, charsets.DEFAULT)
        for tag, text in profile.native.replace().items():
            self.put(ds, tag, dictionary_VR(tag).split(" ")[0], charsets.encoded(text, encodings))
        for tag, vr, value in method.attributes(profile, version):
            self.put(ds, tag, vr, value)
        ds[method.CODES] = method.code_sequence(profile, implicit=self.implicit, little=self.little)

    def put(self, ds: Dataset, tag: int, vr: str, value: bytes) -> None:
        """Set an element of bytes."""
        ds[BaseTag(tag)] = self.raw(tag, vr, value)

    def raw(self, tag: int, vr: str, value: bytes) -> RawDataElement:
        """Make an element of bytes in the encoding of the dataset."""
        return RawDataElement(BaseTag(tag), vr, len(value), value, 0, self.implicit, self.little)

    def with_value(self, elem: Element, text: str | bytes) -> Element:
        """Make the element anew with another value; unknown VRs become the dictionary's."""
        value = text.encode("ascii", "replace") if isinstance(text, str) else text
        return self.raw(elem.tag, _vr(elem), value)

    # One handler for each action: the element as it is, a new one, or None to remove it.

    def keep(self, ds: Dataset, elem: Element) -> Element | None:
        """Keep a text; a VR that holds more gets the action of its kind, bytes for a text are removed."""
        vr = elem.VR or _vr(elem)
        if vr in NUMBERS:
            return None
        if vr in _TEXTS:
            return self.text(elem)
        handler = _BY_VR.get(vr)
        return handler(self, ds, elem) if handler else self.plain(elem)

    def number(self, ds: Dataset, elem: Element) -> Element | None:
        """Keep a number, in digits too; any other VR has no place there."""
        vr = elem.VR
        if vr in _BULK and "O" not in dictionary_VR(elem.tag):
            return None  # bytes in place of a number
        if vr is None or vr in NUMBERS or " " in vr:
            return elem
        if vr == "UN":
            return self.unknown(ds, elem)
        return self.plain(elem) if vr in ("DS", "IS") else None

    def as_is(self, ds: Dataset, elem: Element) -> Element | None:
        """Keep any text, name, date or number."""
        vr = elem.VR or _vr(elem)
        if vr == "SQ":
            return None
        if vr == "UN":
            return self.unknown(ds, elem)
        return elem if vr in NUMBERS else self.text(elem)

    def text(self, elem: Element) -> Element:
        """Keep a text that its character set can decode; replace the bytes that it cannot."""
        value = elem.value
        if not isinstance(elem, RawDataElement) or not value or (value.isascii() and b"\x1b" not in value):
            return elem
        return elem if charsets.decodes(value, self.encodings) else self.with_value(elem, charsets.ascii_only(value))

    def plain(self, elem: Element) -> Element | None:
        """Keep a value of printable ASCII; anything else in it is not what the VR says."""
        value = elem.value
        if isinstance(elem, RawDataElement) and value and value.rstrip(b"\x00").translate(None, _PRINTABLE):
            return None
        return elem

    def unknown(self, ds: Dataset, elem: Element) -> Element | None:
        """Read UN as what the dictionary says (PS3.5 6.2.2: little endian), so that it can be looked at."""
        vr = dictionary_VR(elem.tag)
        value = _bytes(elem)
        if not self.little or " " in vr or len(value) > _SHORT:
            return None
        known = self.raw(elem.tag, vr, value)
        return known if vr in NUMBERS else None if vr == "UN" else self.keep(ds, known)

    def empty(self, _ds: Dataset, elem: Element) -> Element:
        """Leave the attribute without a value."""
        if _vr(elem) == "SQ":
            return DataElement(elem.tag, "SQ", [])
        return self.with_value(elem, b"")

    def dummy(self, _ds: Dataset, elem: Element) -> Element | None:
        """Put a value of the VR that says nothing."""
        vr = _vr(elem)
        if vr == "SQ":
            return DataElement(elem.tag, "SQ", dummies.items(elem.tag))
        value = dummies.VALUES.get(vr)
        return None if value is None else self.with_value(elem, value)

    def items(self, ds: Dataset, elem: Element) -> Element | None:
        """Clean the items of a sequence; what cannot be read as one is removed."""
        if elem.VR not in ("SQ", "UN", None):
            return None
        sequence = _sequence(ds, elem)
        if sequence is None:
            return None
        self.depth += 1
        for item in sequence.value:
            self.clean(item, self.encodings)
        self.depth -= 1
        return sequence

    def map_uid(self, _ds: Dataset, elem: Element) -> Element | None:
        """Map each value by the project's key."""
        uids = [value.strip("\x00 ") for value in _text(elem).split("\\")]
        return self.with_value(elem, "\\".join(u if not u or u in self.mapped else self.uid(u) for u in uids))

    def class_uid(self, _ds: Dataset, elem: Element) -> Element | None:
        """Keep a UID that names a class; anything that is no UID is removed."""
        return elem if not set(_text(elem)) - _UID_CHARACTERS else None

    def shift(self, _ds: Dataset, elem: Element) -> Element | None:
        """Shift each date; one that cannot be read removes the element."""
        text = dates.shifted(_text(elem), self.days)
        return None if text is None else self.with_value(elem, text)

    def time(self, _ds: Dataset, elem: Element) -> Element | None:
        """Keep a time of day."""
        return elem if dates.is_time(_text(elem)) else None

    def uncovered_date(self, ds: Dataset, elem: Element) -> Element | None:
        """Shift a date where dates are shifted, else leave it without a value."""
        return self.shift(ds, elem) if self.dates else self.empty(ds, elem)

    def uncovered_time(self, ds: Dataset, elem: Element) -> Element | None:
        """Keep a time where dates are shifted, else leave it without a value."""
        return self.time(ds, elem) if self.dates else self.empty(ds, elem)

    def age(self, _ds: Dataset, elem: Element) -> Element | None:
        """Keep an age up to 89 years, make any above 090Y."""
        text = _text(elem).strip("\x00 ")
        if not text:
            return self.with_value(elem, b"")
        if len(text) != len("089Y") or not text[:3].isdigit() or text[3] not in "DWMY":
            return None
        years = int(text[:3]) / _IN_A_YEAR[text[3]]
        return self.with_value(elem, "090Y" if years > _OLDEST else text)

    def patient_name(self, _ds: Dataset, elem: Element) -> Element:
        """Put the pseudonym in place of the name."""
        return self.with_value(elem, self.name)

    def patient_id(self, _ds: Dataset, elem: Element) -> Element:
        """Put the pseudonym in place of the id."""
        return self.with_value(elem, self.id)


_PRINTABLE = bytes(range(0x20, 0x7F))
_UID_CHARACTERS = frozenset("0123456789.\\\x00 ")
_IN_A_YEAR = {"Y": 1, "M": 12, "W": 52, "D": 365}

Handler = Callable[[_Pass, Dataset, Element], Element | None]

HANDLERS: dict[Action, Handler] = {
    Action.KEEP: _Pass.keep,
    Action.NUMBER: _Pass.number,
    Action.AS_IS: _Pass.as_is,
    Action.EMPTY: _Pass.empty,
    Action.DUMMY: _Pass.dummy,
    Action.ITEMS: _Pass.items,
    Action.UID: _Pass.map_uid,
    Action.CLASS: _Pass.class_uid,
    Action.SHIFT: _Pass.shift,
    Action.TIME: _Pass.time,
    Action.AGE: _Pass.age,
    Action.NAME: _Pass.patient_name,
    Action.ID: _Pass.patient_id,
}

# What a kept attribute gets whose VR in the file is one of these, whatever the dictionary says of it.
_BY_VR: dict[str, Handler] = {
    "SQ": _Pass.items,
    "UN": _Pass.unknown,
    "PN": _Pass.empty,
    "UI": _Pass.map_uid,
    "DA": _Pass.uncovered_date,
    "DT": _Pass.uncovered_date,
    "TM": _Pass.uncovered_time,
}

_compiled: dict[int, tuple[Mapping[int, Action], dict[int, Handler]]] = {}


def _handlers(actions: Mapping[int, Action]) -> dict[int, Handler]:
    """Answer tag -> handler; made once for each plan, of which `plan` keeps a few."""
    known = _compiled.get(id(actions))
    if known is None or known[0] is not actions:
        known = _compiled[id(actions)] = (actions, {tag: HANDLERS[action] for tag, action in actions.items()})
    return known[1]


def _vr(elem: Element) -> str:
    """Answer the VR in the file, or where that says nothing the first one of the dictionary."""
    return str(elem.VR) if elem.VR not in (None, "UN") else dictionary_VR(elem.tag).split(" ")[0]


def _bytes(elem: Element) -> bytes:
    value = elem.value
    return value if isinstance(value, bytes) else b""


def _text(elem: Element) -> str:
    """Answer the value as text of the default repertoire, values separated by a backslash."""
    value = elem.value
    if isinstance(value, bytes):
        return value.decode("latin-1")
    if value is None:
        return ""
    return "\\".join(map(str, value)) if isinstance(value, list | tuple) or hasattr(value, "append") else str(value)


def _sequence(ds: Dataset, elem: Element) -> DataElement | None:
    try:
        converted = ds[elem.tag]
        return converted if converted.VR == "SQ" and all(len(item) >= 0 for item in converted.value) else None
    except RecursionError:
        raise
    except Exception:  # noqa: BLE001  # pydicom raises many kinds for bytes that are no sequence: none can be kept
        return None
