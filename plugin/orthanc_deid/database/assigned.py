"""Pseudonyms that lists have given: in a project each is of one patient, in whatever batch it was given."""

from sqlalchemy import Engine, insert, select
from sqlalchemy.exc import IntegrityError

from ..errors import Rejected
from ..sealed import Seal
from .intake_tables import assigned

PSEUDONYM, PATIENT = "assigned pseudonym", "assigned patient"  # of the digests


class Assigned:
    """Keeps digests alone; a PatientID is compared without case and outer blanks, its issuer not at all."""

    def __init__(self, engine: Engine, seal: Seal) -> None:
        self.engine = engine
        self.seal = seal

    def claim(self, project: str, pseudonym: str, patient_id: str) -> None:
        """Note that the patient has this pseudonym in a project; raise Rejected where another patient has it."""
        digest = self.seal.digest(PSEUDONYM, f"{project}\x00{pseudonym.casefold()}")
        whose = self.seal.digest(PATIENT, normal(patient_id))
        try:
            with self.engine.begin() as connection:
                connection.execute(insert(assigned).values(pseudonym_digest=digest, patient_digest=whose))
        except IntegrityError:
            with self.engine.connect() as connection:
                query = select(assigned.c.patient_digest).where(assigned.c.pseudonym_digest == digest)
                has = connection.scalar(query)
            if has != whose:
                raise Rejected("the pseudonym that the list gives is another patient's in this project") from None


def normal(patient_id: str) -> str:
    """Return a PatientID as it is compared."""
    return patient_id.strip().casefold()
