"""The attributes that say what was done: (0012,0062) to (0012,0064) and (0028,0303), PS3.15 E.1.1."""

from pydicom import Dataset
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.tag import BaseTag

from .profile import Profile
from .rules import RuleAction
from .standard.options import BASIC_CODE, Option, code

IDENTITY_REMOVED = 0x00120062
METHOD = 0x00120063
CODES = BaseTag(0x00120064)
DATES_MODIFIED = 0x00280303
_DATES = {Option.MODIFIED_DATES: b"MODIFIED", Option.FULL_DATES: b"UNMODIFIED"}
_LONGEST = 64  # characters of one LO value
PRODUCT = "Orthanc De-ID"  # begins (0012,0063) DeidentificationMethod: intake knows our own outputs by it


def attributes(profile: Profile, version: str) -> list[tuple[int, str, bytes]]:
    """Answer tag, VR and bytes of everything but the code sequence."""
    lines = (f"{PRODUCT} {version}", " ".join(maker(profile)))
    text = "\\".join(line.replace("\\", "/")[:_LONGEST] for line in lines)
    shifts = any(rule.action is RuleAction.SHIFT for rule in profile.rules)
    dates = next(
        (word for option, word in _DATES.items() if profile.has(option)), b"MODIFIED" if shifts else b"REMOVED"
    )
    return [
        (IDENTITY_REMOVED, "CS", b"YES"),
        (METHOD, "LO", text.encode("ascii", "replace")),
        (DATES_MODIFIED, "CS", dates),
    ]


def maker(profile: Profile) -> tuple[str, str, str]:
    """Answer what is told of the profile: name, version and the digits that change with anything in it."""
    return profile.name, profile.version, profile.digest


def made_by(value: str) -> tuple[str, str, str] | None:
    """Read name, version and digits of the profile out of DeidentificationMethod; None where it is not ours."""
    product, _, told = value.partition("\\")
    words = told.strip().split(" ")
    if not product.startswith(PRODUCT) or len(words) != len(("name", "version", "digest")):
        return None
    return words[0], words[1], words[2]


def code_sequence(profile: Profile, *, implicit: bool, little: bool) -> DataElement:
    """Make one item for the Basic Profile and one for each option that ran."""
    items = []
    for value, meaning in (BASIC_CODE, *map(code, profile.options)):
        item = Dataset()
        for tag, vr, text in ((0x00080100, "SH", value), (0x00080102, "SH", "DCM"), (0x00080104, "LO", meaning)):
            data = text.encode("ascii")
            item[BaseTag(tag)] = RawDataElement(BaseTag(tag), vr, len(data), data, 0, implicit, little)
        item.set_original_encoding(implicit, little)
        items.append(item)
    return DataElement(CODES, "SQ", items)
