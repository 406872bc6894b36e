"""Tables of the crosswalk and of the audit: identities stand here alone, encrypted; the audit holds none."""

from sqlalchemy import (
    BigInteger,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    String,
    Table,
    UniqueConstraint,
)

from .tables import metadata

__all__ = ["metadata"]

AT = "UTC seconds since 1970"
BIG = BigInteger().with_variant(Integer, "sqlite")  # only INTEGER counts by itself there

crosswalk_project = Table(
    "crosswalk_project",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String(64), nullable=False, unique=True, comment="name in the configuration"),
    Column("key_check", LargeBinary, nullable=False, comment="by which another key of the project is told, 16 bytes"),
    Column("last_number", Integer, nullable=False, comment="of the pseudonyms that are counted, from 1"),
    Column("sealed_at", Float, comment="when its key was destroyed; " + AT),
)

# `crosswalk.kind`
PATIENT, STUDY, SERIES, INSTANCE, ACCESSION = 1, 2, 3, 4, 5

crosswalk = Table(
    "crosswalk",
    metadata,
    Column("id", BIG, primary_key=True),
    Column("project_id", ForeignKey("crosswalk_project.id"), nullable=False, comment="whose key it needs"),
    Column("kind", SmallInteger, nullable=False, comment="1 patient, 2 study, 3 series, 4 instance, 5 accession"),
    Column(
        "patient_id", ForeignKey("crosswalk.id", ondelete="CASCADE"), index=True,
        comment="row of the patient; empty for a patient",
    ),
    Column("original", LargeBinary, nullable=False, comment="keyed digest of what the source says, 16 bytes"),
    Column("replaced", LargeBinary, nullable=False, comment="keyed digest of what the output says, 16 bytes"),
    Column("generation", SmallInteger, nullable=False, comment="number of the key that the text is encrypted with"),
    Column("sealed", LargeBinary, nullable=False, comment="AES-256-GCM of both, bound to the row's other columns"),
)  # fmt: skip

_PATIENTS = crosswalk.c.kind == PATIENT
Index(
    "ix_crosswalk_original", crosswalk.c.project_id, crosswalk.c.kind, crosswalk.c.original, crosswalk.c.patient_id,
    unique=True,
)  # fmt: skip
Index("ix_crosswalk_replaced", crosswalk.c.project_id, crosswalk.c.kind, crosswalk.c.replaced)
# A patient has one pseudonym, and a pseudonym one patient.
Index(
    "ix_crosswalk_patient", crosswalk.c.project_id, crosswalk.c.original,
    unique=True, sqlite_where=_PATIENTS, postgresql_where=_PATIENTS,
)  # fmt: skip
Index(
    "ix_crosswalk_pseudonym", crosswalk.c.project_id, crosswalk.c.replaced,
    unique=True, sqlite_where=_PATIENTS, postgresql_where=_PATIENTS,
)  # fmt: skip
Index("ix_crosswalk_generation", crosswalk.c.generation, crosswalk.c.id)

crosswalk_alias = Table(
    "crosswalk_alias",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("project_id", ForeignKey("crosswalk_project.id"), nullable=False, comment="whose key it needs"),
    Column("original", LargeBinary, nullable=False, comment="keyed digest of the patient's former identity, 16 bytes"),
    Column("generation", SmallInteger, nullable=False, comment="number of the key that the text is encrypted with"),
    Column("sealed", LargeBinary, nullable=False, comment="AES-256-GCM of former and present identity"),
    UniqueConstraint("project_id", "original"),
)

audit = Table(
    "audit",
    metadata,
    Column("id", BIG, primary_key=True, autoincrement=False, comment="from 1, without a gap"),
    Column("at", Float, nullable=False, comment=AT),
    Column("what", String(32), nullable=False, index=True, comment="one of audit.RECORDS"),
    Column("study_id", Integer, index=True, comment="our number of the study"),
    Column("project", String(64), comment="name in the configuration"),
    Column("actor", String(64), nullable=False, comment="the user who asked, or `system`"),
    Column("detail", String(2000), nullable=False, comment="JSON object: names and counts of ours, never an identity"),
    Column("hash", String(64), nullable=False, comment="HMAC-SHA-256 of this record and the hash before it"),
)

audit_head = Table(
    "audit_head",
    metadata,
    Column("id", Integer, primary_key=True, comment="1"),
    Column("last", BigInteger, nullable=False, comment="number of the newest record; 0: none"),
    Column("hash", String(64), nullable=False, comment="of the newest record"),
    Column("mac", String(64), nullable=False, comment="HMAC-SHA-256 of both: a record less is told"),
)
