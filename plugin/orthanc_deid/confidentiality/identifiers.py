"""What identifies the patient and the study in the source: the words that must not be in any output."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from pydicom import Dataset
from pydicom._dicom_dict import DicomDictionary
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import DataElement, RawDataElement

from orthanc_deid.errors import Rejected

from . import elements
from .pseudonyms import is_well_known
from .standard.attributes import BIRTH_DATES, CLASS_UIDS, ONE_VALUE, TEXTS
from .texts import charsets

# Set of Identifiers -> the attributes whose values belong into it; names are every PN, uids every UI.
FIELDS: dict[str, str] = {
    "ids": """
        AccessionNumber AdmissionID ClinicalTrialSubjectID ClinicalTrialSubjectReadingID
        FillerOrderNumberImagingServiceRequest FillerOrderNumberImagingServiceRequestRetired FillerOrderNumberProcedure
        InsurancePlanIdentification MedicalRecordLocator OtherPatientIDs PatientID PerformedProcedureStepID
        PlacerOrderNumberImagingServiceRequest PlacerOrderNumberImagingServiceRequestRetired PlacerOrderNumberProcedure
        RequestedProcedureID ScheduledProcedureStepID ServiceEpisodeID StudyID
    """,
    "places": """
        ClinicalTrialCoordinatingCenterName ClinicalTrialSiteName CountryOfResidence CurrentPatientLocation
        HumanPerformerOrganization InstitutionAddress InstitutionName InstitutionalDepartmentName
        OrderEntererLocation PatientAddress PatientInstitutionResidence PersonAddress ReferringPhysicianAddress
        RegionOfResidence RequestingService ResponsibleOrganization VerifyingOrganization
    """,
    "contacts": """
        ContactURI OrderCallbackPhoneNumber OrderCallbackTelecomInformation PatientTelecomInformation
        PatientTelephoneNumbers PersonTelecomInformation PersonTelephoneNumbers ReferringPhysicianTelephoneNumbers
    """,
}
# Sequences of codes whose meanings name an institution.
CODED_PLACES = frozenset({0x00080082, 0x00081041})


def _tags_of(field: str) -> frozenset[int]:
    tags = {keyword: tag_for_keyword(keyword) for keyword in FIELDS[field].split()}
    unknown = [keyword for keyword, tag in tags.items() if tag is None]
    if unknown:
        raise KeyError(f"not in the DICOM dictionary: {unknown}")
    return frozenset(tag for tag in tags.values() if tag is not None)


_NAMES = frozenset(tag for tag, (vr, *_) in DicomDictionary.items() if vr == "PN")  # whatever VR the file gives
_FIELD_OF = {tag: field for field in FIELDS for tag in _tags_of(field)} | dict.fromkeys(BIRTH_DATES, "dates")
# Words that stand where a name or id would: they name nobody.
_PLACEHOLDERS = """
    anon anonym anonymous anonymised anonymized anonymize deidentified de-identified removed redacted unknown
    unidentified none null nil n/a test tests testing phantom patient name noname surname first last mid middle pre
    prefix suffix doctor dr prof mr mrs ms md phd operator user admin default sample example demo dummy qa qc
    cr ct dx es io ko mg mr nm ot pr pt reg rf rg rtdose rtplan rtstruct sc seg sm sr us xa xc
    enter text value string the and von van der de la le du di da del al bin ben
"""
PLACEHOLDERS = frozenset(_PLACEHOLDERS.split())
_PARTS = re.compile(r"[\^=\s,;.]+")
_HYPHENS = re.compile(r"[-\u2010-\u2015]")
_LEAST = 2  # characters of anything that can identify


@dataclass(frozen=True, slots=True)
class Identifiers:
    """Sets of texts as they stand in the source; `|` joins those of several instances."""

    names: frozenset[str] = frozenset()
    ids: frozenset[str] = frozenset()
    dates: frozenset[str] = frozenset()
    uids: frozenset[str] = frozenset()
    places: frozenset[str] = frozenset()  # institutions, departments, addresses, regions
    contacts: frozenset[str] = frozenset()  # phone numbers and mail addresses

    def __or__(self, other: "Identifiers") -> "Identifiers":
        return Identifiers(**{name: getattr(self, name) | getattr(other, name) for name in KINDS})

    def without(self, *kinds: str) -> "Identifiers":
        """Leave out whole sets by their names: what a profile retains is no residue."""
        unknown = set(kinds) - set(KINDS)
        if unknown:
            raise ValueError(f"no such set of identifiers: {sorted(unknown)}")
        return replace(self, **dict.fromkeys(kinds, frozenset()))

    def __repr__(self) -> str:
        """Say how many, never which: a log or traceback may show it."""
        return f"Identifiers({len(self.names)} names, {len(self.ids)} ids, {len(self.uids)} UIDs)"


KINDS = tuple(field.name for field in fields(Identifiers))


def from_dataset(ds: Dataset, *, kept: frozenset[int] = frozenset()) -> Identifiers:
    """Collect from every depth of a dataset, but for the attributes that a profile keeps; its values stay raw.

    Raises
    ------
    Rejected
        A value that may identify cannot be read.
    """
    return _collected(_values(ds), kept)


def from_tags(tags: Mapping[str, Any], *, kept: frozenset[int] = frozenset()) -> Identifiers:
    """Collect from every depth of the JSON that Orthanc's GET /instances/{id}/tags answers."""
    return _collected(_tag_values(tags), kept)


def _collected(values: Iterable[tuple[int, str, str]], kept: frozenset[int]) -> Identifiers:
    found: dict[str, set[str]] = {kind: set() for kind in KINDS}
    retained: set[str] = set()  # UIDs that stay by request stand in other attributes too, private ones among them
    for tag, vr, text in values:
        if tag in kept:
            retained.update((text,) if vr == "UI" else ())
            continue
        if vr == "PN" or tag in _NAMES:
            found["names"].update(_name_parts(text))
        elif vr == "UI":
            if tag not in CLASS_UIDS and not is_well_known(text):
                found["uids"].add(text)
        elif (field := _FIELD_OF.get(tag)) and (field == "dates" or _counts(text)):
            found[field].add(text)
        elif tag in CODED_PLACES and _counts(text):
            found["places"].add(text)
    found["uids"] -= retained
    return Identifiers(**{kind: frozenset(texts) for kind, texts in found.items()})


def _name_parts(name: str) -> Iterator[str]:
    """Answer each alphabetic, ideographic and phonetic form, its parts and the halves of hyphens, no placeholders."""
    for form in name.split("="):
        parts = [part for part in _PARTS.split(form) if _is_name(part)]
        yield from parts
        for part in parts:
            yield from (half for half in _HYPHENS.split(part) if half != part and _is_name(half))
        every = [part for part in _PARTS.split(form) if part and part.casefold() not in PLACEHOLDERS]
        if len(every) > 1:
            yield " ".join(every)


def _is_name(part: str) -> bool:
    return _counts(part) and not part.isdigit()


def _counts(text: str) -> bool:
    return len(text) >= _LEAST and text.casefold() not in PLACEHOLDERS


def _values(ds: Dataset) -> Iterator[tuple[int, str, str]]:
    for tag, raw in list(ds.items()):
        # Converting a value is the expensive part: only kinds that are collected, and UN that may be one of them.
        vr, number = raw.VR, int(tag)
        if not ((vr or _dictionary_vr(number)) in _LOOKED_AT or number in _FIELD_OF or number in _NAMES):
            continue
        if vr in _PLAIN and isinstance(raw, RawDataElement) and _is_ascii(raw.value):
            whole = str(raw.value or b"", "ascii")
            texts = [whole] if vr in ONE_VALUE else whole.split("\\")
            yield from ((number, vr, text) for value in texts if (text := _trimmed(value)))
            continue
        elem = _converted(ds, raw)
        if elem is None:
            continue
        if elem.VR == "SQ":
            elements.put(ds, elem)  # parsed once, for the pass too
            for item in elem.value:
                yield from _values(item)
                if number in CODED_PLACES and (meaning := _trimmed(item.get("CodeMeaning"))):
                    yield number, "LO", meaning
        elif elem.VR in ("PN", "UI") or number in _FIELD_OF or number in _NAMES:
            values = elem.value if elem.VM > 1 else [elem.value]
            texts = [*map(_trimmed, values), *_as_shown(ds, raw, str(elem.VR))]
            yield from ((number, str(elem.VR), text) for text in texts if text)


def _as_shown(ds: Dataset, raw: DataElement | RawDataElement, vr: str) -> Iterator[str]:
    """Answer a text as the cleaner of texts reads it, where that may differ from what is declared."""
    value = raw.value
    if isinstance(raw, RawDataElement) and isinstance(value, bytes) and not value.isascii():
        encodings = ds.original_character_set
        names = (encodings,) if isinstance(encodings, str) else tuple(encodings)
        text = charsets.decoded(value, names, vr)
        yield from (part for each in (text or "").split("\\") if (part := _trimmed(each)))


_LOOKED_AT = frozenset({"SQ", "PN", "UI", "UN"})
_PLAIN = TEXTS | ONE_VALUE | {"AE", "CS", "DA", "PN", "UI"}  # VRs that nobody needs to convert where they are ASCII


def _is_ascii(value: bytes | None) -> bool:
    return not value or (value.isascii() and b"\x1b" not in value)


def _converted(ds: Dataset, raw: DataElement | RawDataElement) -> DataElement | None:
    """Convert a value and leave the raw one in the dataset: the pass works on bytes. None for bytes of a vendor."""
    try:
        return elements.converted(ds, raw)
    except Exception:  # noqa: BLE001  # pydicom raises many kinds for broken values, and quotes them
        if raw.tag.is_private and raw.VR == "UN":
            return None  # nobody says that it names somebody; it stays as bytes without anything known, or not at all
        raise Rejected(f"({raw.tag.group:04X},{raw.tag.element:04X}) cannot be read") from None


def _trimmed(value: object) -> str:
    return str(value or "").strip("\x00 ")


def _tag_values(tags: Mapping[str, Any]) -> Iterator[tuple[int, str, str]]:
    for key, entry in tags.items():
        tag, value = int(key.replace(",", ""), 16), entry.get("Value")
        if isinstance(value, list):
            for item in value:
                yield from _tag_values(item)
                meaning = _trimmed(item.get("0008,0104", {}).get("Value"))
                if tag in CODED_PLACES and meaning:
                    yield tag, "LO", meaning
        elif isinstance(value, str):
            vr = _dictionary_vr(tag)
            if vr in ("PN", "UI") or tag in _FIELD_OF:
                yield from ((tag, vr, text) for part in value.split("\\") if (text := _trimmed(part)))


def _dictionary_vr(tag: int) -> str:
    try:
        return dictionary_VR(tag)
    except KeyError:
        return ""
