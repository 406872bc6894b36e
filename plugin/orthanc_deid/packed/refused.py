"""Why a file is not taken: one of a few words that people sort by, and a sentence without any name or value."""

from enum import StrEnum

from ..errors import Rejected


class Word(StrEnum):
    """What is wrong with a file; the name of the folder that it is put into."""

    NOT_DICOM = "not-dicom"
    TRUNCATED = "truncated"
    TOO_LARGE = "too-large"
    ENCRYPTED = "encrypted"
    DAMAGED = "damaged"
    BY_ORTHANC = "refused-by-orthanc"


class Refused(Rejected):
    """A file, or a member of an archive, cannot be taken."""

    def __init__(self, word: Word, reason: str) -> None:
        super().__init__(reason)
        self.word = word
