"""Where retrieved images are put: `sub-<PatientID>/ses-<StudyDate><StudyTime>/<SeriesNumber>-<SeriesDescription>`.

The names are those of PACSIFIER: ASCII, every run of other characters is `_`. Two patients, or two series, whose names
become the same are told apart by `_2`, `_3`; who has which name is kept beside, in `.orthanc-deid`, so that the same
one gets the same name after a restart, from another process, and on a disk that knows no capitals.
"""

import hashlib
import re
import unicodedata
from collections.abc import Mapping
from pathlib import Path

from . import once

NO_PATIENT, NO_DESCRIPTION = "No_patient_id", "No_series_description"
_CLAIMS = ".orthanc-deid"
_OTHER = re.compile(r"[^0-9A-Za-z]+")
_NUMBER = re.compile(r"[+-]?[0-9]{1,12}")
_TIME = re.compile(r"[0-9]+(?:\.[0-9]+)?")
_LONGEST = 120  # bytes of a reduced name: with prefix, number and `.csv` it fits every file system


def reduced(text: str) -> str:
    """Return text in ASCII; accents are dropped, every run of what is no letter or digit becomes `_`."""
    plain = unicodedata.normalize("NFD", text).encode("ascii", "ignore").decode("ascii")
    return _OTHER.sub("_", plain)[:_LONGEST]


def patient(PatientID: str) -> str:
    """Return the folder of a patient."""
    return f"sub-{_or(reduced(PatientID.strip()), NO_PATIENT)}"


def session(StudyDate: str, StudyTime: str) -> str:
    """Return the folder of a study in that of its patient; empty where there is no date: there is no such level."""
    date, time = reduced(StudyDate.strip()), StudyTime.strip()
    return f"ses-{date}{time[:16] if _TIME.fullmatch(time) else reduced(time)}" if date.strip("_") else ""


def series(SeriesNumber: str, SeriesDescription: str) -> str:
    """Return the folder of a series in that of its study."""
    number = SeriesNumber.strip()
    padded = f"{int(number):05d}" if _NUMBER.fullmatch(number) else reduced(number).zfill(5)
    return f"{padded}-{_or(reduced(SeriesDescription.strip()), NO_DESCRIPTION)}"


def _or(name: str, otherwise: str) -> str:
    return name if name.strip("_") else otherwise


class Tree:
    """The folders below one root, made as they are asked for, mode 0700."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def folder(self, attributes: Mapping[str, str]) -> Path:
        """Return the folder of a series, by the keywords of its attributes; SeriesInstanceUID says which it is."""
        told = {key: str(attributes.get(key, "")) for key in _KEYS}
        # Without a PatientID nobody knows whether two studies are of one patient.
        owner = told["PatientID"].strip() or f"study {told['StudyInstanceUID']}"
        place = self._named((), patient(told["PatientID"]), owner)
        if name := session(told["StudyDate"], told["StudyTime"]):
            place = (*place, name)
        name = series(told["SeriesNumber"], told["SeriesDescription"])
        place = self._named(place, name, told["SeriesInstanceUID"])
        return self._made(place)

    def _named(self, above: tuple[str, ...], name: str, owner: str) -> tuple[str, ...]:
        """Return the first of name, name_2, ... that is of that owner, or of nobody yet."""
        number = 1
        while True:
            place = (*above, name if number == 1 else f"{name}_{number}")
            if self._claim(place, owner):
                return place
            number += 1

    def _claim(self, place: tuple[str, ...], owner: str) -> bool:
        """Take a name for an owner; tell whether it is theirs. Of two processes at once one gets it."""
        claims = self._made((_CLAIMS,))
        claim = claims / _digest("/".join(place).casefold())
        mark = _digest(owner)
        if not claim.exists():
            once.put(claim, mark.encode())
        return claim.read_text(encoding="ascii") == mark

    def _made(self, place: tuple[str, ...]) -> Path:
        path = self._root
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        for part in place:
            path /= part
            path.mkdir(mode=0o700, exist_ok=True)
        return path


_KEYS = (
    "PatientID", "StudyInstanceUID", "StudyDate", "StudyTime", "SeriesInstanceUID", "SeriesNumber",
    "SeriesDescription",
)  # fmt: skip


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
