"""What identifies the patient and the study in the source: the words that must not be in any output."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydicom import Dataset
from pydicom.datadict import dictionary_VR

from .plan import CLASS_UIDS
from .pseudonyms import WELL_KNOWN

IDS = frozenset(
    {
        0x00100020,  # Patient ID
        0x00101000,  # Other Patient IDs
        0x00101001,  # Other Patient Names: PN, listed for the reader
        0x00101090,  # Medical Record Locator
        0x00080050,  # Accession Number
        0x00200010,  # Study ID
        0x00380010,  # Admission ID
        0x00380060,  # Service Episode ID
        0x00401001,  # Requested Procedure ID
        0x00402016,  # Placer Order Number
        0x00402017,  # Filler Order Number
        0x00401006,  # and the retired places of both
        0x00401007,
        0x00402006,
        0x00402007,
    }
)
BIRTH_DATES = frozenset({0x00100030, 0x00100033, 0x00100034})
# Words that stand where a name or id would: they name nobody.
_PLACEHOLDERS = """
    anon anonym anonymous anonymised anonymized anonymize deidentified de-identified removed redacted unknown
    unidentified none null nil n/a test tests testing phantom patient name noname surname first last mid middle pre
    prefix suffix doctor dr prof mr mrs ms md phd operator user admin default sample example demo dummy qa qc
    enter text value string the and von van der de la le du di da del al bin ben
"""
PLACEHOLDERS = frozenset(_PLACEHOLDERS.split())
_PARTS = re.compile(r"[\^=\s,;.]+")
_LEAST = 2  # characters of anything that can identify


@dataclass(frozen=True, slots=True)
class Identifiers:
    """Sets of texts as they stand in the source; `|` joins those of several instances."""

    names: frozenset[str] = frozenset()
    ids: frozenset[str] = frozenset()
    dates: frozenset[str] = frozenset()
    uids: frozenset[str] = frozenset()

    def __or__(self, other: "Identifiers") -> "Identifiers":
        return Identifiers(
            self.names | other.names, self.ids | other.ids, self.dates | other.dates, self.uids | other.uids
        )

    def __repr__(self) -> str:
        """Say how many, never which: a log or traceback may show it."""
        return f"Identifiers({len(self.names)} names, {len(self.ids)} ids, {len(self.uids)} UIDs)"


def from_dataset(ds: Dataset) -> Identifiers:
    """Collect from every depth of a dataset."""
    return _collected(_values(ds))


def from_tags(tags: Mapping[str, Any]) -> Identifiers:
    """Collect from every depth of the JSON that Orthanc's GET /instances/{id}/tags answers."""
    return _collected(_tag_values(tags))


def _collected(values: Iterable[tuple[int, str, str]]) -> Identifiers:
    names: set[str] = set()
    ids: set[str] = set()
    dates: set[str] = set()
    uids: set[str] = set()
    for tag, vr, text in values:
        if vr == "PN":
            names.update(_name_parts(text))
        elif vr == "UI":
            if tag not in CLASS_UIDS and not text.startswith(WELL_KNOWN):
                uids.add(text)
        elif tag in BIRTH_DATES:
            dates.add(text)
        elif tag in IDS and _counts(text):
            ids.add(text)
    return Identifiers(frozenset(names), frozenset(ids), frozenset(dates), frozenset(uids))


def _name_parts(name: str) -> Iterator[str]:
    """Answer each alphabetic, ideographic and phonetic form and its parts, placeholders left out."""
    for form in name.split("="):
        parts = [part for part in _PARTS.split(form) if _counts(part) and not part.isdigit()]
        yield from parts
        if len(parts) > 1:
            yield " ".join(parts)


def _counts(text: str) -> bool:
    return len(text) >= _LEAST and text.casefold() not in PLACEHOLDERS


def _values(ds: Dataset) -> Iterator[tuple[int, str, str]]:
    for tag, raw in list(ds.items()):
        # Converting a value is the expensive part: only kinds that are collected, and UN that may be one of them.
        if not ((raw.VR or _dictionary_vr(tag)) in _LOOKED_AT or tag in IDS or tag in BIRTH_DATES):
            continue
        elem = ds[tag]
        if elem.VR == "SQ":
            for item in elem.value:
                yield from _values(item)
        elif elem.VR in ("PN", "UI") or tag in IDS or tag in BIRTH_DATES:
            for value in elem.value if elem.VM > 1 else [elem.value]:
                if text := str(value or "").strip("\x00 "):
                    yield tag, str(elem.VR), text


_LOOKED_AT = frozenset({"SQ", "PN", "UI", "UN"})


def _tag_values(tags: Mapping[str, Any]) -> Iterator[tuple[int, str, str]]:
    for key, entry in tags.items():
        tag, value = int(key.replace(",", ""), 16), entry.get("Value")
        if isinstance(value, list):
            for item in value:
                yield from _tag_values(item)
        elif isinstance(value, str):
            vr = _dictionary_vr(tag)
            if vr in ("PN", "UI") or tag in IDS or tag in BIRTH_DATES:
                yield from ((tag, vr, text) for part in value.split("\\") if (text := part.strip("\x00 ")))


def _dictionary_vr(tag: int) -> str:
    try:
        return dictionary_VR(tag)
    except KeyError:
        return ""
