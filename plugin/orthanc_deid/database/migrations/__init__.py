"""Alembic revisions: one change each, working on both engines."""
