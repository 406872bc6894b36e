"""Studies, instances, deliveries, events, cursors and heartbeats."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision: str | None = None


def upgrade() -> None:
    """Make the first tables."""
    op.create_table(
        "cursor",
        sa.Column("name", sa.String(length=64), nullable=False, comment="which sequence"),
        sa.Column(
            "value", sa.Integer(), nullable=False, comment="sequence number of Orthanc's /changes read up to here"
        ),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_cursor")),
    )
    op.create_table(
        "heartbeat",
        sa.Column("executor", sa.String(length=128), nullable=False, comment="<host>-<slot> of a worker"),
        sa.Column("at", sa.Float(), nullable=False, comment="UTC seconds since 1970"),
        sa.PrimaryKeyConstraint("executor", name=op.f("pk_heartbeat")),
    )
    op.create_table(
        "study",
        sa.Column(
            "id", sa.Integer(), nullable=False, comment="our own number: the only name of a study in logs and queue"
        ),
        sa.Column("source", sa.String(length=44), nullable=False, comment="Orthanc id of the identified study"),
        sa.Column(
            "output",
            sa.String(length=44),
            nullable=True,
            comment="Orthanc id of the de-identified study, known before it is stored",
        ),
        sa.Column("project", sa.String(length=64), nullable=False, comment="name in the configuration"),
        sa.Column("status", sa.String(length=16), nullable=False, comment="one of states.STATES"),
        sa.Column(
            "reason", sa.String(length=500), nullable=True, comment="why it is in this state, without any DICOM value"
        ),
        sa.Column("version", sa.Integer(), nullable=False, comment="grows with every late arrival"),
        sa.Column(
            "verified_version",
            sa.Integer(),
            nullable=False,
            comment="newest version whose output was searched and is clean",
        ),
        sa.Column("run", sa.Integer(), nullable=False, comment="grows with every start; work of an older run stops"),
        sa.Column("attempt", sa.Integer(), nullable=False, comment="try of this run, from 1"),
        sa.Column(
            "next_attempt_at", sa.Float(), nullable=True, comment="UTC seconds since 1970; empty while nothing waits"
        ),
        sa.Column(
            "last_update",
            sa.String(length=32),
            nullable=True,
            comment="Orthanc's LastUpdate when the instances were last compared",
        ),
        sa.Column("recheck", sa.Integer(), nullable=False, comment="1: something arrived while it was at work"),
        sa.Column("created_at", sa.Float(), nullable=False, comment="UTC seconds since 1970"),
        sa.Column("updated_at", sa.Float(), nullable=False, comment="UTC seconds since 1970"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_study")),
        sa.UniqueConstraint("source", name=op.f("uq_study_source")),
    )
    op.create_index(op.f("ix_study_output"), "study", ["output"], unique=False)
    op.create_index(op.f("ix_study_status"), "study", ["status"], unique=False)
    op.create_index(op.f("ix_study_updated_at"), "study", ["updated_at"], unique=False)
    op.create_table(
        "delivery",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("study_id", sa.Integer(), nullable=False),
        sa.Column("destination", sa.String(length=64), nullable=False, comment="name in the configuration"),
        sa.Column("version", sa.Integer(), nullable=False, comment="newest version that is to arrive there"),
        sa.Column("confirmed_version", sa.Integer(), nullable=False, comment="newest version that was read back there"),
        sa.Column("state", sa.String(length=16), nullable=False, comment="pending, sent, confirmed or failed"),
        sa.Column("reason", sa.String(length=500), nullable=True, comment="why the last try failed"),
        sa.Column("attempt", sa.Integer(), nullable=False, comment="tries of this version"),
        sa.Column(
            "next_attempt_at", sa.Float(), nullable=True, comment="UTC seconds since 1970; empty while nothing waits"
        ),
        sa.Column("confirmed", sa.Integer(), nullable=False, comment="instances read back there"),
        sa.Column("updated_at", sa.Float(), nullable=False, comment="UTC seconds since 1970"),
        sa.ForeignKeyConstraint(["study_id"], ["study.id"], name=op.f("fk_delivery_study_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_delivery")),
        sa.UniqueConstraint("study_id", "destination", name=op.f("uq_delivery_study_id")),
    )
    op.create_table(
        "event",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("study_id", sa.Integer(), nullable=False),
        sa.Column("at", sa.Float(), nullable=False, comment="UTC seconds since 1970"),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column(
            "status", sa.String(length=16), nullable=False, comment="the state that was entered, or the destination's"
        ),
        sa.Column(
            "destination", sa.String(length=64), nullable=True, comment="set where the event is about one destination"
        ),
        sa.Column("reason", sa.String(length=500), nullable=True),
        sa.Column("actor", sa.String(length=64), nullable=False, comment="the user who asked, or `system`"),
        sa.ForeignKeyConstraint(["study_id"], ["study.id"], name=op.f("fk_event_study_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_event")),
    )
    op.create_index(op.f("ix_event_study_id"), "event", ["study_id"], unique=False)
    op.create_table(
        "instance",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("study_id", sa.Integer(), nullable=False),
        sa.Column("source", sa.String(length=44), nullable=False, comment="Orthanc id of the identified instance"),
        sa.Column("output", sa.String(length=44), nullable=True, comment="Orthanc id of the de-identified instance"),
        sa.Column("version", sa.Integer(), nullable=False, comment="the version of the study that it came with"),
        sa.Column("state", sa.String(length=16), nullable=False, comment="received, deidentified or quarantined"),
        sa.Column("reason", sa.String(length=500), nullable=True, comment="why it is quarantined"),
        sa.ForeignKeyConstraint(["study_id"], ["study.id"], name=op.f("fk_instance_study_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_instance")),
        sa.UniqueConstraint("study_id", "source", name=op.f("uq_instance_study_id")),
    )
    op.create_index("ix_instance_study_id_state", "instance", ["study_id", "state"], unique=False)
