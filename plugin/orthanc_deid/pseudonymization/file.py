"""file: pseudonyms that stand in a file; it is read again when it has changed, and never used while it is faulty."""

import collections.abc
from dataclasses import dataclass

from ..confidentiality.pseudonyms import normal
from ..errors import Retriable
from ..settings.pseudonym_file import FilePseudonyms
from . import forms
from .base import Asked, Given, Missing, Tools
from .forms import content
from .forms.content import Content, Stamp
from .forms.day_shifts import Shifts, date_offsets, day_shifts
from .forms.entry import without_sub

NO_SHIFT = Missing("the file of day shifts does not list the patient")
ITSELF = Missing("the pseudonym is the PatientID itself")


PSEUDONYMS, SHIFTS, OFFSETS, FOLDERS = (
    "the file of pseudonyms", "the file of day shifts", "the file of date offsets", "the list of folders",
)  # fmt: skip


@dataclass(frozen=True, repr=False)
class _Loaded:
    """What the files say, or why they cannot be used; `stamps`: their states, None where they must be read again."""

    stamps: tuple[Stamp, ...] | None
    table: forms.Table | None = None
    shifts: Shifts | None = None
    fault: str = ""


class File:
    """Looks patients up; asked each time, so that a corrected file is noticed."""

    steady = False

    def __init__(self, settings: FilePseudonyms, tools: Tools) -> None:
        self._settings = settings
        named = {
            PSEUDONYMS: settings.path,
            SHIFTS: settings.day_shift,
            OFFSETS: settings.date_offsets,
            FOLDERS: settings.folders,
        }
        self._paths = {what: tools.folder / path for what, path in named.items() if path}
        self._loaded = _Loaded(None)

    @property
    def per_study(self) -> bool:
        """Tell whether it gives labels of sessions."""
        return bool(self._settings.columns and self._settings.columns.session)

    def give(self, asked: collections.abc.Sequence[Asked]) -> list[Given | Missing]:
        """Answer for each, all from one state of the files."""
        loaded = self._current()
        return [_give(loaded, each) for each in asked]

    preview = give

    def _current(self) -> _Loaded:
        stamps = tuple(content.stamp(path, what) for what, path in self._paths.items())
        if self._loaded.stamps != stamps:
            self._loaded = _Loaded(None)  # what was there before is not used, whatever happens
            self._loaded = self._load()
        if self._loaded.fault:
            raise Retriable(self._loaded.fault)
        return self._loaded

    def _load(self) -> _Loaded:
        at = PSEUDONYMS
        read: dict[str, Content] = {}
        try:
            for at, path in self._paths.items():
                read[at] = content.read(path, at)
            at = PSEUDONYMS
            text, named = read[at].text, self._settings.columns
            table = forms.table(forms.form_of(self._settings.form, self._settings.path.name, text, named), text)
            at = SHIFTS if SHIFTS in read else OFFSETS
            return _Loaded(_stamps(read), table, _shifts(read))
        except forms.Faulty as error:
            stamps = _stamps(read) if read.keys() == self._paths.keys() else None
            return _Loaded(stamps, fault=f"{at}: {error}")


def _stamps(read: dict[str, Content]) -> tuple[Stamp, ...] | None:
    is_settled = all(each.is_settled for each in read.values())
    return tuple(each.stamp for each in read.values()) if is_settled else None


def _shifts(read: dict[str, Content]) -> Shifts | None:
    if SHIFTS in read:
        return day_shifts(read[SHIFTS].text)
    return date_offsets(read[OFFSETS].text, read[FOLDERS].text) if OFFSETS in read else None


def _give(loaded: _Loaded, asked: Asked) -> Given | Missing:
    assert loaded.table is not None  # noqa: S101  # it has no fault
    found = loaded.table.find(asked.patient, asked.read)
    if isinstance(found, Missing):
        return found
    if normal(found.pseudonym) == normal(asked.patient.patient_id):
        return ITSELF
    days = found.offset_days
    if loaded.shifts is not None:
        key = without_sub(asked.patient.patient_id)
        if key not in loaded.shifts:
            return NO_SHIFT
        days = loaded.shifts[key]
    return Given(found.pseudonym, days, found.subject, found.session, birth_date=found.birth_date)
