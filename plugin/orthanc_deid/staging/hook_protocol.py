"""What a hook is given, and what it answers.

A hook is a Python file with one function. It runs in a process of its own, by a Python of the site's choice, so this
module knows the standard library alone and the language of Python 3.8::

    def hook(run):
        for study in run.studies:
            if is_known(study.original.AccessionNumber):
                yield study.accept()
            else:
                yield study.refuse("no encounter")

It answers exactly once for every study. What it raises, or answers otherwise, stops the run before anything is pushed.
Where `run.practice` is true it must change nothing that lasts. It can be asked again for the same studies: what it
writes, it has to write so that a second time changes nothing.

The older form `hook(run_dir, overview, practice) -> str` is understood as well.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Original:
    """Attributes of the study as it came: IDENTIFIED; an empty text where it has none."""

    PatientID: str
    AccessionNumber: str
    StudyInstanceUID: str
    StudyDate: str


@dataclass(frozen=True)
class Output:
    """The de-identified study: Orthanc's id of it, and its pseudonymous attributes."""

    orthanc: str
    PatientID: str
    AccessionNumber: str
    StudyInstanceUID: str
    StudyDate: str


@dataclass(frozen=True)
class Verdict:
    """What a hook says of one study; a reason of at most 200 characters, without name or number of a patient."""

    study: str
    accepted: bool
    reason: str = ""


@dataclass(frozen=True)
class Study:
    """One study that waits for its release."""

    id: str  # Orthanc's id of the identified study
    status: str
    lines: tuple[int, ...]  # of the list, from 1
    original: Original
    output: Output

    def accept(self) -> Verdict:
        """Say that it may be pushed."""
        return Verdict(self.id, accepted=True)

    def refuse(self, reason: str) -> Verdict:
        """Say that it may not be pushed, and why: shown with the study, so without name or number of a patient."""
        return Verdict(self.id, accepted=False, reason=reason)


@dataclass
class Run:
    """One run; `note` adds a line to its overview."""

    folder: str
    practice: bool
    studies: list[Study]
    notes: list[str] = field(default_factory=list)

    def note(self, text: str) -> None:
        """Add a line to the overview, without name or number of a patient."""
        self.notes.append(text)
