"""Receipts and gates of destinations; when a study was done and what retention has deleted of it."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision: str | None = "0001"


def upgrade() -> None:
    """Add tables and columns; old code runs on with them."""
    op.create_table(
        "receipt",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("delivery_id", sa.Integer(), nullable=False, comment="to where"),
        sa.Column(
            "item", sa.String(length=64), nullable=False, comment="SHA-256 of the name of a thing that has arrived"
        ),
        sa.Column("size", sa.BigInteger(), nullable=False, comment="bytes"),
        sa.Column("sha256", sa.String(length=64), nullable=False, comment="of what was sent"),
        sa.Column("remote", sa.String(length=200), nullable=False, comment="the destination's own id or version of it"),
        sa.Column("at", sa.Float(), nullable=False, comment="UTC seconds since 1970"),
        sa.ForeignKeyConstraint(
            ["delivery_id"], ["delivery.id"], name=op.f("fk_receipt_delivery_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_receipt")),
        sa.UniqueConstraint("delivery_id", "item", name=op.f("uq_receipt_delivery_id")),
    )
    op.create_table(
        "gate",
        sa.Column("destination", sa.String(length=64), nullable=False, comment="name in the configuration"),
        sa.Column(
            "paused", sa.Integer(), nullable=False, comment="1: nothing is sent to it until a person lets it go on"
        ),
        sa.Column(
            "next_begin_at", sa.Float(), nullable=False, comment="no study is begun before; UTC seconds since 1970"
        ),
        sa.Column("actor", sa.String(length=64), nullable=False, comment="who paused it or let it go on"),
        sa.Column("updated_at", sa.Float(), nullable=False, comment="UTC seconds since 1970"),
        sa.PrimaryKeyConstraint("destination", name=op.f("pk_gate")),
    )
    op.add_column(
        "study",
        sa.Column(
            "done_at", sa.Float(), nullable=True, comment="when all of its version had arrived; UTC seconds since 1970"
        ),
    )
    op.add_column(
        "study",
        sa.Column(
            "removed",
            sa.Integer(),
            nullable=False,
            server_default="0",
            comment="sum of REMOVED: what retention has deleted",
        ),
    )
    # It is the youngest that its end can be, so that no retention rule comes too early.
    op.execute("UPDATE study SET done_at = updated_at WHERE status = 'done'")
