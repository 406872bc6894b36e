"""Tables of what comes in: batches, origins, what is waited for, manifests, conflicts, watched files."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision: str | None = "0002"


def upgrade() -> None:
    """Add tables and columns; old code runs on with them."""
    op.create_table(
        "batch",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column(
            "key",
            sa.String(length=64),
            nullable=True,
            comment="by which who began it finds it again; empty: it gave none",
        ),
        sa.Column("source", sa.String(length=64), nullable=False, comment="name of the archive in the configuration"),
        sa.Column(
            "target", sa.String(length=16), nullable=False, comment="AE title that it is moved to; empty: this Orthanc"
        ),
        sa.Column("state", sa.String(length=16), nullable=False, comment="running, paused, cancelled or done"),
        sa.Column("mode", sa.String(length=16), nullable=False, comment="retrieve, or find: nothing is retrieved"),
        sa.Column(
            "project",
            sa.String(length=64),
            nullable=False,
            comment="of rows that name none; empty: the first that matches",
        ),
        sa.Column("hold", sa.Integer(), nullable=False, comment="1: its studies wait for a person after verification"),
        sa.Column("priority", sa.Integer(), nullable=False, comment="1 to 9, of its rows"),
        sa.Column("studies_most", sa.Integer(), nullable=True, comment="most studies that are retrieved; empty: all"),
        sa.Column("actor", sa.String(length=64), nullable=False, comment="who asked"),
        sa.Column("created_at", sa.Float(), nullable=False, comment="UTC seconds since 1970"),
        sa.Column("updated_at", sa.Float(), nullable=False, comment="UTC seconds since 1970"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_batch")),
        sa.UniqueConstraint("key", name=op.f("uq_batch_key")),
    )
    op.create_index(op.f("ix_batch_state"), "batch", ["state"], unique=False)
    op.create_table(
        "collected",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("source", sa.String(length=64), nullable=False, comment="name in the configuration"),
        sa.Column(
            "item",
            sa.String(length=32),
            nullable=False,
            comment="digest of the file's path or the study's id over there",
        ),
        sa.Column("stamp", sa.String(length=32), nullable=False, comment="digest of what differs where it was changed"),
        sa.Column("state", sa.String(length=16), nullable=False, comment="taken or refused"),
        sa.Column("reason", sa.String(length=500), nullable=True, comment="why it was refused"),
        sa.Column("instances", sa.Integer(), nullable=False, comment="that are in Orthanc now"),
        sa.Column("at", sa.Float(), nullable=False, comment="UTC seconds since 1970"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_collected")),
        sa.UniqueConstraint("source", "item", name=op.f("uq_collected_source")),
    )
    op.create_table(
        "collector",
        sa.Column("source", sa.String(length=64), nullable=False, comment="name in the configuration"),
        sa.Column("state", sa.String(length=16), nullable=False, comment="working, waiting, paused or away"),
        sa.Column("reason", sa.String(length=500), nullable=True, comment="why it is away"),
        sa.Column(
            "position",
            sa.String(length=64),
            nullable=False,
            comment="how far the source was read; empty: from the beginning",
        ),
        sa.Column("waiting", sa.Integer(), nullable=False, comment="items seen and not taken yet"),
        sa.Column("taken", sa.Integer(), nullable=False, comment="items taken since the first start"),
        sa.Column("refused", sa.Integer(), nullable=False, comment="items refused since the first start"),
        sa.Column("looked_at", sa.Float(), nullable=True, comment="UTC seconds since 1970"),
        sa.PrimaryKeyConstraint("source", name=op.f("pk_collector")),
    )
    op.create_table(
        "manifest",
        sa.Column("study_digest", sa.String(length=32), nullable=False, comment="of the StudyInstanceUID"),
        sa.Column("instances", sa.Integer(), nullable=False, comment="that its sender has announced"),
        sa.Column(
            "digests",
            sa.Text(),
            nullable=True,
            comment="of their SOP Instance UIDs, a line each; empty: only the number is known",
        ),
        sa.Column("actor", sa.String(length=64), nullable=False, comment="who announced it"),
        sa.Column("at", sa.Float(), nullable=False, comment="UTC seconds since 1970"),
        sa.PrimaryKeyConstraint("study_digest", name=op.f("pk_manifest")),
    )
    op.create_table(
        "origin",
        sa.Column("study_digest", sa.String(length=32), nullable=False, comment="of the StudyInstanceUID"),
        sa.Column(
            "source",
            sa.String(length=64),
            nullable=False,
            comment="name of the source in the configuration; may be empty",
        ),
        sa.Column(
            "project",
            sa.String(length=64),
            nullable=False,
            comment="that it was fetched for; empty: the first that matches",
        ),
        sa.Column(
            "album", sa.String(length=64), nullable=False, comment="Kheops album that the list names; may be empty"
        ),
        sa.Column(
            "pseudonym",
            sa.LargeBinary(),
            nullable=True,
            comment="that the list names, and of which PatientID, sealed",
        ),
        sa.Column("hold", sa.Integer(), nullable=False, comment="1: it waits for a person after verification"),
        sa.Column("at", sa.Float(), nullable=False, comment="UTC seconds since 1970"),
        sa.PrimaryKeyConstraint("study_digest", name=op.f("pk_origin")),
    )
    op.create_table(
        "awaited",
        sa.Column("study_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("since", sa.Float(), nullable=False, comment="UTC seconds since 1970"),
        sa.Column("deadline_at", sa.Float(), nullable=False, comment="UTC seconds since 1970"),
        sa.Column("next_look_at", sa.Float(), nullable=False, comment="UTC seconds since 1970"),
        sa.Column("ask", sa.String(length=64), nullable=False, comment="the source that is asked; may be empty"),
        sa.Column(
            "expected", sa.Integer(), nullable=True, comment="instances that there should be; empty: not known yet"
        ),
        sa.Column("present", sa.Integer(), nullable=False, comment="instances that are here"),
        sa.Column(
            "missing", sa.Integer(), nullable=True, comment="by SOP Instance UID; empty: only the numbers were compared"
        ),
        sa.Column("requests", sa.Integer(), nullable=False, comment="times that what is missing was requested"),
        sa.Column("asked_at", sa.Float(), nullable=True, comment="UTC seconds since 1970"),
        sa.Column("reason", sa.String(length=500), nullable=True, comment="why it could not be asked"),
        sa.ForeignKeyConstraint(["study_id"], ["study.id"], name=op.f("fk_awaited_study_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("study_id", name=op.f("pk_awaited")),
    )
    op.create_index(op.f("ix_awaited_next_look_at"), "awaited", ["next_look_at"], unique=False)
    op.create_table(
        "batch_row",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("batch_id", sa.Integer(), nullable=False, comment="its batch"),
        sa.Column("line", sa.Integer(), nullable=False, comment="line of the file, from 1"),
        sa.Column("query", sa.LargeBinary(), nullable=False, comment="its cells, sealed"),
        sa.Column("state", sa.String(length=16), nullable=False, comment="one of batches.STATES"),
        sa.Column(
            "reason", sa.String(length=500), nullable=True, comment="why it is in this state, without any DICOM value"
        ),
        sa.Column("run", sa.Integer(), nullable=False, comment="grows with every start; work of an older run stops"),
        sa.Column("attempt", sa.Integer(), nullable=False, comment="try of this run, from 1"),
        sa.Column("requests", sa.Integer(), nullable=False, comment="times that instances were requested in this run"),
        sa.Column("next_attempt_at", sa.Float(), nullable=True, comment="UTC seconds since 1970"),
        sa.Column("updated_at", sa.Float(), nullable=False, comment="UTC seconds since 1970"),
        sa.ForeignKeyConstraint(["batch_id"], ["batch.id"], name=op.f("fk_batch_row_batch_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_batch_row")),
        sa.UniqueConstraint("batch_id", "line", name=op.f("uq_batch_row_batch_id")),
    )
    op.create_index("ix_batch_row_batch_id_state", "batch_row", ["batch_id", "state"], unique=False)
    op.create_table(
        "conflict",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("study_id", sa.Integer(), nullable=False),
        sa.Column("instance", sa.String(length=44), nullable=False, comment="Orthanc id of the identified instance"),
        sa.Column("file", sa.String(length=64), nullable=False, comment="name in the folder of conflicts"),
        sa.Column("state", sa.String(length=16), nullable=False, comment="open, replacing, kept or replaced"),
        sa.Column("actor", sa.String(length=64), nullable=False, comment="who decided; `system` while nobody has"),
        sa.Column("at", sa.Float(), nullable=False, comment="UTC seconds since 1970"),
        sa.Column("resolved_at", sa.Float(), nullable=True, comment="UTC seconds since 1970"),
        sa.ForeignKeyConstraint(["study_id"], ["study.id"], name=op.f("fk_conflict_study_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_conflict")),
        sa.UniqueConstraint("file", name=op.f("uq_conflict_file")),
    )
    op.create_index(op.f("ix_conflict_state"), "conflict", ["state"], unique=False)
    op.create_index(op.f("ix_conflict_study_id"), "conflict", ["study_id"], unique=False)
    op.create_table(
        "batch_study",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("row_id", sa.Integer(), nullable=False, comment="that found it"),
        sa.Column("study_digest", sa.String(length=32), nullable=False, comment="of the StudyInstanceUID"),
        sa.Column("found", sa.LargeBinary(), nullable=False, comment="what the archive answered, sealed"),
        sa.Column("state", sa.String(length=16), nullable=False, comment="one of batches.STATES"),
        sa.Column(
            "expected",
            sa.Integer(),
            nullable=True,
            comment="instances that the archive says there are; empty: it does not say",
        ),
        sa.Column("arrived", sa.Integer(), nullable=False, comment="of these, instances that are here"),
        sa.Column("missing", sa.LargeBinary(), nullable=True, comment="SOP Instance UIDs that did not arrive, sealed"),
        sa.Column("orthanc", sa.String(length=44), nullable=True, comment="Orthanc id of the study here"),
        sa.ForeignKeyConstraint(["row_id"], ["batch_row.id"], name=op.f("fk_batch_study_row_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_batch_study")),
        sa.UniqueConstraint("row_id", "study_digest", name=op.f("uq_batch_study_row_id")),
    )
    op.create_index(op.f("ix_batch_study_study_digest"), "batch_study", ["study_digest"], unique=False)
    op.add_column(
        "gate",
        sa.Column(
            "begun", sa.Integer(), server_default="0", nullable=False, comment="series fetched since the last wait"
        ),
    )
    op.add_column(
        "gate",
        sa.Column(
            "series_at",
            sa.Float(),
            server_default="0",
            nullable=False,
            comment="no series before; UTC seconds since 1970",
        ),
    )
    op.add_column(
        "study",
        sa.Column(
            "origin",
            sa.String(length=32),
            nullable=True,
            comment="by which the table `origin` knows it; empty: it was sent by itself",
        ),
    )
    op.add_column(
        "study",
        sa.Column(
            "hold",
            sa.Integer(),
            server_default="0",
            nullable=False,
            comment="1: after verification it waits for a person",
        ),
    )
