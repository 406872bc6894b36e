"""Alembic's entry: runs the revisions on the connection that `migrate` opened, or on a new one."""

from alembic import context
from sqlalchemy import Connection

from orthanc_deid.database.intake_tables import metadata


def _run(connection: Connection) -> None:
    context.configure(connection=connection, target_metadata=metadata, render_as_batch=True)
    with context.begin_transaction():
        context.run_migrations()


_run(context.config.attributes["connection"])
