"""Where a study comes from and what its list says of it: noted before it is fetched, found when it arrives."""

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Engine, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from ..sealed import Seal
from .intake_tables import origin

KIND, SENT, FURTHER = "study", "sent study", "study in a further project"  # of the digests
_NO_LETTER = re.compile(r"[^0-9A-Za-z]")


@dataclass(frozen=True)
class Origin:
    """Of one study; empty texts where nothing was said."""

    source: str = ""
    project: str = ""
    album: str = ""
    pseudonym: str = ""
    hold: bool = False
    digest: str | None = None
    patient: str = ""  # PatientID of whom the pseudonym is, where the archive told it
    label: str = ""  # of the batch that has fetched it


class Origins:
    """One row for each study that came from a source; found by its StudyInstanceUID, which is not kept.

    What a source says of a study that was sent to it holds for that patient alone: else whoever may write into a watch
    folder could draw any study whose UID is known into the folder's project, before it comes from elsewhere.
    """

    def __init__(self, engine: Engine, seal: Seal) -> None:
        self.engine = engine
        self.seal = seal

    def digest(self, study_uid: str) -> str:
        """Return what stands for a StudyInstanceUID."""
        return self.seal.digest(KIND, study_uid)

    def digests(self, study_uid: str, patient_id: str, project: str) -> list[str]:
        """Return all digests under which something may be said of a study in a project."""
        return [self.digest(study_uid), self._sent(study_uid, patient_id), self._further(study_uid, project)]

    def find(self, study_uid: str, patient_id: str = "") -> Origin | None:
        """Return where a study comes from; None where it was sent by itself."""
        return self.get(self.digest(study_uid)) or self.get(self._sent(study_uid, patient_id))

    def _sent(self, study_uid: str, patient_id: str) -> str:
        return self.seal.digest(SENT, f"{study_uid.strip(chr(0) + ' ')}\x00{_bare(patient_id)}")

    def get(self, digest: str | None) -> Origin | None:
        """Return what is known under a digest."""
        query = select(origin).where(origin.c.study_digest == digest)
        with self.engine.connect() as connection:
            row = connection.execute(query).first()
        if row is None:
            return None
        pseudonym, patient, label = ([*self.seal.open(row.pseudonym), ""] if row.pseudonym else [""] * 3)[:3]
        return Origin(row.source, row.project, row.album, pseudonym, bool(row.hold), row.study_digest, patient, label)

    def further(self, study_uid: str, patient_id: str, projects: Sequence[str]) -> list[Origin]:
        """Return what was said of a study for further projects of those names, in their order."""
        digests = {project: self._further(study_uid, project) for project in projects}
        query = select(origin.c.study_digest).where(origin.c.study_digest.in_(digests.values()))
        with self.engine.connect() as connection:
            known = set(connection.scalars(query))
        found = [self.get(digest) for digest in digests.values() if digest in known]
        return [each for each in found if each and _is_of(each, patient_id)]

    def note_further(self, study_uid: str, found: Origin) -> None:
        """Say that a list wants a study for one more project than the one that it is in."""
        self._note(self._further(study_uid, found.project), found)

    def _further(self, study_uid: str, project: str) -> str:
        return self.seal.digest(FURTHER, f"{study_uid}\x00{project}")

    def note(self, study_uid: str, found: Origin) -> None:
        """Say where a study comes from; what was said before is replaced, but for `hold`.

        A list that wants nothing held says nothing of what another one has asked a person to look at.
        """
        self._note(self.digest(study_uid), found)

    def _note(self, digest: str, found: Origin) -> None:
        sealed = [found.pseudonym, found.patient, found.label]
        values = {
            "source": found.source,
            "project": found.project,
            "album": found.album,
            "pseudonym": self.seal.close(sealed) if any(sealed) else None,
            "hold": int(found.hold),
            "at": time.time(),
        }
        which = origin.c.study_digest == digest
        for _ in range(2):
            try:
                with self.engine.begin() as connection:
                    again = values | ({} if found.hold else {"hold": origin.c.hold})
                    if not connection.execute(update(origin).where(which).values(**again)).rowcount:
                        connection.execute(insert(origin).values(study_digest=digest, **values))
            except IntegrityError:
                continue  # another process was faster
            return

    def note_sender(self, study_uid: str, patient_id: str, found: Origin) -> None:
        """Say which source a study came from, unless something else was said before: by a batch, by another source."""
        before = self.find(study_uid, patient_id)
        if before is None or (before.source == found.source and before.project != found.project):
            self._note(self._sent(study_uid, patient_id), found)

    def forget(self, study_uid: str) -> None:
        """Drop what was said."""
        with self.engine.begin() as connection:
            connection.execute(delete(origin).where(origin.c.study_digest == self.digest(study_uid)))


def _is_of(found: Origin, patient_id: str) -> bool:
    """Tell whether what a list says may be of this patient: two may have studies of one UID."""
    return not found.patient or _bare(found.patient) == _bare(patient_id)


def _bare(patient_id: str) -> str:
    """Leave ASCII letters and digits alone: who reads a PatientID may know its character set or not."""
    return _NO_LETTER.sub("", patient_id).lower()
