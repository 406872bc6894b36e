"""What a source of pseudonyms is: asked for studies, it answers for each what its patient is called, or why not."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from ..confidentiality.pseudonyms import Patient
from ..database.crosswalk import Crosswalk, Still, at_any_time


@dataclass(frozen=True, repr=False)
class Asked:
    """One study.

    Parameters
    ----------
    patient
        Who it is about, after all aliases.
    read
        Answers the text of an attribute of the study's first instance, '' where there is none; by keyword
        (`StudyDate`), or for a private one by group, element without its block, and creator (`000B,01,CHUV_DEV_TML`).
    still
        Asked in each transaction that writes; raises where who asks may not write any more.
    """

    patient: Patient
    read: Callable[[str], str]
    still: Still = at_any_time


@dataclass(frozen=True, repr=False)
class Given:
    """What a source says; what it leaves empty derives from the project's key."""

    pseudonym: str
    offset_days: int | None = None  # added to all dates of the patient
    subject: str = ""  # label, where it is not the pseudonym
    session: str = ""  # label of this study
    accession: str = ""  # what stands for the accession number
    birth_date: str = field(default="", compare=False)  # YYYYMMDD; for the age in a session's label, never kept


@dataclass(frozen=True)
class Missing:
    """The source refuses, or does not know the patient: the study is quarantined."""

    reason: str  # without any identity


@dataclass(frozen=True)
class Tools:
    """What a source may use."""

    project: str
    key: bytes  # the project's
    crosswalk: Crosswalk | None  # None: there is no server; what needs one says so
    folder: Path  # of the configuration file: relative paths begin there


class PseudonymSource(Protocol):
    """One source of one project; used by one thread at a time."""

    @property
    def steady(self) -> bool:
        """Tell whether the crosswalk answers for it once a patient is known; else it is asked again and compared."""

    @property
    def per_study(self) -> bool:
        """Tell whether it has to be asked for each study: it gives labels or accession numbers."""

    def give(self, asked: Sequence[Asked]) -> list[Given | Missing]:
        """Answer for each study, in order.

        Raises
        ------
        Retriable
            No answer: nothing is guessed, the study waits.
        ConfigurationError
            A file or secret is missing or wrong.
        """

    def preview(self, asked: Sequence[Asked]) -> list[Given | Missing]:
        """Answer what `give` would, where that can be said without making anything."""
