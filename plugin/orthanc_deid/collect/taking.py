"""One file on this disk, whatever it is, into Orthanc through its door, as if somebody had sent it."""

import hashlib
import threading
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from ..database.origins import Origin
from ..errors import Rejected
from ..packed.kinds import HEAD as HEAD_OF_DICOM
from ..packed.kinds import Kind, kind_of, with_preamble
from ..packed.members import HEAD, IN_MEMORY, form_of, members, spooled
from ..packed.refused import Refused, Word
from .base import Tools
from .dicom import directory, examine
from .outcome import Outcome

_PIECE = 2**20  # bytes
_REMEMBERED = 4096  # studies whose origin was noted just before
_DIRECTORIES_MOST = 4  # of one archive that are looked at
_DIRECTORY_MOST = 64 * 2**20  # bytes of a DICOMDIR that is read: some 100,000 records


class Directory(Exception):
    """The file is a DICOMDIR: it is looked at when what it names has been taken."""


class Taking:
    """For one source; several threads use it at once."""

    def __init__(self, source: str, project: str, most: int, tools: Tools) -> None:
        self._origin = Origin(source, project)
        self._most = most  # bytes of a file, and of what an archive unpacks to
        self._tools = tools
        self._noted: set[tuple[str, str]] = set()
        self._lock = threading.Lock()

    def forget_studies(self) -> None:
        """Note origins again: they may have been dropped since."""
        with self._lock:
            self._noted.clear()

    def take(self, path: Path) -> Outcome:
        """Offer a file, or all that is in an archive.

        Raises
        ------
        Directory
            It is a DICOMDIR.
        Retriable
            Orthanc is away.
        OSError
            The file cannot be read.
        """
        outcome = Outcome()
        with path.open("rb") as file:
            if file.seek(0, 2) > self._most:
                outcome.refuse(Refused(Word.TOO_LARGE, f"larger than {self._most} bytes"), 0)
                return outcome
            file.seek(0)
            head = file.read(HEAD)
            kind, form = kind_of(head[:HEAD_OF_DICOM]), form_of(head)
            if form and kind is not Kind.DICOM:
                return self._archive(path, form)
            self._alone(file, kind, outcome)
        return outcome

    def directory(self, path: Path) -> Outcome:
        """Compare a DICOMDIR with what Orthanc holds; raise as `take`."""
        outcome = Outcome(stored=1)
        with path.open("rb") as file:
            self._compare(file, outcome)
        return outcome

    def _alone(self, file: BinaryIO, kind: Kind, outcome: Outcome) -> None:
        if kind not in {Kind.DICOM, Kind.BARE}:
            outcome.refuse(Refused(Word.NOT_DICOM, "no DICOM file, ZIP or TAR"), 0)
            return
        try:
            self._offer(file, kind, outcome)
        except Refused as error:
            outcome.refuse(error, 0)

    def _archive(self, path: Path, form: str) -> Outcome:
        outcome = Outcome()
        number = 0
        directories: list[BinaryIO] = []
        try:
            for number, member in enumerate(members(path, form, self._most, self._tools.work), 1):
                if isinstance(member, Refused):
                    outcome.refuse(member, number)
                elif not self._member(member, number, outcome) and len(directories) < _DIRECTORIES_MOST:
                    directories.append(member)
        except Refused as error:
            outcome.refuse(error, number + 1)
        finally:
            for each in directories:
                with each:
                    self._compare(each, outcome)
        return outcome

    def _member(self, file: BinaryIO, number: int, outcome: Outcome) -> bool:
        """Offer a member of an archive and close it; False: it is a DICOMDIR and stays open."""
        head = file.read(HEAD)
        kind = kind_of(head[:HEAD_OF_DICOM])
        try:
            if kind in {Kind.DICOM, Kind.BARE}:
                self._offer(file, kind, outcome)
            elif form_of(head):
                outcome.refuse(Refused(Word.NOT_DICOM, "an archive inside an archive: unpack it first"), number)
            else:
                outcome.junk += 1
        except Refused as error:
            outcome.refuse(error, number)
        except Directory:
            return False
        except BaseException:
            file.close()
            raise
        file.close()
        return True

    def _compare(self, file: BinaryIO, outcome: Outcome) -> None:
        """Remark instances that a DICOMDIR names and Orthanc does not hold."""
        if file.seek(0, 2) > _DIRECTORY_MOST:
            outcome.remarks.append("a DICOMDIR that is too large to be compared")
            return
        try:
            named = directory(file)
        except Refused as error:
            outcome.remarks.append(str(error))
            return
        missing = sum(not self._tools.orthanc.has_instance(uid) for uid in named)
        if missing:
            outcome.remarks.append(f"the DICOMDIR names {len(named)} instances, {missing} of them are not in Orthanc")

    def _offer(self, file: BinaryIO, kind: Kind, outcome: Outcome) -> None:
        """Offer one DICOM file, whose origin is noted first."""
        file.seek(0)
        if kind is Kind.BARE:
            self._offer_bare(file, outcome)
            return
        facts = examine(file)
        if facts.is_directory:
            raise Directory
        self._note(facts.study_uid, facts.patient_id)
        self._send(file, outcome)

    def _offer_bare(self, file: BinaryIO, outcome: Outcome) -> None:
        """Put before a dataset what PS3.10 demands."""
        head = file.read(HEAD_OF_DICOM)
        start = BytesIO(with_preamble(head))
        with spooled(lambda count: start.read(count) or file.read(count), self._tools.work) as whole:
            self._offer(whole, Kind.DICOM, outcome)

    def _send(self, file: BinaryIO, outcome: Outcome) -> None:
        size = file.seek(0, 2)
        file.seek(0)
        try:
            stored = self._tools.orthanc.offer(file.read() if size <= IN_MEMORY else file)
        except Rejected:
            raise Refused(Word.BY_ORTHANC, "Orthanc does not accept it as a DICOM file") from None
        if not stored.instance or stored.status == "FilteredOut":
            outcome.filtered += 1
        elif stored.status != "AlreadyStored":
            outcome.stored += 1
        elif self._tools.orthanc.md5(stored.instance) == _md5(file):
            outcome.same += 1
        else:
            outcome.other += 1

    def _note(self, study_uid: str, patient_id: str) -> None:
        which = (study_uid, patient_id)
        with self._lock:
            if which in self._noted:
                return
        self._tools.origins.note_sender(study_uid, patient_id, self._origin)
        with self._lock:
            if len(self._noted) >= _REMEMBERED:
                self._noted.clear()
            self._noted.add(which)


def _md5(file: BinaryIO) -> str:
    file.seek(0)
    digest = hashlib.md5(usedforsecurity=False)  # what Orthanc keeps
    while piece := file.read(_PIECE):
        digest.update(piece)
    return digest.hexdigest()
