"""What it means that a PACS refuses C-FIND, C-MOVE or C-GET: PS3.4 C.4.1.1.4, C.4.2.1.5 and C.4.3.1.4."""

from ..destinations.dicom import dimse
from ..destinations.dicom.dimse import Refusal
from ..errors import DeidError, Rejected, Retriable
from .questions import UnansweredError

# First matching row: mask, status, words with the mend, what is raised.
STATUSES: tuple[tuple[int, int, str, type[DeidError]], ...] = (
    (0xFFFF, 0xA700, "too many matches, or it is out of resources: ask for less at a time", UnansweredError),
    (0xFFFF, 0xA701, "it cannot count what it has to send", Retriable),
    (0xFFFF, 0xA702, "it cannot send: it is out of resources, or does not reach the move destination", Retriable),
    (
        0xFFFF,
        0xA801,
        "it does not know the move destination: enter this Orthanc's AE title, address and port there, or set move_to",
        Rejected,
    ),
    (0xFF00, 0xA900, "it does not take a question of this form or at this level", UnansweredError),
    (0xF000, 0xC000, "it cannot process the question", UnansweredError),
    (0xFFFF, 0x0110, "it failed while it worked on it", Retriable),
    (0xFFFF, 0x0122, "it does not offer this service: ae may name another part of the archive", UnansweredError),
    (0xFFFF, 0x0124, "our AE title is not allowed to do this: ask who runs it", Rejected),
    (0xFFFF, 0xFE00, "it ended it before it was done", Retriable),
)


def exception(refusal: Refusal, doing: str) -> DeidError:
    """Return what is raised where `doing` (C-FIND, C-MOVE, C-GET) was refused or not answered."""
    if refusal.status is not None:
        for mask, status, words, kind in STATUSES:
            if refusal.status & mask == status:
                return kind(f"the archive refuses {doing} (0x{refusal.status:04X}): {words}")
        return Retriable(f"the archive ends {doing} with status 0x{refusal.status:04X}")
    if refusal.about == dimse.AWAY:
        return Retriable(f"the archive does not answer {doing}: {refusal.words}")
    if refusal.words == dimse.UNKNOWN:  # such as a job that somebody has cancelled in Orthanc
        return Retriable(f"{doing} has ended {refusal.words}")
    return UnansweredError(f"the archive does not do {doing}: {refusal.words}")
