"""Keyed replacement of ids, UIDs and dates: the same key and original give the same answer everywhere."""

import base64
import hmac
import re
from dataclasses import dataclass

WELL_KNOWN = "1.2.840.10008."  # the standard's own root: SOP classes, transfer syntaxes, known frames of reference
LEAST_DAYS, MOST_DAYS = -3650, -365
# A class, syntax or list of the standard; people have made UIDs of their own under its root, from dates and numbers.
_OF_THE_STANDARD = re.compile(r"1\.2\.840\.10008(?:\.(?:0|[1-9][0-9]{0,3})){1,9}")
FORM = "P{code:16}"
_FIELD = re.compile(r"\{(code|project)(?::([0-9]+))?\}")
_CACHED = 1 << 16
_WEEK = 7


def is_well_known(uid: str) -> bool:
    """Tell whether a UID names something of the standard and nothing of anybody."""
    return uid.startswith(WELL_KNOWN) and bool(_OF_THE_STANDARD.fullmatch(uid))


@dataclass(frozen=True, slots=True)
class Patient:
    """Who a dataset is about: (IssuerOfPatientID, PatientID), compared without case and outer blanks."""

    issuer: str
    patient_id: str
    assigned: str = ""  # the pseudonym that a list or a pseudonym source gives; UIDs derive from the key all the same
    offset_days: int | None = None  # given by a pseudonym source; None: derived from the key

    @property
    def normal(self) -> str:
        """The text that the key is applied to."""
        return f"{normal(self.issuer)}\x00{normal(self.patient_id)}"


def normal(text: str) -> str:
    """Return a PatientID, issuer or pseudonym as it is compared: without case, outer blanks and padding."""
    return text.strip("\x00 ").strip().casefold()


class Pseudonyms:
    """Every replacement value of one project.

    `form` is the template of pseudonyms: {code:N} is N characters of A-Z and 2-7, {project} the project's name.
    """

    def __init__(self, key: bytes, form: str = FORM, project: str = "") -> None:
        self._key, self._form, self._project = key, form, project
        self._uids: dict[str, str] = {}

    def uid(self, original: str) -> str:
        """Answer the new UID in 2.25 form (PS3.5 B.2); the standard's own UIDs stay.

        At most 44 characters. Two forms of one UID that differ in padding are one UID.
        """
        original = original.strip("\x00 ")
        if is_well_known(original):
            return original
        found = self._uids.get(original)
        if found is None:
            if len(self._uids) >= _CACHED:
                self._uids.clear()
            found = self._uids[original] = _uuid_form(_hmac(self._key, "uid", original))
        return found

    def patient_id(self, patient: Patient) -> str:
        """Answer the pseudonym: the one that was given, or what the template makes of the key."""
        if patient.assigned:
            return patient.assigned
        code = base64.b32encode(_hmac(self._key, "patient", patient.normal)[:10]).decode("ascii")
        return _FIELD.sub(lambda m: self._project if m[1] == "project" else code[: int(m[2] or len(code))], self._form)

    def patient_name(self, patient: Patient) -> str:
        """Answer the same pseudonym: a name that says nothing but which patient it is."""
        return self.patient_id(patient)

    def token(self, original: str) -> str:
        """Answer 16 hexadecimal digits, which fit every text VR."""
        return _hmac(self._key, "token", original).hex()[:16].upper()

    def offset_days(self, patient: Patient, *, whole_weeks: bool = False) -> int:
        """Answer the shift of all dates of a patient in whole days: as given, or one to ten years back, never 0."""
        if patient.offset_days is not None:
            return patient.offset_days
        digest = _hmac(self._key, "days", patient.normal)
        days = LEAST_DAYS + int.from_bytes(digest[:16], "big") % (MOST_DAYS - LEAST_DAYS + 1)
        return days // _WEEK * _WEEK if whole_weeks else days


def _hmac(key: bytes, kind: str, original: str) -> bytes:
    return hmac.digest(key, f"orthanc-deid\x00{kind}\x00{original}".encode("utf-8", "surrogatepass"), "sha256")


def _uuid_form(digest: bytes) -> str:
    """Set the version and variant bits of RFC 4122 in the first 16 bytes, as PS3.5 B.2 wants."""
    number = int.from_bytes(digest[:16], "big")
    number = number & ~(0xF << 76) | 4 << 76
    number = number & ~(0x3 << 62) | 2 << 62
    return f"2.25.{number}"
