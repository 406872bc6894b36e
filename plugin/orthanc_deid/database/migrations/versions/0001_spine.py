"""Studies, instances, deliveries, events, cursors and heartbeats."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision: str | None = None


def upgrade() -> None:
    """Make the first tables."""
    op.create_table(
        "study",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("source", sa.String(44), nullable=False),
        sa.Column("output", sa.String(44)),
        sa.Column("project", sa.String(64), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("reason", sa.String(500)),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("verified_version", sa.Integer, nullable=False),
        sa.Column("run", sa.Integer, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("next_attempt_at", sa.Float),
        sa.Column("last_update", sa.String(32)),
        sa.Column("recheck", sa.Integer, nullable=False),
        sa.Column("created_at", sa.Float, nullable=False),
        sa.Column("updated_at", sa.Float, nullable=False),
        sa.UniqueConstraint("source", name="uq_study_source"),
    )
    for column in ("output", "status", "updated_at"):
        op.create_index(f"ix_study_{column}", "study", [column])
    op.create_table(
        "instance",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("study_id", sa.Integer, nullable=False),
        sa.Column("source", sa.String(44), nullable=False),
        sa.Column("output", sa.String(44)),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("reason", sa.String(500)),
        sa.UniqueConstraint("study_id", "source", name="uq_instance_study_id"),
        sa.ForeignKeyConstraint(["study_id"], ["study.id"], name="fk_instance_study_id", ondelete="CASCADE"),
    )
    op.create_index("ix_instance_study_id_state", "instance", ["study_id", "state"])
    op.create_table(
        "delivery",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("study_id", sa.Integer, nullable=False),
        sa.Column("destination", sa.String(64), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("confirmed_version", sa.Integer, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("reason", sa.String(500)),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("next_attempt_at", sa.Float),
        sa.Column("confirmed", sa.Integer, nullable=False),
        sa.Column("updated_at", sa.Float, nullable=False),
        sa.UniqueConstraint("study_id", "destination", name="uq_delivery_study_id"),
        sa.ForeignKeyConstraint(["study_id"], ["study.id"], name="fk_delivery_study_id", ondelete="CASCADE"),
    )
    op.create_table(
        "event",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("study_id", sa.Integer, nullable=False),
        sa.Column("at", sa.Float, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("destination", sa.String(64)),
        sa.Column("reason", sa.String(500)),
        sa.Column("actor", sa.String(64), nullable=False),
        sa.ForeignKeyConstraint(["study_id"], ["study.id"], name="fk_event_study_id", ondelete="CASCADE"),
    )
    op.create_index("ix_event_study_id", "event", ["study_id"])
    op.create_table(
        "cursor",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("value", sa.Integer, nullable=False),
    )
    op.create_table(
        "heartbeat",
        sa.Column("executor", sa.String(128), primary_key=True),
        sa.Column("at", sa.Float, nullable=False),
    )
