"""What the server tells of batches, read whole and shown; and files for it that their owner alone can read."""

import os
from pathlib import Path
from typing import Any

import click

from .server import Server


def rows_of(server: Server, number: int, state: str | None = None) -> list[dict[str, Any]]:
    """Return all rows of a batch, page by page."""
    items: list[dict[str, Any]] = []
    cursor: int | None = 0
    while cursor is not None:
        page = server.call("GET", f"/deid/batches/{number}/rows", state=state, limit=1000, cursor=cursor)
        items += page["items"]
        cursor = page["next"]
    return items


def print_batch(batch: dict[str, Any]) -> None:
    """Print one batch in a few lines."""
    rows = ", ".join(f"{count} {state}" for state, count in sorted(batch["rows"].items()))
    counts = batch["instances"]
    click.echo(f"Batch {batch['id']} from {batch['source']} to {batch['to']}: {batch['state']}")
    click.echo(f"  rows: {rows}")
    click.echo(f"  {batch['studies']} studies, {counts['arrived']} of {counts['expected']} instances here")


def write_private(path: Path, content: bytes) -> None:
    """Write a file that holds identities: readable by its owner alone, whole or not at all."""
    part = path.with_name(f".{path.name}.part")
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
