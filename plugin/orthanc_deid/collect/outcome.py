"""What became of a file that was offered to Orthanc, and where it belongs then."""

from dataclasses import dataclass, field
from enum import StrEnum

from ..packed.refused import Refused, Word

_LINES_MOST = 1000  # of a reason


class Place(StrEnum):
    """The folder that a file is put into."""

    TAKEN = "taken"
    DUPLICATES = "duplicates"
    REFUSED = "refused"


@dataclass
class Outcome:
    """Of one file: a DICOM file is one instance, an archive may hold many."""

    stored: int = 0  # new in Orthanc
    same: int = 0  # were there already, with the same content
    other: int = 0  # were there already, with another content
    filtered: int = 0  # kept out by the door, which keeps them in quarantine, or by a filter of Orthanc
    junk: int = 0  # members of an archive that are no DICOM
    refused: int = 0
    first: Refused | None = None
    remarks: list[str] = field(default_factory=list)

    def refuse(self, error: Refused, number: int) -> None:
        """Note why a file was refused; `number`, from 1, is its place in an archive, 0: it is the file itself."""
        self.refused += 1
        self.first = self.first or error
        if self.refused <= _LINES_MOST:
            self.remarks.append(f"file {number} of the archive: {error.word}: {error}" if number else str(error))

    @property
    def place(self) -> Place:
        """Refused is what nothing of is in Orthanc, a duplicate what nothing new was in."""
        if self.stored or self.filtered:
            return Place.TAKEN
        return Place.DUPLICATES if self.same or self.other else Place.REFUSED

    @property
    def word(self) -> Word:
        """Return why it was refused, by its first fault."""
        return self.first.word if self.first else Word.NOT_DICOM

    @property
    def loses_nothing(self) -> bool:
        """Tell whether everything in it that is DICOM stands in Orthanc, so that it may be deleted."""
        return not (self.refused or self.filtered or self.other) and bool(self.stored or self.same)

    def told(self) -> str:
        """Return what a person is to know of it, a line each; empty: nothing. No name, no value."""
        lines = list(self.remarks)
        if self.refused > _LINES_MOST:
            lines.append(f"and {self.refused - _LINES_MOST} more")
        counts = (
            (self.filtered, "kept out by a rule of the door or a filter of Orthanc"),
            (self.other, "in Orthanc already with another content, which was not replaced"),
            (self.junk if self.remarks or not (self.stored or self.same) else 0, "no DICOM"),
        )
        lines += [f"{count}: {meaning}" for count, meaning in counts if count]
        return "".join(f"{line}\n" for line in lines)
