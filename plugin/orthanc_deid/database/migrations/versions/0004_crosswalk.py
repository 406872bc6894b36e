"""The crosswalk, the audit, and what a study was de-identified with and for."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision: str | None = "0003"


def upgrade() -> None:
    """Add tables and columns; old code runs on with them."""
    op.create_table(
        "audit",
        sa.Column(
            "id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
            comment="from 1, without a gap",
        ),
        sa.Column("at", sa.Float(), nullable=False, comment="UTC seconds since 1970"),
        sa.Column("what", sa.String(length=32), nullable=False, comment="one of audit.RECORDS"),
        sa.Column("study_id", sa.Integer(), nullable=True, comment="our number of the study"),
        sa.Column("project", sa.String(length=64), nullable=True, comment="name in the configuration"),
        sa.Column("actor", sa.String(length=64), nullable=False, comment="the user who asked, or `system`"),
        sa.Column(
            "detail",
            sa.String(length=2000),
            nullable=False,
            comment="JSON object: names and counts of ours, never an identity",
        ),
        sa.Column(
            "hash", sa.String(length=64), nullable=False, comment="HMAC-SHA-256 of this record and the hash before it"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit")),
    )
    op.create_index(op.f("ix_audit_study_id"), "audit", ["study_id"], unique=False)
    op.create_index(op.f("ix_audit_what"), "audit", ["what"], unique=False)
    op.create_table(
        "audit_head",
        sa.Column("id", sa.Integer(), nullable=False, comment="1"),
        sa.Column("last", sa.BigInteger(), nullable=False, comment="number of the newest record; 0: none"),
        sa.Column("hash", sa.String(length=64), nullable=False, comment="of the newest record"),
        sa.Column("mac", sa.String(length=64), nullable=False, comment="HMAC-SHA-256 of both: a record less is told"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_head")),
    )
    op.create_table(
        "crosswalk_project",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False, comment="name in the configuration"),
        sa.Column(
            "key_check",
            sa.LargeBinary(),
            nullable=False,
            comment="by which another key of the project is told, 16 bytes",
        ),
        sa.Column("last_number", sa.Integer(), nullable=False, comment="of the pseudonyms that are counted, from 1"),
        sa.Column("sealed_at", sa.Float(), nullable=True, comment="when its key was destroyed; UTC seconds since 1970"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_crosswalk_project")),
        sa.UniqueConstraint("name", name=op.f("uq_crosswalk_project_name")),
    )
    op.create_table(
        "crosswalk",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("project_id", sa.Integer(), nullable=False, comment="whose key it needs"),
        sa.Column(
            "kind", sa.SmallInteger(), nullable=False, comment="1 patient, 2 study, 3 series, 4 instance, 5 accession"
        ),
        sa.Column(
            "patient_id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            nullable=True,
            comment="row of the patient; empty for a patient",
        ),
        sa.Column(
            "original", sa.LargeBinary(), nullable=False, comment="keyed digest of what the source says, 16 bytes"
        ),
        sa.Column(
            "replaced", sa.LargeBinary(), nullable=False, comment="keyed digest of what the output says, 16 bytes"
        ),
        sa.Column(
            "generation", sa.SmallInteger(), nullable=False, comment="number of the key that the text is encrypted with"
        ),
        sa.Column(
            "sealed", sa.LargeBinary(), nullable=False, comment="AES-256-GCM of both, bound to the row's other columns"
        ),
        sa.ForeignKeyConstraint(
            ["patient_id"], ["crosswalk.id"], name=op.f("fk_crosswalk_patient_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["project_id"], ["crosswalk_project.id"], name=op.f("fk_crosswalk_project_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_crosswalk")),
    )
    op.create_index("ix_crosswalk_generation", "crosswalk", ["generation", "id"], unique=False)
    op.create_index("ix_crosswalk_original", "crosswalk", ["project_id", "kind", "original", "patient_id"], unique=True)
    op.create_index(
        "ix_crosswalk_patient",
        "crosswalk",
        ["project_id", "original"],
        unique=True,
        sqlite_where=sa.text("kind = 1"),
        postgresql_where=sa.text("kind = 1"),
    )
    op.create_index(op.f("ix_crosswalk_patient_id"), "crosswalk", ["patient_id"], unique=False)
    op.create_index(
        "ix_crosswalk_pseudonym",
        "crosswalk",
        ["project_id", "replaced"],
        unique=True,
        sqlite_where=sa.text("kind = 1"),
        postgresql_where=sa.text("kind = 1"),
    )
    op.create_index("ix_crosswalk_replaced", "crosswalk", ["project_id", "kind", "replaced"], unique=False)
    op.create_table(
        "crosswalk_alias",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("project_id", sa.Integer(), nullable=False, comment="whose key it needs"),
        sa.Column(
            "original",
            sa.LargeBinary(),
            nullable=False,
            comment="keyed digest of the patient's former identity, 16 bytes",
        ),
        sa.Column(
            "generation", sa.SmallInteger(), nullable=False, comment="number of the key that the text is encrypted with"
        ),
        sa.Column("sealed", sa.LargeBinary(), nullable=False, comment="AES-256-GCM of former and present identity"),
        sa.ForeignKeyConstraint(["project_id"], ["crosswalk_project.id"], name=op.f("fk_crosswalk_alias_project_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_crosswalk_alias")),
        sa.UniqueConstraint("project_id", "original", name=op.f("uq_crosswalk_alias_project_id")),
    )
    op.add_column(
        "batch",
        sa.Column("label", sa.String(length=64), nullable=True, comment="by which projects match what it fetches"),
    )
    op.add_column(
        "study",
        sa.Column(
            "copy_of",
            sa.String(length=44),
            nullable=True,
            comment="Orthanc id of the source, of its study of a further project; `source` is then an id of our own",
        ),
    )
    op.add_column(
        "study",
        sa.Column("profile", sa.String(length=64), nullable=True, comment="name of the profile that made the output"),
    )
    op.add_column("study", sa.Column("profile_version", sa.String(length=32), nullable=True, comment="its version"))
    op.add_column(
        "study",
        sa.Column(
            "profile_digest",
            sa.String(length=64),
            nullable=True,
            comment="SHA-256 of its rules, as far as DeidentificationMethod says it",
        ),
    )
    op.add_column(
        "study",
        sa.Column(
            "forgotten",
            sa.Integer(),
            server_default="0",
            nullable=False,
            comment="1: its patient was erased by request",
        ),
    )
    op.create_index(op.f("ix_study_copy_of"), "study", ["copy_of"], unique=False)
