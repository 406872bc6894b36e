"""Compiles a profile into exactly one action for every attribute of the dictionary; what is missing is removed."""

import re
from collections.abc import Mapping
from enum import StrEnum
from functools import lru_cache

from pydicom._dicom_dict import DicomDictionary

from . import table
from .options import Option
from .profile import Profile


class Action(StrEnum):
    """What happens to an attribute, at every depth."""

    KEEP = "keep"  # a text, unless its VR in the file is one that needs an action of its own
    NUMBER = "keep a number"  # or bulk data
    AS_IS = "keep as it is"  # a person asked for it, or it names a class of the standard
    REMOVE = "remove"
    EMPTY = "empty"
    DUMMY = "dummy"
    ITEMS = "clean its items"
    UID = "map its UIDs"
    CLASS = "keep a class UID"
    SHIFT = "shift its dates"
    TIME = "keep a time"
    AGE = "keep an age of up to 89 years"
    NAME = "pseudonym as name"
    ID = "pseudonym"


# The letters where a type is not known: an empty value is valid for Types 2 and 3, a dummy for all three.
LETTERS = {
    "D": Action.DUMMY,
    "Z": Action.EMPTY,
    "X": Action.REMOVE,
    "U": Action.UID,
    "Z/D": Action.DUMMY,
    "X/Z": Action.EMPTY,
    "X/D": Action.DUMMY,
    "X/Z/D": Action.DUMMY,
    "X/Z/U*": Action.ITEMS,
}
# A sequence that may be removed is removed: a dummy item is needed only where nothing else is allowed.
SEQUENCES = LETTERS | {"X/D": Action.REMOVE, "X/Z/D": Action.REMOVE}

OPTION_ACTIONS = {"keep": Action.KEEP, "shift": Action.SHIFT, "age": Action.AGE}

# UIDs that name a class, a syntax or a published list, and no object of anybody (PS3.15 Table E.1-1 has none of them).
CLASS_UIDS = frozenset(
    {
        0x00080016, 0x0008001A, 0x0008001B, 0x00080062, 0x0008010C, 0x0008010D, 0x00080117, 0x00080118, 0x0008040E,
        0x00081150, 0x0008115A, 0x00083002, 0x00340003, 0x04000010, 0x04000510, 0x30100052, 0x30100053,
    }
)  # fmt: skip
# Addresses of things lead to their owner; these two are parts of a published code.
CODE_ADDRESSES = frozenset({0x0008010E, 0x00080120})
# Texts that Table E.1-1 does not list although a person writes them (a segment's label, a beam's name).
_TYPED_KEYWORD = re.compile("Label$|Description$|Comments?$|Notes$|Text$|Explanation$|Reason|Title$")
TYPED = frozenset(
    {
        "ApplicationSetupName", "AssignedLocation", "BeamName", "BlockName", "ChannelShieldName", "ComponentWelderIDs",
        "ContactDisplayName", "DataElementName", "DataSetName", "DataSetSource", "EnergyWindowName",
        "HangingProtocolCreator", "HangingProtocolUserGroupName", "IndicationLabel", "ItineraryID", "NTPSourceAddress",
        "FillerOrderNumberImagingServiceRequestRetired", "FillerOrderNumberProcedure", "OwnerID",
        "PlacerOrderNumberImagingServiceRequestRetired", "PlacerOrderNumberProcedure", "PrinterName",
        "RadiationMachineName", "RTImageName", "SourceApplicatorName",
        "StorageMediaFileSetID", "SurgicalTechnique", "TargetLabel", "TemplateName", "TrackingID", "TreatmentProtocols",
    }
)  # fmt: skip
# Long texts that are parts of a published list or made by a device.
FIXED_PROSE = frozenset(
    {
        "AlgorithmParameters", "CodingSchemeExternalID", "CodingSchemeName", "CodingSchemeResponsibleOrganization",
        "DetectorMode", "EXIFVersion", "FractionPattern", "GridAbsorbingMaterial", "GridSpacingMaterial",
        "ImageDisplayFormat", "LinearityCorrectionTechnique", "BeamHardeningCorrectionTechnique", "LongCodeValue",
        "SpectralSensitivity",
    }
)  # fmt: skip
# Dates that are texts, so that no rule for dates sees them.
_DATES_AS_TEXT = frozenset({0x00100033, 0x00100034})
# What the pass writes itself, and what describes the lengths of the file that was.
OWN = frozenset({0x00120062, 0x00120063, 0x00120064, 0x00280303})
LENGTHS = frozenset({0x00080001, 0xFFFCFFFC})
# The original attributes under somebody's public key: nobody can look into it (PS3.15 E.1.2).
SEALED = frozenset({0x04000500})
_FILE_GROUPS = frozenset({0x0000, 0x0002, 0x0004, 0xFFFE})
_DATES = frozenset({"DA", "DT"})

NUMBERS = frozenset({"AT", "FD", "FL", "OB", "OD", "OF", "OL", "OV", "OW", "SL", "SS", "SV", "UL", "US", "UV"})

PATIENT_NAME, PATIENT_ID = 0x00100010, 0x00100020


def plan(profile: Profile) -> Mapping[int, Action]:
    """Answer the action of every attribute that is not removed; a tag that is not in it is removed."""
    return _plan(profile.options, profile.native.keep(), profile.native.remove())


@lru_cache(maxsize=32)
def _plan(options: tuple[Option, ...], keep: frozenset[int], remove: frozenset[int]) -> Mapping[int, Action]:
    chosen = [table.option(option) for option in options]
    dates = Option.MODIFIED_DATES in options
    actions: dict[int, Action] = {}
    for tag, (vr, _, _, _, keyword) in DicomDictionary.items():
        if tag in keep:
            actions[tag] = Action.ITEMS if vr == "SQ" else Action.AS_IS
        elif tag not in remove and not _outside(tag):
            action = _listed(tag, vr, chosen) or _uncovered(tag, vr, keyword, dates=dates)
            if action is not Action.REMOVE:
                actions[tag] = action
    return actions


def _outside(tag: int) -> bool:
    return tag >> 16 in _FILE_GROUPS or table.in_removed_group(tag) or tag in OWN | LENGTHS | SEALED | _DATES_AS_TEXT


def _listed(tag: int, vr: str, options: list[Mapping[int, str]]) -> Action | None:
    if tag == PATIENT_NAME:
        return Action.NAME
    if tag == PATIENT_ID:
        return Action.ID
    for option in options:
        if tag in option:
            return _for_vr(OPTION_ACTIONS[option[tag]], vr)
    letter = table.basic().get(tag)
    if letter is None:
        return None
    action = (SEQUENCES if vr == "SQ" else LETTERS)[letter]
    # A UID that the table gives a dummy (Annotation Group UID) is mapped: references to it still resolve.
    return Action.UID if vr == "UI" and action is Action.DUMMY else action


def _for_vr(action: Action, vr: str) -> Action:
    if action is Action.KEEP:
        return {"SQ": Action.ITEMS, "TM": Action.TIME}.get(vr, _kept(vr))
    return action


def _kept(vr: str) -> Action:
    return Action.NUMBER if vr.split(" ", maxsplit=1)[0] in NUMBERS else Action.KEEP


def _uncovered(tag: int, vr: str, keyword: str, *, dates: bool) -> Action:
    """Choose for what the table does not list: the standard keeps it, unless its kind of value identifies."""
    if vr == "UI":
        return Action.CLASS if tag in CLASS_UIDS else Action.UID
    if vr == "UR":
        return Action.KEEP if tag in CODE_ADDRESSES else Action.REMOVE
    if vr in _DATES:
        return Action.SHIFT if dates else Action.EMPTY
    if vr == "TM":
        return Action.TIME if dates else Action.EMPTY
    if _is_typed(vr, keyword):
        return Action.DUMMY
    return {"SQ": Action.ITEMS, "PN": Action.EMPTY}.get(vr, _kept(vr))


def _is_typed(vr: str, keyword: str) -> bool:
    """Tell whether a person writes the text as they please; without Clean Descriptors nobody has looked at it."""
    if vr in ("LT", "ST", "UC", "UT"):
        return keyword not in FIXED_PROSE
    return vr in ("LO", "SH") and (keyword in TYPED or bool(_TYPED_KEYWORD.search(keyword)))
