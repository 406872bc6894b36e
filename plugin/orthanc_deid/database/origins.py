"""Where a study comes from and what its list says of it: noted before it is fetched, found when it arrives."""

import time
from dataclasses import dataclass

from sqlalchemy import Engine, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from ..sealed import Seal
from .intake_tables import origin

KIND = "study"  # of the digests


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


class Origins:
    """One row for each study that came from a source; found by its StudyInstanceUID, which is not kept."""

    def __init__(self, engine: Engine, seal: Seal) -> None:
        self.engine = engine
        self.seal = seal

    def digest(self, study_uid: str) -> str:
        """Return what stands for a StudyInstanceUID."""
        return self.seal.digest(KIND, study_uid)

    def find(self, study_uid: str) -> Origin | None:
        """Return where a study comes from; None where it was sent by itself."""
        return self.get(self.digest(study_uid))

    def get(self, digest: str | None) -> Origin | None:
        """Return what is known under a digest."""
        query = select(origin).where(origin.c.study_digest == digest)
        with self.engine.connect() as connection:
            row = connection.execute(query).first()
        if row is None:
            return None
        pseudonym, patient = self.seal.open(row.pseudonym) if row.pseudonym else ("", "")
        return Origin(row.source, row.project, row.album, pseudonym, bool(row.hold), row.study_digest, patient)

    def note(self, study_uid: str, found: Origin) -> None:
        """Say where a study comes from; what was said before is replaced."""
        values = {
            "source": found.source,
            "project": found.project,
            "album": found.album,
            "pseudonym": self.seal.close([found.pseudonym, found.patient]) if found.pseudonym else None,
            "hold": int(found.hold),
            "at": time.time(),
        }
        digest = self.digest(study_uid)
        which = origin.c.study_digest == digest
        for _ in range(2):
            try:
                with self.engine.begin() as connection:
                    if not connection.execute(update(origin).where(which).values(**values)).rowcount:
                        connection.execute(insert(origin).values(study_digest=digest, **values))
            except IntegrityError:
                continue  # another process was faster
            return

    def note_sender(self, study_uid: str, found: Origin) -> None:
        """Say which source a study came from, unless something else was said before: by a batch, by another source."""
        before = self.find(study_uid)
        if before is None or (before.source == found.source and before.project != found.project):
            self.note(study_uid, found)

    def forget(self, study_uid: str) -> None:
        """Drop what was said."""
        with self.engine.begin() as connection:
            connection.execute(delete(origin).where(origin.c.study_digest == self.digest(study_uid)))
